"""What a step of several rows costs beside a step of one: `python -m bench.rows --checkpoint DIRECTORY`.

The steps of all sizes take turns, so that a busy machine slows them alike; each is of slots in the middle of a segment.
The goal on any CPU, for the 1.5 shape: eight rows in no more than three times the time of one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from models.base import ModelOptions, SpeechModel, SpeechParams
from models.voxcpm.model import load_speech_model

from .gpu_model import write_voices
from .peer import STAGES, TEXT, Stopwatch
from .peer_voxwire import watch_stages
from .report import RESULTS, table, write

SIZES = (1, 2, 4, 8)
GOAL = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured."""
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        write_voices(options.checkpoint, Path(folder))
        how = ModelOptions(
            device="cpu",
            dtype=options.dtype,
            quantize=options.quantize,
            num_threads=options.threads,
            num_slots=max(SIZES),
            cache=Path(folder),
        )
        model = load_speech_model(options.checkpoint, how)
        watch = Stopwatch()
        watch_stages(watch, model)
        taken_ms, stages_ms = measured(model, watch, options.rounds)
    rows = compared(taken_ms, stages_ms)
    print(table(rows))
    if options.output:
        settings = {
            "dtype": options.dtype,
            "quantize": options.quantize,
            "threads": options.threads,
            "rounds": options.rounds,
            "goal": GOAL,
        }
        print(write("rows", settings | {"rows": rows, "ms": taken_ms}, options.output))
    return 0


def measured(
    model: SpeechModel, watch: Stopwatch, rounds: int
) -> tuple[dict[int, list[float]], dict[int, list[dict[str, float]]]]:
    """Milliseconds of each step, by its number of rows, and of its stages. The first round warms up and is not among
    them."""
    for slot in range(max(SIZES)):
        model.open(slot, 1, model.info.default_voice, SpeechParams(seed=slot))
        model.extend(slot, TEXT)
        model.seal(slot)
    model.submit(range(max(SIZES))).patches()  # the contexts are read
    taken_ms: dict[int, list[float]] = {size: [] for size in SIZES}
    stages_ms: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
    for number in range(rounds + 1):
        for size in SIZES:
            watch.lap()
            started_at = time.perf_counter()
            model.submit(range(size)).patches()
            if number:
                taken_ms[size].append(1000 * (time.perf_counter() - started_at))
                stages_ms[size].append(watch.lap())
    for slot in range(max(SIZES)):
        model.close(slot)
    return taken_ms, stages_ms


def compared(taken_ms: dict[int, list[float]], stages_ms: dict[int, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Median milliseconds by size, and how many times those of one row they are: the median of each round's ratio.

    And what each stage took of a step, median milliseconds.
    """
    alone = taken_ms[1]
    return [
        {
            "rows": size,
            "ms": round(statistics.median(each), 1),
            "ms per row": round(statistics.median(each) / size, 1),
            "times one": round(statistics.median(many / one for many, one in zip(each, alone, strict=True)), 2),
            **{stage: round(statistics.median(lap[stage] for lap in stages_ms[size]), 1) for stage in STAGES},
        }
        for size, each in taken_ms.items()
    ]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    dtypes: tuple[Literal["auto", "float32", "bfloat16"], ...] = ("auto", "float32", "bfloat16")
    parser = argparse.ArgumentParser(prog="python -m bench.rows", description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="made by bench.checkpoint with --never-stop")
    parser.add_argument("--dtype", choices=dtypes, default="auto")
    parser.add_argument("--quantize", choices=("none", "int8"), default="none")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON result")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
