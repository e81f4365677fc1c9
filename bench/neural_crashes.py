"""What VoxCPM's listeners hear when their engine is killed: `python -m bench.neural_crashes [--checkpoint DIR]`.

Once with a new engine that has to start, once with one that stands by: everybody listens to a text of his own, and the
engine is killed (`kill -9`) at a random moment. What comes is laid beside an undisturbed run of the same text. Told are
the stages of the recovery, the pause until each listener's first new patch, and how far that patch lies from the
undisturbed one. Without a checkpoint a tiny one of random numbers speaks: its pause is that of the server alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import uvloop

from models.base import Pcm

from .bystander import Heard
from .checkpoint import write_checkpoint
from .checkpoint_shapes import TINY
from .checkpoint_voices import give_default_voices
from .crashes import BETWEEN_KILLS_S, KILL_AFTER_S, MAX_SILENCE_P95_S, Crowd
from .goals import Goal, tell
from .recovery import SAID, num_ready, stages_s
from .report import RESULTS, percentiles
from .server import POLL_S, ServerFailed, running_server
from .websocket import BUFFER_BYTES, ConnectionFailed

MAX_COLD_S = 10.0
"""Without an engine that stands by: a model is loaded meanwhile."""

MIN_JOIN_DB = 60.0
"""So far below the speech lies what float32 rounds otherwise in the first new patch; measured are 90 and more."""

EXACT_DB = 120.0
"""Told where nothing differs: 16 bits have no more."""

START_TIMEOUT_S = 600.0
"""A real checkpoint makes its voices at its first start."""

TINY_FLAGS = ("--threads", "1")
"""So small a model is faster without a second thread, on a machine that does other things."""

TINY_PATCHES = 16


@dataclass(slots=True, kw_only=True)
class Recoveries:
    """All kills of one server."""

    stages_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    first_patch_s: list[float] = field(default_factory=list)
    """Of each listener: from the kill to the first audio of the new engine."""
    pauses_s: list[float] = field(default_factory=list)
    silences_s: list[float] = field(default_factory=list)
    before_db: list[float] = field(default_factory=list)
    """How far below the speech its difference to the undisturbed run lies: before the join, where only the company in
    a step differs; in the first new patch; and after it."""
    join_db: list[float] = field(default_factory=list)
    after_db: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    num_other_lengths: int = 0

    def take(self, heard: Heard, whole: Pcm, *, killed_at: float, back_at: float) -> None:
        """`back_at`: what came before that, the former engine had made. Both monotonic."""
        self.silences_s.append(heard.longest_silence_s)
        self.pauses_s.append(heard.pause_s(killed_at))
        if heard.wrong:
            self.wrong[heard.wrong] += 1
        self.num_other_lengths += len(heard.pcm) != len(whole)
        joined = heard.first_after(back_at)
        if joined is None:
            self.wrong["over before its engine was killed"] += 1
            return
        start = sum(map(len, heard.data[:joined])) // 2
        end = start + len(heard.data[joined]) // 2
        self.first_patch_s.append(heard.arrivals[joined] - killed_at)
        self.before_db.append(below_db(heard.pcm[:start], whole[:start]))
        self.join_db.append(below_db(heard.pcm[start:end], whole[start:end]))
        self.after_db.append(below_db(heard.pcm[end:], whole[end:]))

    def result(self) -> dict[str, Any]:
        return {
            "utterances": len(self.silences_s),
            "wrong": dict(self.wrong),
            "other_lengths": self.num_other_lengths,
            "stages_ms": {stage: percentiles(self.stages_s[stage]) for stage in SAID if stage in self.stages_s},
            "first_patch_ms": percentiles(self.first_patch_s),
            "pause_ms": percentiles(self.pauses_s),
            "longest_silence_ms": percentiles(self.silences_s),
            "difference_below_speech_db": {
                "before": _least(self.before_db),
                "first_patch": _least(self.join_db),
                "after": _least(self.after_db),
            },
        }


def below_db(ours: Pcm, theirs: Pcm) -> float:
    """How far the difference lies below the speech, over what both have."""
    length = min(len(ours), len(theirs))
    speech = theirs[:length].astype(float)
    difference = np.square(ours[:length] - speech).sum()
    if not difference:
        return EXACT_DB
    return float(min(EXACT_DB, 10 * np.log10(max(1.0, np.square(speech).sum()) / difference)))


def main(argv: Sequence[str] | None = None) -> int:
    """0: all were whole and nobody was without sound for too long; 1: otherwise."""
    options = _parse(argv)
    modes = {"cold": False, "standby": True}
    wanted = [name for name, standby in modes.items() if options.standby in (None, standby)]
    found: dict[str, Recoveries] = {}
    with tempfile.TemporaryDirectory(prefix="voxwire-") as folder:
        checkpoint, flags = options.checkpoint, options.server_flags.split()
        if checkpoint is None:
            checkpoint, cache = Path(folder) / "tiny", Path(folder) / "cache"
            write_checkpoint(checkpoint, TINY, seed=1, never_stop=True)
            give_default_voices(checkpoint, cache)
            flags = [*TINY_FLAGS, "--cache-dir", str(cache), *flags]
        try:
            for name in wanted:
                print(f"{name} ...", file=sys.stderr, flush=True)
                found[name] = _measured(checkpoint, [*flags, *(["--standby"] if modes[name] else [])], options)
        except (ServerFailed, ConnectionFailed, TimeoutError) as error:
            print(f"bench.neural_crashes: {str(error) or 'the server gave no answer in time'}", file=sys.stderr)
            return 1
    told = [goal for name in wanted for goal in goals(name, found[name], is_tiny=options.checkpoint is None)]
    result = {
        "checkpoint": "tiny, of random numbers" if options.checkpoint is None else options.checkpoint.name,
        "server_flags": options.server_flags,
        "streams": options.streams,
        "kills": options.trials,
        "lead_ms": options.lead_ms,
        "load_average": os.getloadavg()[0],
        **{name: recoveries.result() for name, recoveries in found.items()},
    }
    return tell(options.name, told, result, options.output)


def goals(name: str, found: Recoveries, *, is_tiny: bool) -> list[Goal]:
    """Of a real checkpoint, which may run in bfloat16 and end when it likes, lengths and differences are only told."""
    num, num_wrong = len(found.silences_s), found.wrong.total() + (found.num_other_lengths if is_tiny else 0)
    max_s = MAX_SILENCE_P95_S if name == "standby" else MAX_COLD_S
    first, silence = percentiles(found.first_patch_s), percentiles(found.silences_s)
    p95_ms = silence["p95"]
    least_db = _least(found.join_db)["min"]
    told = [
        Goal(
            what=f"VoxCPM's engine killed, {name}: utterances with a sample lost or repeated",
            goal=f"0 of {num}",
            measured=f"{num_wrong} of {num}",
            is_met=not num_wrong,
        ),
        Goal(
            what=f"{name}: longest silence of a listener, p50 / p95 / max ms (new audio after"
            f" {first['p50']} / {first['p95']} / {first['max']})",
            goal=f"p95 <= {1000 * max_s:g}",
            measured=f"{silence['p50']} / {p95_ms} / {silence['max']}",
            is_met=p95_ms is not None and p95_ms <= 1000 * max_s,
        ),
    ]
    if is_tiny:
        told.append(
            Goal(
                what=f"{name}: first new patch, difference to an undisturbed run, dB below the speech",
                goal=f">= {MIN_JOIN_DB:g}",
                measured=f"{least_db}",
                is_met=least_db is not None and least_db >= MIN_JOIN_DB,
            )
        )
    return told


def _measured(checkpoint: Path, flags: Sequence[str], options: argparse.Namespace) -> Recoveries:
    logs = ["--log-level", "debug", "--log-format", "json"]
    with (
        running_server(str(checkpoint), [*flags, *logs], start_timeout_s=START_TIMEOUT_S) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        patches = options.patches or (TINY_PATCHES if options.checkpoint is None else None)
        crowd = Crowd(str(checkpoint), server, params={"max_len": patches} if patches else {})
        return runner.run(_try(crowd, options))


async def _try(crowd: Crowd, options: argparse.Namespace) -> Recoveries:
    found, random, log = Recoveries(), Random(options.seed), crowd.server.log
    assert log is not None
    await crowd.meet(options.streams, options.chars, options.lead_ms, bytearray(BUFFER_BYTES))
    await crowd.listen()
    first = await crowd.over()
    if told := next((heard.wrong for heard in first if heard.wrong), None):
        raise ServerFailed(
            f"expected {options.streams} listeners to be heard while nobody is killed, one was told: {told}"
        )
    undisturbed = [heard.pcm for heard in first]
    num_engines = num_ready(log)
    for number in range(options.trials):
        next_at = time.monotonic() + BETWEEN_KILLS_S
        await _until_ready(log, num_engines + number)
        await crowd.listen()
        await asyncio.sleep(random.uniform(*KILL_AFTER_S))
        killed_at, wall = crowd.kill(), time.time()
        heard = await crowd.over()
        stages = stages_s(log, wall)
        back_at = killed_at + max(stages.get(stage, 0.0) for stage in ("reopened", "history_read"))
        for each, whole in zip(heard, undisturbed, strict=True):
            found.take(each, whole, killed_at=killed_at, back_at=back_at)
        for stage, seconds in stages.items():
            found.stages_s[stage].append(seconds)
        if number + 1 < options.trials:
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    for listener in crowd.listeners:
        listener.goodbye()
    return found


async def _until_ready(log: Path, num_engines: int) -> None:
    """Whoever takes over next is there."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            if num_ready(log) >= num_engines:
                return
            await asyncio.sleep(POLL_S)


def _least(values_db: Sequence[float]) -> Mapping[str, float | None]:
    if not values_db:
        return {"min": None, "p50": None}
    return {"min": round(min(values_db), 1), "p50": round(float(np.median(values_db)), 1)}


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.neural_crashes", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="whose engine is killed")
    parser.add_argument(
        "--standby", action=argparse.BooleanOptionalAction, help="only with a second engine, or without"
    )
    parser.add_argument("--streams", type=int, default=8, help="listeners")
    parser.add_argument("--trials", type=int, default=3, help="kills, of each kind")
    parser.add_argument("--chars", type=int, default=100, help="of each text")
    parser.add_argument("--patches", type=int, help="of a segment at most, where a checkpoint does not know its end")
    parser.add_argument("--lead-ms", type=int, default=320, help="how far ahead of its listeners the server works")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which engines are killed")
    parser.add_argument("--server-flags", default="", help="further flags of the server")
    parser.add_argument("--name", default="neural-crashes", help="of the result's file")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
