"""What SIGTERM does to those who are listening: `python -m bench.drains --streams 100`.

Half of them have a text that is over within the time the server takes to end, half one that would go on for much
longer. One loses his connection just before, and comes back while the server drains. Somebody new knocks every few
milliseconds, and somebody who is in asks for another utterance.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from protocol.messages import Start

from .goals import Goal, tell
from .rig import at_server, parser_of
from .server import Server
from .survivor import Survivor
from .texts import PACE_S, Texts
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

DRAIN_MS = 20_000
"""The server's own default."""

MAX_REFUSED_AFTER_S = 0.1
KNOCK_EVERY_S = 0.01
NUM_KNOCKS = 30
AWAY_S = 0.2
PATIENCE_S = 5.0
"""So much longer than it may take it is waited for."""


@dataclass(slots=True)
class Ending:
    """What came of it. Seconds count from SIGTERM."""

    num_streams: int
    limit_s: float
    last_let_in_s: float = 0.0
    """When the last one who was still let in had knocked; 0: nobody was."""
    refusal_s: list[float] = field(default_factory=list)
    """How long those who knocked later waited for their refusal."""
    num_with_retry_after: int = 0
    new_utterance: str | None = None
    """What one who is in was told: the code of an error."""
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    exit_s: float | None = None
    exit_status: int | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """0: everybody heard an end, and nobody new was let in; 1: otherwise."""
    options = _parse(argv)
    flags = ["--drain-ms", str(options.drain_ms), "--workers", str(options.workers), *options.server_flags]
    work = partial(end, num_streams=options.streams, limit_s=options.drain_ms / 1000, seed=options.seed)
    if (ending := at_server("drains", work, flags)) is None:
        return 1
    return tell("drains", goals(ending), summary(ending, options), options.output)


async def end(server: Server, num_streams: int, limit_s: float, seed: int) -> Ending:
    """Raises ConnectionFailed if they cannot even be begun."""
    assert server.pid is not None, "expected a server of our own"
    address, buffer, ending = Address.of(server.url), bytearray(BUFFER_BYTES), Ending(num_streams, limit_s)
    survivors = [Survivor(address, buffer) for _ in range(num_streams)]
    async with asyncio.TaskGroup() as tasks:
        for number, survivor in enumerate(survivors):
            tasks.create_task(_begin(survivor, number, seed, limit_s))
    exiting = asyncio.create_task(asyncio.to_thread(_wait_for_exit, server.pid, limit_s + PATIENCE_S))
    survivors[-1].reset()
    os.kill(server.pid, signal.SIGTERM)
    at = time.monotonic()
    with ExitStack() as playing:
        for survivor in survivors:
            playing.enter_context(survivor.playing())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_knock(address, buffer, ending, at))
            tasks.create_task(_ask_for_more(survivors[0], ending))
            tasks.create_task(_come_back(survivors[-1], ending))
            for number, survivor in enumerate(survivors[:-1]):
                tasks.create_task(_hear_out(survivor, number, ending))
    exited_at, ending.exit_status = await exiting
    ending.exit_s = None if exited_at is None else exited_at - at
    return ending


async def _begin(survivor: Survivor, number: int, seed: int, limit_s: float) -> None:
    """Until the first of it is heard."""
    num_chars = int(limit_s * (0.4 if number % 2 else 10) / PACE_S)
    text = Texts("en", 1000 * seed + number).sentences(num_chars)[:num_chars]
    await survivor.connect()
    await survivor.hear(Start(utterance="u", seed=number, language="en", text=text, end=True))


async def _hear_out(survivor: Survivor, number: int, ending: Ending) -> None:
    hearing = survivor.hearings["u"]
    try:
        await survivor.until(lambda: hearing.is_over, wait_s=ending.limit_s + PATIENCE_S)
        await survivor.until(lambda: False, wait_s=ending.limit_s + PATIENCE_S)  # the server says goodbye
    except (ConnectionFailed, TimeoutError):
        pass
    told = f"{hearing.error}, " if hearing.error else ""
    ending.reasons[f"{told}{hearing.reason or 'no done'}"] += 1
    faults = [fault for fault in hearing.proof.faults if not fault.startswith("error ")]
    ending.faults += [f"stream {number}: {fault}" for fault in faults]
    if survivor.close_code != 1001:
        ending.faults.append(f"stream {number}: expected a goodbye with 1001, got {survivor.close_code}")


