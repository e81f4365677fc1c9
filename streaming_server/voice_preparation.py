"""Makes ready what the model needs of a new voice, in a process of its own: the engine never stalls for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from .engine_process import child_environment
from .voice_refusal import VoiceRefused, bad_audio

log = logging.getLogger(__name__)

Preparation = Callable[[Path], Sequence[str] | None]
"""The command for a prompt's file (`models.registry.voice_preparation`); None where the model has no voices to add."""

PREPARE_S = 180.0
NICENESS = 10
REFUSED = 2  # the exit status that goes with {"error": sentence}


async def prepare(command: Sequence[str], *, timeout_s: float = PREPARE_S) -> None:
    """Raises VoiceRefused: the model cannot use the prompt, or the work came to no good end."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
    except OSError as error:
        log.error("a voice's preparation cannot be started: %s", error)
        raise _failed() from None
    try:
        with contextlib.suppress(OSError):  # it has ended, or may not be asked to step back
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        log.error("a voice's preparation took longer than %g s", timeout_s)
        raise _failed() from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode == 0:
        return
    sentence = _error_in(output) if process.returncode == REFUSED else None
    if sentence is None:
        log.error("a voice's preparation failed, exit=%s", process.returncode)
        raise _failed()
    raise bad_audio(sentence)


def _error_in(output: bytes) -> str | None:
    try:
        report = json.loads(output.strip().rpartition(b"\n")[2])
        return str(report["error"])
    except (ValueError, KeyError, TypeError):
        return None


def _failed() -> VoiceRefused:
    return VoiceRefused(500, "internal", "The voice could not be made ready; the server's log says why.")
