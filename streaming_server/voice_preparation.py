"""Makes ready what the model needs of a new voice, in a process of its own: the engine never stalls for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from .voice_process import run
from .voice_refusal import VoiceRefused, bad_audio

log = logging.getLogger(__name__)

Preparation = Callable[[Path], Sequence[str] | None]
"""The command for a prompt's file (`models.registry.voice_preparation`); None where the model has no voices to add."""

PREPARE_S = 180.0
REFUSED = 2
"""The exit status that goes with {"error": sentence}."""


async def prepare(command: Sequence[str], *, timeout_s: float = PREPARE_S) -> None:
    """Raises VoiceRefused: the model cannot use the prompt, or the work came to no good end."""
    ended = await run(command, timeout_s=timeout_s)
    status, output = ended or (1, b"")
    if status == 0:
        return
    sentence = _error_in(output) if status == REFUSED else None
    if sentence is None:
        log.error("a voice's preparation failed, exit=%s", status)
        raise VoiceRefused(500, "internal", "The voice could not be made ready; the server's log says why.")
    raise bad_audio(sentence)


def _error_in(output: bytes) -> str | None:
    try:
        return str(json.loads(output.strip().rpartition(b"\n")[2])["error"])
    except (ValueError, KeyError, TypeError):
        return None
