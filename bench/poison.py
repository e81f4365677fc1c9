"""What texts that kill the engine cost their neighbours: `python -m bench.poison --streams 20 --killers 1 4`.

So many healthy streams of the tone and so many killers begin at once and are in every step together, until one with a
killer's second segment ends the engine. Then it is measured how often it ends until all killers are refused, and what
the healthy hear meanwhile. An engine process, watched, and its asyncio face; no sockets of listeners.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from models.base import SpeechParams
from models.engine import Spoke
from models.tone import SAMPLE_RATE, tone_samples
from streaming_server.engine_client import RemoteEngine
from streaming_server.engine_fleet import EngineFleet
from streaming_server.engine_lasting import KILLER
from streaming_server.engine_process import EngineProcess
from streaming_server.engine_standby import StandbyEngine
from streaming_server.engine_ward import NUM_DEATHS

from .goals import Goal, tell
from .playout import Playout
from .poison_host import POISON
from .report import RESULTS, percentiles

WAIT_S = 300.0
HEALTHY_TEXT = "x" * 4000
HARMLESS, DEADLY = "Good so far.", f"This is {POISON}."


class Ear:
    """One stream's listener."""

    def __init__(self, lead_ms: int) -> None:
        self.pcm: list[bytes] = []
        self.end: str | None = None
        self.longest_wait_s = 0.0
        """Between two patches."""
        self._playout = Playout(SAMPLE_RATE, lead_ms)
        self._heard_at: float | None = None
        self.longest_silence_s = 0.0
        """For which its loudspeaker had nothing to play, in one piece."""

    @property
    def num_patches(self) -> int:
        return len(self.pcm)

    def on_patch(self, patch: Spoke) -> None:
        now, silent_s = time.monotonic(), self._playout.stalled_s
        if self._heard_at is not None:
            self.longest_wait_s = max(self.longest_wait_s, now - self._heard_at)
        self._heard_at = now
        self._playout.arrive(self._playout.num_ticks, len(patch.pcm) // 2, now)
        self.longest_silence_s = max(self.longest_silence_s, self._playout.stalled_s - silent_s)
        self.pcm.append(patch.pcm)

    def on_closed(self) -> None:
        self.end = "closed"

    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None:
        self.end = message

    def is_whole(self, seed: int) -> bool:
        """So far, to the sample."""
        pcm = np.frombuffer(b"".join(self.pcm), "<i2")
        return self.end is None and np.array_equal(pcm, tone_samples(seed, 0, len(pcm)))


@dataclass(slots=True, kw_only=True)
class Affair:
    """With so many killers, over all trials."""

    num_killers: int
    deaths: list[int] = field(default_factory=list)
    verdicts_s: list[float] = field(default_factory=list)
    """From the first death to the last refusal."""
    waits_s: list[float] = field(default_factory=list)
    silences_s: list[float] = field(default_factory=list)
    """The longest of each healthy stream."""
    num_healthy: int = 0
    num_wrong: int = 0
    num_spared: int = 0
    """Killers that were not refused."""

    @property
    def result(self) -> dict[str, Any]:
        return {
            "killers": self.num_killers,
            "deaths": self.deaths,
            "last_verdict_s": [round(each, 2) for each in self.verdicts_s],
            "longest_wait_ms": percentiles(self.waits_s),
            "longest_silence_ms": percentiles(self.silences_s),
        }

    @property
    def goals(self) -> list[Goal]:
        who, most = f"{self.num_killers} that kill among healthy streams", NUM_DEATHS + self.num_killers
        silence = percentiles(self.silences_s)
        return [
            Goal(
                what=f"{who}: not refused, and healthy ones not whole to the sample",
                goal="0 and 0",
                measured=f"{self.num_spared} and {self.num_wrong} of {self.num_healthy}",
                is_met=not (self.num_spared or self.num_wrong),
            ),
            Goal(
                what=f"{who}: deaths until the last is refused",
                goal=f"<= {most}",
                measured=f"{max(self.deaths)}, after {max(self.verdicts_s):.1f} s; longest silence of a healthy one, "
                f"p50 / max ms: {silence['p50']} / {silence['max']}",
                is_met=max(self.deaths) <= most,
            ),
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """0: all who kill are refused, in time, and nobody else; 1: otherwise."""
    options = _parse(argv)
    affairs = [Affair(num_killers=num) for num in options.killers]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            for affair in affairs:
                for _ in range(options.trials):
                    runner.run(_try(affair, options))
        except TimeoutError:
            print("bench.poison: it did not come to an end in time", file=sys.stderr)
            return 1
    found = {
        "streams": options.streams,
        "lead_ms": options.lead_ms,
        "standby": options.standby,
        "load_average": os.getloadavg()[0],
        "affairs": [affair.result for affair in affairs],
    }
    goals = [goal for affair in affairs for goal in affair.goals]
    return tell("poison-standby" if options.standby else "poison", goals, found, options.output)


async def _try(affair: Affair, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="voxwire-") as folder:
        async with _watched(Path(folder) / "engine", standby=options.standby) as (process, host):
            fleet = EngineFleet([host])
            ears = [Ear(options.lead_ms) for _ in range(options.streams + affair.num_killers)]
            every = len(ears) // affair.num_killers
            killers = ears[every // 2 :: every][: affair.num_killers]
            for seed, ear in enumerate(ears):
                _open(fleet, ear, seed, options.lead_ms, is_healthy=ear not in killers)
            healthy = {seed: ear for seed, ear in enumerate(ears) if ear not in killers}
            async with asyncio.timeout(WAIT_S):
                while fleet.ready:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                died_at = time.monotonic()
                while any(ear.end is None for ear in killers):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                affair.verdicts_s.append(time.monotonic() - died_at)
                heard = {seed: ear.num_patches for seed, ear in healthy.items()}
                while any(ear.end is None and ear.num_patches == heard[seed] for seed, ear in healthy.items()):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            affair.deaths.append(process.num_restarts)
            affair.waits_s += [ear.longest_wait_s for ear in healthy.values()]
            affair.silences_s += [ear.longest_silence_s for ear in healthy.values()]
            affair.num_healthy += len(healthy)
            affair.num_wrong += sum(not ear.is_whole(seed) for seed, ear in healthy.items())
            affair.num_spared += sum(ear.end != KILLER for ear in killers)


def _open(fleet: EngineFleet, ear: Ear, seed: int, lead_ms: int, *, is_healthy: bool) -> None:
    stream = fleet.open(
        ear,
        session=seed,
        voice=fleet.info.default_voice,
        params=SpeechParams(seed=seed),
        lead_samples=lead_ms * SAMPLE_RATE // 1000,
    )
    for text in (HEALTHY_TEXT,) if is_healthy else (HARMLESS, DEADLY):
        stream.speak(text)
    stream.finish()


@asynccontextmanager
async def _watched(path: Path, *, standby: bool) -> AsyncIterator[tuple[EngineProcess | StandbyEngine, RemoteEngine]]:
    make = partial(
        EngineProcess, "tone", start_timeout_s=60.0, step_timeout_s=4.0, host="bench.poison_host", log_level="error"
    )
    process = StandbyEngine(make, path, "the voice engine") if standby else make(path)
    await process.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            host = RemoteEngine(path)
            work = [tasks.create_task(host.run())]
            await host.reached()
            work.append(tasks.create_task(process.watch(host)))
            try:
                yield process, host
            finally:
                for task in work:
                    task.cancel()
    finally:
        await process.stop()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.poison", description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=20, help="healthy ones")
    parser.add_argument("--killers", type=int, nargs="+", default=[1, 4], help="each number is an affair of its own")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--lead-ms", type=int, default=1000, help="how far ahead of its listener a stream is")
    parser.add_argument("--standby", action="store_true", help="a second engine stands by")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
