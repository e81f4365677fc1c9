"""Work on a voice in a process of its own: it may crash, hang or take its time, and speech goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from typing import IO

from ..engine_process import child_environment

log = logging.getLogger(__name__)

NICENESS = 10


async def run(command: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | None = None) -> tuple[int, bytes] | None:
    """Exit status and standard output; None when it could not be started, or took too long and was killed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
            stdout=asyncio.subprocess.PIPE,
            env={**child_environment(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
    except OSError as error:
        log.error("%s cannot be started: %s", command[0], error)
        return None
    try:
        with contextlib.suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        log.error("%s took longer than %g s and was killed", " ".join(command), timeout_s)
        return None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    status = process.returncode
    return (1 if status is None else status), output
