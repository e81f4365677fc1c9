"""What listeners hear when the engine is killed: `python -m bench.crashes --tone 50 --espeak 10 [--standby]`.

A server for each voice, both at once on this machine. Everybody listens to a text of his own; then every engine is
killed (`kill -9`) at a random moment while all of them speak. What comes must be what came of the same text before,
when nobody was killed: to the sample, or within `--tolerance` for a model whose sums depend on who else is in a step.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import uvloop

from models.base import Pcm

from .bystander import Bystander, Heard
from .goals import Goal, tell
from .report import percentiles
from .rig import parser_of
from .server import Server, ServerFailed, running_server
from .texts import Texts
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

MAX_SILENCE_P95_S = 1.5
KILL_AFTER_S = (0.5, 1.5)
BETWEEN_KILLS_S = 6.0
"""An engine that keeps dying is started after growing pauses; this is about one that dies once."""


@dataclass(slots=True)
class Crowd:
    """All who listen to one server, and what became of them in all trials."""

    model: str
    server: Server
    listeners: list[Bystander] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    undisturbed: list[Pcm] = field(default_factory=list)
    silences_s: list[float] = field(default_factory=list)
    """The longest of each listener in each trial, with the lead as the loudspeaker's buffer."""
    pauses_s: list[float] = field(default_factory=list)
    """The longest between two audio messages of each, over the kill."""
    wrong: Counter[str] = field(default_factory=Counter)
    num_trials: int = 0
    max_difference: int = 0
    params: Mapping[str, float] = field(default_factory=dict)
    """Of every utterance."""

    async def meet(self, num_listeners: int, chars: int, lead_ms: int, buffer: bytearray) -> None:
        for seed in range(num_listeners):
            listener = Bystander(buffer, lead_ms=lead_ms)
            await listener.meet(Address.of(self.server.url))
            self.listeners.append(listener)
            self.texts.append(_text(seed, chars))

    async def listen(self) -> None:
        """Until all have begun."""
        for seed, (listener, text) in enumerate(zip(self.listeners, self.texts, strict=True)):
            listener.listen(text, seed=seed, params=self.params)
        for listener in self.listeners:
            await listener.until_begun()

    async def over(self) -> list[Heard]:
        for listener in self.listeners:
            await listener.until_over()
        return [listener.heard for listener in self.listeners]

    def kill(self) -> float:
        """The engine that speaks: the one that was started first. The instant."""
        os.kill(min(self.server.processes["engine"], key=_started_at), signal.SIGKILL)
        return time.monotonic()

    def judge(self, heard: Sequence[Heard], killed_at: float, tolerance: int) -> None:
        self.num_trials += len(heard)
        for each, whole in zip(heard, self.undisturbed, strict=True):
            self.silences_s.append(each.longest_silence_s)
            self.pauses_s.append(each.pause_s(killed_at))
            if wrong := each.wrong or self._difference(each.pcm, whole, tolerance):
                self.wrong[wrong] += 1

    def result(self) -> dict[str, Any]:
        return {
            "model": Path(self.model).name,
            "listeners": len(self.listeners),
            "utterances": self.num_trials,
            "samples_compared": sum(map(len, self.undisturbed)) * self.num_trials // max(1, len(self.listeners)),
            "wrong": dict(self.wrong),
            "max_difference": self.max_difference,
            "longest_silence_ms": percentiles(self.silences_s),
            "pause_ms": percentiles(self.pauses_s),
        }

    def _difference(self, pcm: Pcm, whole: Pcm, tolerance: int) -> str | None:
        if len(pcm) != len(whole):
            return f"{len(pcm)} samples of {len(whole)}"
        difference = int(np.abs(pcm.astype(np.int32) - whole).max(initial=0))
        self.max_difference = max(self.max_difference, difference)
        return f"samples differ by more than {tolerance}" if difference > tolerance else None


