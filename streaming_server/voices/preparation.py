"""Makes ready what the model needs of a new voice, in a process of its own: the engine never stalls for it."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .process import run
from .refusal import VoiceRefused, bad_audio, disk_full

log = logging.getLogger(__name__)

Preparation = Callable[[Path], Sequence[str] | None]
"""The command for a prompt's file (`models.registry.voice_preparation`); None where the model has no voices to add."""

PREPARE_S = 180.0
REFUSED = 2
"""The exit status that goes with {"error": sentence}."""


async def prepare(command: Sequence[str], prompt: Path, *, timeout_s: float = PREPARE_S) -> None:
    """Raises VoiceRefused: the model cannot use the prompt, or the work came to no good end.

    A sentence about the prompt is its owner's; one about anything else, such as the cache, is the server's.
    """
    ended = await run(command, timeout_s=timeout_s)
    status, output = ended or (1, b"")
    if status == 0:
        return
    sentence = _error_in(output) if status == REFUSED else ""
    if str(prompt) in sentence:
        raise bad_audio(sentence.removeprefix(f"{prompt}: ").replace(str(prompt), prompt.name))
    log.error("a voice's preparation failed, exit=%s: %s", status, sentence)
    if os.strerror(errno.ENOSPC) in sentence:
        raise disk_full()
    raise VoiceRefused(500, "internal", "The voice could not be made ready; the server's log says why.")


def _error_in(output: bytes) -> str:
    try:
        return str(json.loads(output.strip().rpartition(b"\n")[2])["error"])
    except (ValueError, KeyError, TypeError):
        return ""