async def _come_back(survivor: Survivor, ending: Ending) -> None:
    """As if nothing were the matter. Whether the server has noticed that he was gone makes no difference."""
    await asyncio.sleep(AWAY_S)
    try:
        await survivor.connect()
    except (ConnectionFailed, TimeoutError) as error:
        ending.faults.append(f"expected to be let in again, got: {error}")
    await _hear_out(survivor, ending.num_streams - 1, ending)


async def _ask_for_more(survivor: Survivor, ending: Ending) -> None:
    await asyncio.sleep(MAX_REFUSED_AFTER_S)
    try:
        hearing = await survivor.hear(Start(utterance="more", seed=1, language="en", text="One more.", end=True))
    except ConnectionFailed:
        return
    ending.new_utterance = hearing.error


async def _knock(address: Address, buffer: bytearray, ending: Ending, at: float) -> None:
    for _ in range(NUM_KNOCKS):
        stranger, knocked_at = Survivor(address, buffer), time.monotonic()
        try:
            await stranger.connect()
            ending.last_let_in_s = knocked_at - at
        except (ConnectionFailed, TimeoutError) as error:
            ending.refusal_s.append(time.monotonic() - knocked_at)
            told_in_http = isinstance(error, ConnectionFailed) and error.retry_after_s is not None
            ending.num_with_retry_after += told_in_http or any("retry_after_ms" in each for each in stranger.errors)
        stranger.leave()
        await asyncio.sleep(KNOCK_EVERY_S)


def _wait_for_exit(pid: int, timeout_s: float) -> tuple[float | None, int | None]:
    """The instant and the status; it stays to be waited for by who has started it."""
    ends_at = time.monotonic() + timeout_s
    while time.monotonic() < ends_at:
        exited = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if exited is not None:
            return time.monotonic(), exited.si_status if exited.si_code == os.CLD_EXITED else -exited.si_status
        time.sleep(0.005)
    return None, None


def goals(ending: Ending) -> list[Goal]:
    slowest_s = max(ending.refusal_s, default=0.0)
    lost = ("resume_failed, error", "no done")
    num_ended = ending.num_streams - sum(num for how, num in ending.reasons.items() if how.endswith(lost))
    exit_s = ending.exit_s
    return [
        Goal(
            what=f"SIGTERM with {ending.num_streams} streams: the last new one let in came after",
            goal=f"<= {1000 * MAX_REFUSED_AFTER_S:g} ms",
            measured=f"{1000 * ending.last_let_in_s:.0f} ms",
            is_met=ending.last_let_in_s <= MAX_REFUSED_AFTER_S and bool(ending.refusal_s),
        ),
        Goal(
            what="the same: longest wait for a refusal, with Retry-After",
            goal=f"<= {1000 * MAX_REFUSED_AFTER_S:g} ms, all",
            measured=f"{1000 * slowest_s:.0f} ms, {ending.num_with_retry_after} of {len(ending.refusal_s)}",
            is_met=slowest_s <= MAX_REFUSED_AFTER_S and ending.num_with_retry_after == len(ending.refusal_s) > 0,
        ),
        Goal(
            what="the same: accepted ones that ended with `done`, no sample of theirs wrong",
            goal=f"{ending.num_streams}",
            measured=f"{num_ended}, {len(ending.faults)} faults",
            is_met=num_ended == ending.num_streams and not ending.faults,
        ),
        Goal(
            what="the same: until the server's exit, status 0",
            goal=f"<= {ending.limit_s:g} s",
            measured="none" if exit_s is None else f"{exit_s:.2f} s, status {ending.exit_status}",
            is_met=exit_s is not None and exit_s <= ending.limit_s and ending.exit_status == 0,
        ),
    ]


def summary(ending: Ending, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "streams": ending.num_streams,
        "workers": options.workers,
        "drain_ms": options.drain_ms,
        "ends": dict(ending.reasons),
        "new_utterance": ending.new_utterance,
        "fault_examples": ending.faults[:8],
        "exit_s": ending.exit_s,
        "exit_status": ending.exit_status,
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("drains", __doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--drain-ms", type=int, default=DRAIN_MS, help="as the server is told")
    parser.add_argument("--workers", type=int, default=1, help="web processes")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