def main(argv: Sequence[str] | None = None) -> int:
    """0: all were heard to the sample, and nobody was without sound for long; 1: otherwise."""
    options = _parse(argv)
    wanted = {
        "tone": options.tone,
        "espeak": options.espeak,
        **({options.model: options.listeners} if options.model else {}),
    }
    flags = [*(["--standby"] if options.standby else []), *options.server_flags]
    try:
        with ExitStack() as stack, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            crowds = [
                Crowd(model, stack.enter_context(running_server(model, flags))) for model, num in wanted.items() if num
            ]
            runner.run(_try_all(crowds, [num for num in wanted.values() if num], options))
    except (ServerFailed, ConnectionFailed, TimeoutError) as error:
        print(f"bench.crashes: {str(error) or 'the server gave no answer in time'}", file=sys.stderr)
        return 1
    found = {
        "standby": options.standby,
        "server_flags": " ".join(options.server_flags),
        "lead_ms": options.lead_ms,
        "kills": options.trials,
        "tolerance": options.tolerance,
        "load_average": os.getloadavg()[0],
        "crowds": [crowd.result() for crowd in crowds],
    }
    name = options.name or ("crashes-standby" if options.standby else "crashes")
    return tell(name, goals(crowds), found, options.output)


def goals(crowds: Sequence[Crowd]) -> list[Goal]:
    told = []
    for crowd in crowds:
        model, num_wrong = Path(crowd.model).name, crowd.wrong.total()
        silence = percentiles(crowd.silences_s)
        p95_ms = silence["p95"]
        told += [
            Goal(
                what=f"kill -9 while {len(crowd.listeners)} {model} streams speak: utterances not whole to the sample",
                goal=f"0 of {crowd.num_trials}",
                measured=f"{num_wrong} of {crowd.num_trials}",
                is_met=num_wrong == 0,
            ),
            Goal(
                what=f"{model}: longest silence of a listener, p50 / p95 / max ms",
                goal=f"p95 <= {1000 * MAX_SILENCE_P95_S:g}",
                measured=f"{silence['p50']} / {p95_ms} / {silence['max']}",
                is_met=p95_ms is not None and p95_ms <= 1000 * MAX_SILENCE_P95_S,
            ),
        ]
    return told


async def _try_all(crowds: Sequence[Crowd], nums: Sequence[int], options: argparse.Namespace) -> None:
    buffer, random = bytearray(BUFFER_BYTES), Random(options.seed)
    for crowd, num_listeners in zip(crowds, nums, strict=True):
        await crowd.meet(num_listeners, options.chars, options.lead_ms, buffer)
    for crowd in crowds:
        await crowd.listen()
    for crowd in crowds:
        crowd.undisturbed = [heard.pcm for heard in await crowd.over()]
    for number in range(options.trials):
        print(f"kill {number + 1} of {options.trials} ...", file=sys.stderr, flush=True)
        next_at = time.monotonic() + BETWEEN_KILLS_S
        for crowd in crowds:
            await crowd.listen()
        await asyncio.sleep(random.uniform(*KILL_AFTER_S))
        killed_at = [crowd.kill() for crowd in crowds]
        for crowd, at in zip(crowds, killed_at, strict=True):
            crowd.judge(await crowd.over(), at, options.tolerance)
        if number + 1 < options.trials:
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    for crowd in crowds:
        for listener in crowd.listeners:
            listener.goodbye()


def _text(seed: int, chars: int) -> str:
    return Texts("en", seed).sentences(chars)[:chars].rstrip() + "."


def _started_at(pid: int) -> int:
    """In ticks since the machine was (proc(5), stat, field 22)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("crashes", __doc__)
    parser.add_argument("--tone", type=int, default=50, help="listeners of the test voice")
    parser.add_argument("--espeak", type=int, default=10, help="listeners of espeak")
    parser.add_argument("--model", help="another model, in a server of its own")
    parser.add_argument("--listeners", type=int, default=4, help="of that model")
    parser.add_argument("--trials", type=int, default=20, help="kills")
    parser.add_argument("--standby", action="store_true", help="a second engine stands by")
    parser.add_argument("--chars", type=int, default=80, help="of each text; the tone says 14 a second")
    parser.add_argument("--lead-ms", type=int, default=320, help="how far ahead of its listeners the server works")
    parser.add_argument("--tolerance", type=int, default=0, help="by which a sample may differ")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which engines are killed")
    parser.add_argument("--name", help="of the result's file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
