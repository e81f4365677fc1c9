"""A server that is told nonsense: `python -m bench.fuzz --messages 160000 --seed 1`.

Every field of every message is spoilt in every way, in both encodings, and right messages come at wrong times, over
many connections at once. Each must be answered as PROTOCOL.md says; meanwhile neighbours listen, and miss nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from .churn_leftovers import leftovers
from .fuzz_caller import Findings
from .fuzz_calls import SEQUENCE, open_badly, schedule, talk_badly
from .fuzz_fields import all_fields
from .fuzz_memory import IDLE, MAX_GROWTH_MB, READY, SPOKEN, Memory, held_by, speak_in_every_format
from .fuzz_mutations import MUTATIONS
from .fuzz_neighbour import neighbours
from .fuzz_scenes import OPENINGS, SCENES
from .listener import Tally
from .report import RESULTS, percentiles, table, write
from .rig import at_server
from .server import Server
from .websocket import BUFFER_BYTES, Address

SERVER_FLAGS = (
    "--resume-ms",
    "1000",
    "--chars-per-s",
    "100000000",
    "--messages-per-s",
    "100000",
    "--log-level",
    "info",
)
"""Who is cut here does not come back; and what is too fast is another bench's business."""
NEIGHBOURS = 2
MOST_ALONE_S = 10.0
"""So long they listen before, to tell what the machine itself makes late."""
TRACEBACK = "Traceback (most recent call last)"
SAMPLE_EVERY_S = 0.1
IDLE_S = 1.0
"""After the last one has gone the server tidies up."""


@dataclass(slots=True)
class Fuzz:
    """What came of it."""

    findings: Findings = field(default_factory=Findings)
    alone: Tally = field(default_factory=Tally)
    """What the neighbours heard before."""
    tally: Tally = field(default_factory=Tally)
    """And meanwhile."""
    seconds: float = 0.0
    memory: Memory = field(default_factory=Memory)
    left: dict[str, float] = field(default_factory=dict)
    num_tracebacks: int = 0
    log_tail: str = ""
    """From the first traceback on."""


def main(argv: Sequence[str] | None = None) -> int:
    """0: all is well; 1: it is not, or the server failed."""
    options = _parse(argv)
    work = partial(tell_all, num_messages=options.messages, num_callers=options.callers, seed=options.seed)
    if (fuzz := at_server("fuzz", work, SERVER_FLAGS)) is None:
        return 1
    verdict = judged(fuzz)
    print(table(_rows(fuzz.findings)))
    print("\n" + table(_outcomes(fuzz.findings)))
    print("\n" + table(fuzz.memory.rows()))
    result = _result(fuzz, options) | {"verdict": verdict}
    shown = ("messages", "connections", "least_in_a_cell", "seconds", "tracebacks", "growth_mb", "left", "neighbours")
    print("\n" + "\n".join(f"{key}: {result[key]}" for key in shown) + f"\n{verdict}")
    for sentence in (*fuzz.findings.faults, fuzz.log_tail):
        print(f"  {sentence}", file=sys.stderr)
    if options.keep or options.output:
        print(write("fuzz", result, options.output or RESULTS), file=sys.stderr)
    return 0 if verdict == "ok" else 1


async def tell_all(server: Server, num_messages: int, num_callers: int, seed: int) -> Fuzz:
    """Every field in every way, equally often, until there are so many messages."""
    fuzz = Fuzz()
    openings, others = schedule(num_messages, seed)
    fuzz.memory.note(READY, held_by(server))
    await speak_in_every_format(server)
    fuzz.memory.note(SPOKEN, held_by(server))
    address, buffer = Address.of(server.url), bytearray(BUFFER_BYTES)
    async with neighbours(address, NEIGHBOURS) as fuzz.alone:
        await asyncio.sleep(min(MOST_ALONE_S, num_messages / 10_000))
    async with neighbours(address, NEIGHBOURS) as fuzz.tally:
        began_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(num_callers):
                random = Random(1000 * seed + number)
                calling, queue = (open_badly, openings) if number % 2 else (talk_badly, others)
                tasks.create_task(calling(address, random, buffer, queue, fuzz.findings))
            while openings or others:
                fuzz.memory.look(fuzz.findings.num_messages, held_by(server))
                await asyncio.sleep(SAMPLE_EVERY_S)
        fuzz.seconds = time.monotonic() - began_at
    fuzz.left = await leftovers(server.url)
    await asyncio.sleep(IDLE_S)
    fuzz.memory.note(IDLE, held_by(server))
    assert server.log is not None, "expected a server of our own"
    log = server.log.read_text(errors="replace")
    fuzz.num_tracebacks = log.count(TRACEBACK)
    fuzz.log_tail = log[log.index(TRACEBACK) :][:4000] if fuzz.num_tracebacks else ""
    return fuzz


