"""Makes ready what the model needs of a new voice, in a process of its own: the engine never stalls for it."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from models.voice_folder import discard_voice, prompts_in

from .process import run
from .refusal import VoiceRefused, bad_audio, disk_full

log = logging.getLogger(__name__)

PREPARE_S = 180.0
REFUSED = 2
"""The exit status that goes with {"error": sentence}."""


class Preparation(Protocol):
    """What a model needs of a voice's recording (`models.registry.voice_preparation`)."""

    def command(self, prompt: Path) -> Sequence[str]:
        """That makes it ready; it ends with 0, or with REFUSED and a sentence."""

    def forget(self, prompt: Path) -> None:
        """Delete what was made ready, unless another voice has the same recording. Blocks. Raises OSError."""


async def prepare(preparation: Preparation, prompt: Path, *, timeout_s: float = PREPARE_S) -> None:
    """Raises VoiceRefused: the model cannot use the prompt, or the work came to no good end.

    A sentence about the prompt is its owner's; one about anything else, such as the cache, is the server's.
    """
    ended = await run(preparation.command(prompt), timeout_s=timeout_s)
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


def throw_away(folder: Path, forget: Callable[[Path], object]) -> None:
    """A folder that is no voice, or no longer; `forget` deletes what was made ready of its recording. Blocks."""
    for prompt in prompts_in(folder):
        try:
            forget(prompt)
        except OSError as error:
            log.error("what was made of a voice's recording is not deleted: %s", error)
    discard_voice(folder)


def _error_in(output: bytes) -> str:
    try:
        return str(json.loads(output.strip().rpartition(b"\n")[2])["error"])
    except (ValueError, KeyError, TypeError):
        return ""
