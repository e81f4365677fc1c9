"""Clients that come, interrupt, vanish and go: `python -m bench.churn --minutes 10 --model DIRECTORY`.

Afterwards nobody may be left in the server, every slot must be free, and its memory must be what it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from .churn_leftovers import count_free_slots, leftovers, num_slots
from .churn_visitor import Guestbook, Visitor
from .processes import Usage, usage
from .report import RESULTS, table, write
from .rig import at_server
from .server import Server
from .websocket import BUFFER_BYTES, Address

SETTLED_S = 60.0
"""After so long a server has taken the memory that it takes."""

RESUME_FLAGS = ("--resume-ms", "1000")
"""Who vanishes here does not come back; the server need not wait for it for long."""
MAX_GROWTH = 1.10
SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server's processes hold at one instant."""

    at_s: float
    by_role: dict[str, Usage]
    num_files: dict[str, int]


@dataclass(slots=True)
class Churn:
    """What came of it."""

    book: Guestbook = field(default_factory=Guestbook)
    samples: list[Sample] = field(default_factory=list)
    left: dict[str, float] = field(default_factory=dict)
    """Sessions and streams that are still there."""
    slots: int = 0
    free_slots: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """0: nothing leaked; 1: something did, or the server failed."""
    options = _parse(argv)
    work = partial(visit_all, seconds=60 * options.minutes, num_visitors=options.visitors, seed=options.seed)
    flags = [*RESUME_FLAGS, *options.server_flags.split()]
    if (churn := at_server("churn", work, flags, model=options.model)) is None:
        return 1
    verdict = judged(churn, options.minutes)
    memory = memory_of(churn.samples)
    print(table([{"role": role, **row} for role, row in memory.items()]))
    print(f"\n{sum(churn.book.visits.values())} visits, {dict(churn.book.utterances)}")
    print(f"{churn.free_slots} of {churn.slots} slots free, left: {churn.left}: {verdict}")
    if options.keep or options.output:
        result = {
            "model": Path(options.model).name,
            "minutes": options.minutes,
            "visitors": options.visitors,
            "seed": options.seed,
            "server_flags": options.server_flags,
            "verdict": verdict,
            "visits": dict(churn.book.visits),
            "utterances": dict(churn.book.utterances),
            "errors": dict(churn.book.errors),
            "faults": churn.book.num_faults,
            "fault_examples": churn.book.faults,
            "left": churn.left,
            "slots": churn.slots,
            "free_slots": churn.free_slots,
            "memory": memory,
            "rss_mib_every_10_s": {role: _curve(churn.samples, role) for role in memory},
        }
        print(write("churn", result, options.output or RESULTS), file=sys.stderr)
    return 0 if verdict == "ok" else 1


async def visit_all(server: Server, seconds: float, num_visitors: int, seed: int) -> Churn:
    """`num_visitors` at a time, each by another one when it is gone; then a look at what they have left."""
    churn = Churn()
    address, buffer = Address.of(server.url), bytearray(BUFFER_BYTES)
    began_at = time.monotonic()

    async def come_and_go(number: int) -> None:
        random = Random(1000 * seed + number)
        while time.monotonic() < began_at + seconds:
            await Visitor(address, random, buffer, churn.book).visit()
            await asyncio.sleep(random.uniform(0.0, 0.1))

    async def look() -> None:
        while True:
            churn.samples.append(_sample(server, time.monotonic() - began_at))
            await asyncio.sleep(SAMPLE_EVERY_S)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look())
        async with asyncio.TaskGroup() as visits:
            for number in range(num_visitors):
                visits.create_task(come_and_go(number))
        looking.cancel()
    churn.left = await leftovers(server.url)
    churn.samples.append(_sample(server, time.monotonic() - began_at))
    churn.slots = await num_slots(server.url)
    churn.free_slots = await count_free_slots(address, churn.slots, buffer)
    return churn


def judged(churn: Churn, minutes: float) -> str:
    """`ok`, or what is wrong, the gravest first. Memory is judged where it has had the time to show."""
    book = churn.book
    ended = sum(num for name, num in book.utterances.items() if name != "started")
    if book.num_faults:
        return f"{book.num_faults} faults"
    if any(churn.left.values()):
        return f"left behind: {', '.join(f'{num:g} {name}' for name, num in churn.left.items() if num)}"
    if churn.free_slots != churn.slots:
        return f"{churn.slots - churn.free_slots} slots are not free"
    if ended != book.utterances["started"]:
        return f"{book.utterances['started'] - ended} utterances without an end"
    if 60 * minutes >= 2 * SETTLED_S:
        for role, row in memory_of(churn.samples).items():
            if row["growth"] > MAX_GROWTH:
                return f"the {role} process grew by a factor of {row['growth']}"
    return "ok"


def memory_of(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """For each role: the least once it had settled, the most of the last tenth, and their ratio; open files, too."""
    settled = [each for each in samples if each.at_s >= min(SETTLED_S, samples[-1].at_s / 3)]
    late = [each for each in samples if each.at_s >= 0.9 * samples[-1].at_s]
    rows = {}
    for role in samples[-1].by_role:
        before = settled[0].by_role[role].rss_bytes
        after = max(each.by_role[role].rss_bytes for each in late)
        rows[role] = {
            "settled_mib": round(before / 2**20, 1),
            "last_mib": round(after / 2**20, 1),
            "growth": round(after / before, 3),
            "files_at_first": samples[0].num_files[role],
            "files_at_last": samples[-1].num_files[role],
            "cpu_s": round(samples[-1].by_role[role].cpu_s - samples[0].by_role[role].cpu_s, 1),
        }
    return rows


def _curve(samples: Sequence[Sample], role: str) -> list[float]:
    step = round(10 / SAMPLE_EVERY_S)
    return [round(each.by_role[role].rss_bytes / 2**20, 1) for each in samples[::step]]


def _sample(server: Server, at_s: float) -> Sample:
    pids = {role: pids for role, pids in server.processes.items() if pids}
    files = {role: sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids[role]) for role in pids}
    return Sample(at_s, {role: usage(pids[role]) for role in pids}, files)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.churn", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--model", default="tone", help="what the server speaks with: a name or a checkpoint directory")
    parser.add_argument("--visitors", type=int, default=8, help="at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server-flags", default="", help="further flags of the server")
    parser.add_argument("--keep", action="store_true", help="write bench/results/churn-DATE.json")
    parser.add_argument("--output", type=Path, help="folder of the result, if not bench/results")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
