"""A further web process: started, started again when it dies, and ended with whoever started it.

    python -m streaming_server serve-worker FD DIRECTORY NUMBER FLAGS...

FD is the listening socket, DIRECTORY where the engines' sockets are, NUMBER its own among the web processes, FLAGS
those of `serve`. It ends when its standard input does, and finishes what it says when it reads a line there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 5.0
SETTLED_S = 60.0
"""A process that lived this long is started again at once; one that keeps dying, after growing pauses."""
DRAIN = b"drain\n"
"""What a web process reads on its standard input when it is to finish and end. Not a signal: a supervisor may have sent
that to all of us at once, and a second one means haste."""

STOP_S = 10.0
"""So long its listeners' goodbyes may take; then it is killed."""


async def keep_worker(
    listener: socket.socket,
    directory: Path,
    number: int,
    argv: Sequence[str],
    ended: Callable[[], None],
    draining: asyncio.Event,
) -> None:
    """Keep one web process alive until cancelled, which ends it, or until it has finished what it says once `draining`
    is set. `ended` is called whenever it has ended."""
    backoff_s = 0.0
    while True:
        started_at = time.monotonic()
        try:
            async with _worker(listener, directory, number, argv) as process:
                exit_status = await _wait(process, draining)
                ended()
                if draining.is_set():
                    return
                log.error("a web process ended, pid=%s exit=%s: another is started", process.pid, exit_status)
        except OSError as error:
            log.error("a web process cannot be started: %s", error)
        if time.monotonic() - started_at > SETTLED_S:
            backoff_s = 0.0
        await asyncio.sleep(backoff_s)
        backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_MIN_S, 2 * backoff_s))


@contextlib.asynccontextmanager
async def _worker(
    listener: socket.socket, directory: Path, number: int, argv: Sequence[str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One process; the end of its standard input is its end, also when ours comes without a word."""
    fd = listener.fileno()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "streaming_server", "serve-worker", str(fd), str(directory), str(number), *argv),
        stdin=asyncio.subprocess.PIPE,
        pass_fds=(fd,),
        start_new_session=True,  # Ctrl-C is for us; we end it
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            log.error("a web process does not end, pid=%s: it is killed", process.pid)
            process.kill()
            await process.wait()


async def _wait(process: asyncio.subprocess.Process, draining: asyncio.Event) -> int:
    """For its end, which it is asked for when `draining` is set; the exit status."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(_ask_to_drain(process, draining))
        exit_status = await process.wait()
        asking.cancel()
    return exit_status


async def _ask_to_drain(process: asyncio.subprocess.Process, draining: asyncio.Event) -> None:
    await draining.wait()
    assert process.stdin is not None
    process.stdin.write(DRAIN)


class _Parent(asyncio.Protocol):
    """Standard input: it ends when whoever started this process wants it to, or is gone."""

    def __init__(self, drain: Callable[[], None]) -> None:
        self._drain = drain

    def data_received(self, data: bytes) -> None:
        self._drain()

    def connection_lost(self, exc: Exception | None) -> None:
        signal.raise_signal(signal.SIGINT)


async def obey_parent(drain: Callable[[], None]) -> None:
    """From now on the end of standard input ends this process as SIGINT does, and a word there calls `drain`."""
    await asyncio.get_running_loop().connect_read_pipe(lambda: _Parent(drain), sys.stdin)
