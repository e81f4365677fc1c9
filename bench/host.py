"""What the engine itself costs: `python -m bench.host`. Microseconds of CPU time a row, the model's own left out."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.base import Failure, History, ModelInfo, Patch, Pending, SpeechParams
from models.engine import Engine, Extend, Open, Seal
from models.tone import INFO, PATCH_SAMPLES, SAMPLE_RATE, ToneModel

from .report import RESULTS, table, write

ROWS = (1, 8, 56, 112)
NUM_STREAMS = 1500
ROUNDS = 20
LEAD_S = 4.0
TEXT = "x" * 230
"""A hundred patches of the tone."""
PATCH_S = PATCH_SAMPLES / SAMPLE_RATE


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured."""
    options = _parse(argv)
    num_steps, num_rounds = (10, 3) if options.quick else (options.steps, ROUNDS)
    runs = [
        measure(rows, options.streams, num_steps, overlapped, num_rounds)
        for overlapped in (False, True)
        for rows in ROWS
    ]
    print(
        table([{name: run[name] for name in ("form", "rows", "streams", "us_per_row", "us_per_step")} for run in runs])
    )
    directory = options.output or (None if options.quick else RESULTS)
    if directory is not None:
        print(write("host", {"runs": runs}, directory), file=sys.stderr)
    return 0


def measure(rows: int, num_streams: int, num_steps: int, overlapped: bool, num_rounds: int = ROUNDS) -> dict[str, Any]:
    """Steps of so many rows among so many listeners who all have text; the least of the rounds."""
    now = [0.0]
    model = TimedTone(rows, overlapped)
    engine = Engine(model, clock=lambda: now[0])
    for key in range(max(rows, num_streams)):
        engine.apply(Open(key, key, INFO.default_voice, SpeechParams(seed=key), int(LEAD_S * SAMPLE_RATE)))
        for command in (Extend(key, TEXT), Seal(key)):
            engine.apply(command)
    best_us = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(num_rounds):
            model.seconds, told = 0.0, 0
            began_at = time.thread_time()
            for _ in range(num_steps):
                now[0] += PATCH_S * rows / max(rows, num_streams)
                for key in model.over:
                    engine.apply(Extend(key, TEXT))
                    engine.apply(Seal(key))
                model.over.clear()
                step = engine.step()
                told += step.num_rows if step is not None else 0
            spent_s = time.thread_time() - began_at - model.seconds
            best_us = min(best_us, 1e6 * spent_s / max(1, told))
    finally:
        gc.enable()
    return {
        "form": "two steps under way" if overlapped else "one step",
        "rows": rows,
        "streams": max(rows, num_streams),
        "us_per_row": round(best_us, 2),
        "us_per_step": round(best_us * rows, 1),
    }


class TimedTone:
    """The tone, and the time spent in it. `over`: streams whose segment has ended, slots being given in order."""

    def __init__(self, rows: int, overlapped: bool) -> None:
        self._tone = ToneModel()
        self._info = replace(INFO, max_batch=rows, buckets=(rows,))
        self._overlapped = overlapped
        self.seconds = 0.0
        self.over: list[int] = []

    @property
    def info(self) -> ModelInfo:
        return self._info

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        self._tone.open(slot, generation, voice, params, history)

    def extend(self, slot: int, text: str) -> None:
        began_at = time.thread_time()
        self._tone.extend(slot, text)
        self.seconds += time.thread_time() - began_at

    def expect(self, slot: int, text: str) -> None:
        """It reads nothing ahead."""

    def seal(self, slot: int) -> None:
        began_at = time.thread_time()
        self._tone.seal(slot)
        self.seconds += time.thread_time() - began_at

    def submit(self, slots: Sequence[int]) -> Pending:
        began_at = time.thread_time()
        done = self._tone.submit(slots)
        results = done.patches()
        self.over += [each.slot for each in results if isinstance(each, Patch) and each.last]
        pending = UnderWay(results) if self._overlapped else done
        self.seconds += time.thread_time() - began_at
        return pending

    def close(self, slot: int) -> None:
        self._tone.close(slot)

    def reload_voices(self) -> None:
        """It has no others."""

    def shutdown(self) -> None:
        self._tone.shutdown()


class UnderWay:
    """A step that says that it is not over, so that the engine keeps two."""

    is_done = False

    def __init__(self, results: Sequence[Patch | Failure]) -> None:
        self._results = results
        self._stops = {each.slot: each.last for each in results if isinstance(each, Patch)}

    def stops(self) -> Mapping[int, bool]:
        return self._stops

    def patches(self) -> Sequence[Patch | Failure]:
        return self._results


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.host", description=__doc__)
    parser.add_argument("--streams", type=int, default=NUM_STREAMS, help="listeners")
    parser.add_argument("--steps", type=int, default=200, help="of each round")
    parser.add_argument("--quick", action="store_true", help="three rounds of ten steps, no file")
    parser.add_argument("--output", type=Path, help="folder of the result, if not bench/results")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
