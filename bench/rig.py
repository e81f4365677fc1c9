"""What most benches are set up with: options, a server and a loop of their own, and people who come a few at a time."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from .report import RESULTS
from .server import BenchFailed, Server, running_server
from .websocket import ConnectionFailed

Found = TypeVar("Found")
Item = TypeVar("Item")

NUM_AT_ONCE = 50
"""So many shake hands at a time: more would wait for each other."""


def parser_of(bench: str, doc: str | None) -> argparse.ArgumentParser:
    """With the options that all of them have: `--server-flags` and `--output`."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=doc)
    parser.add_argument("--server-flags", type=str.split, default=[], help="further flags of the server")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    return parser


def at_server(
    bench: str,
    work: Callable[[Server], Coroutine[Any, Any, Found]],
    flags: Sequence[str] = (),
    *,
    model: str = "tone",
) -> Found | None:
    """What `work` finds at a server that runs for it alone. None: it could not, and standard error says why."""
    try:
        with running_server(model, flags) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work(server))
    except* (BenchFailed, ConnectionFailed, TimeoutError) as group:
        print(f"bench.{bench}: {_first(group) or 'the server gave no answer in time'}", file=sys.stderr)
    return None


async def a_few_at_a_time(
    call: Callable[[Item], Awaitable[object]], items: Iterable[Item], num_at_once: int = NUM_AT_ONCE
) -> None:
    """Call it with each item, in as many tasks as may be under way together."""
    waiting = iter(items)

    async def one_after_the_other() -> None:
        for item in waiting:
            await call(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(num_at_once):
            tasks.create_task(one_after_the_other())


def _first(error: BaseException) -> str:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else str(error)