def judged(fuzz: Fuzz) -> str:
    """`ok`, or what is wrong, the gravest first."""
    findings = fuzz.findings
    if fuzz.num_tracebacks:
        return f"{fuzz.num_tracebacks} tracebacks in the log"
    if findings.num_faults:
        return f"{findings.num_faults} messages not answered as they should be"
    if fuzz.tally.num_faults or fuzz.tally.num_listeners_done < NEIGHBOURS:
        return f"{fuzz.tally.num_faults} faults at the neighbours"
    if any(fuzz.left.values()):
        return f"left behind: {', '.join(f'{num:g} {name}' for name, num in fuzz.left.items() if num)}"
    if (growth_mb := fuzz.memory.growth_mb()) >= MAX_GROWTH_MB:
        return f"the server grew by {growth_mb:.1f} MB"
    return "ok"


def _rows(findings: Findings) -> list[dict[str, object]]:
    """A row for each field, a column for each way to spoil it; then one for each scene, which is right in itself."""
    rows: list[dict[str, object]] = [
        {"field": each.name, **{mutation: findings.cells[each.name, mutation] for mutation in MUTATIONS}}
        for each in all_fields()
    ]
    scenes = [{"field": name, "wrong type": findings.cells[name, SEQUENCE]} for name in (*OPENINGS, *SCENES)]
    return [*rows, *scenes]


def _outcomes(findings: Findings) -> list[dict[str, object]]:
    """A row for each way, a column for each answer."""
    answers = sorted({answer for _, answer in findings.outcomes})
    return [
        {"what was done": way, **{answer: findings.outcomes[way, answer] or None for answer in answers}}
        for way in (*MUTATIONS, SEQUENCE)
    ]


def _result(fuzz: Fuzz, options: argparse.Namespace) -> dict[str, Any]:
    findings, tally = fuzz.findings, fuzz.tally
    spoilt = {each.name: {way: findings.cells[each.name, way] for way in MUTATIONS} for each in all_fields()}
    scenes = {name: findings.cells[name, SEQUENCE] for name in (*OPENINGS, *SCENES)}
    return {
        "seed": options.seed,
        "callers": options.callers,
        "messages": findings.num_messages,
        "encodings": dict(findings.encodings),
        "connections": findings.num_connections,
        "seconds": round(fuzz.seconds, 1),
        "least_in_a_cell": min(min(counts.values()) for counts in spoilt.values()),
        "least_of_a_sequence": min(scenes.values()),
        "faults": findings.num_faults,
        "fault_examples": findings.faults,
        "tracebacks": fuzz.num_tracebacks,
        "growth_mb": {
            "since_ready": round(fuzz.memory.growth_mb(), 1),
            "since_spoken_in_every_format": round(fuzz.memory.growth_mb(SPOKEN), 1),
            "when_idle_again": round(fuzz.memory.growth_mb(READY, IDLE), 1),
        },
        "memory": fuzz.memory.rows(),
        "left": fuzz.left,
        "neighbours": {
            "listeners": NEIGHBOURS,
            "faults": tally.num_faults,
            "fault_examples": tally.faults,
            "patches_compared": tally.num_checked,
            "gaps": tally.num_late,
            "lateness_ms": percentiles(tally.lateness_s),
            "lateness_ms_before": percentiles(fuzz.alone.lateness_s),
        },
        "answers": {str(row.pop("what was done")): row for row in _outcomes(findings)},
        "fields": spoilt,
        "sequences": scenes,
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument(
        "--messages", type=int, default=160_000, help="at least; every field in every way equally often"
    )
    parser.add_argument("--callers", type=int, default=24, help="at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="write bench/results/fuzz-DATE.json")
    parser.add_argument("--output", type=Path, help="folder of the result, if not bench/results")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
