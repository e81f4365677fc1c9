"""A long text through a checkpoint's slots: `python -m bench.longform --model DIRECTORY [--minutes 20]`.

Memory and the time of a step, minute by minute of speech: a long text must neither grow nor slow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.base import ModelOptions, Patch, SpeechModel, SpeechParams
from models.registry import load_model

from .report import RESULTS, table, write
from .texts import Texts

WARM_UP_MINUTES = 1


def main(argv: Sequence[str] | None = None) -> int:
    """0: the last minutes were as the first; 1: memory or time had grown."""
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        cache = options.cache or Path(folder)
        model = load_model(str(options.model), ModelOptions(cache=cache, num_threads=options.threads))
        rows = list(_minutes(model, options.minutes))
        model.shutdown()
    print(table(rows))
    first, last = rows[min(WARM_UP_MINUTES, len(rows) - 1)], rows[-1]
    grown_mib = last["rss_mib"] - first["rss_mib"]
    slowed = last["step_ms_p50"] / first["step_ms_p50"]
    is_steady = grown_mib <= 16 and slowed <= 1.2
    print(f"\nmemory {grown_mib:+.1f} MiB, step x{slowed:.2f}: {'steady' if is_steady else 'NOT steady'}")
    if options.keep:
        write("longform", {"model": options.model.name, "threads": options.threads, "minutes": rows}, RESULTS)
    return 0 if is_steady else 1


def _minutes(model: SpeechModel, num_minutes: int) -> list[dict[str, Any]]:
    """One utterance; a row for each minute of its speech."""
    info = model.info
    model.open(0, 0, info.default_voice, SpeechParams(seed=1))
    texts = Texts("en", seed=1)
    rows: list[dict[str, Any]] = []
    num_segments = num_samples = 0
    steps_ms: list[float] = []
    is_over = True
    while len(rows) < num_minutes:
        if is_over:
            model.extend(0, texts.sentence())
            model.seal(0)
            num_segments += 1
        started = time.perf_counter()
        (patch,) = model.submit([0]).patches()
        steps_ms.append(1000 * (time.perf_counter() - started))
        assert isinstance(patch, Patch), patch
        num_samples += len(patch.pcm)
        is_over = patch.last
        if num_samples >= (len(rows) + 1) * 60 * info.sample_rate:
            p50, p99 = np.percentile(steps_ms, (50, 99))
            rows.append(
                {
                    "minute": len(rows) + 1,
                    "segments": num_segments,
                    "step_ms_p50": round(float(p50), 2),
                    "step_ms_p99": round(float(p99), 2),
                    "rss_mib": round(_rss_mib(), 1),
                }
            )
            steps_ms.clear()
    model.close(0)
    return rows


def _rss_mib() -> float:
    """Resident memory of this process (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.longform", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint directory")
    parser.add_argument("--minutes", type=int, default=20, help="of speech (default: 20)")
    parser.add_argument("--threads", type=int, default=2, help="of the model (default: 2)")
    parser.add_argument("--cache", type=Path, help="folder of made voices (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="write bench/results/longform-DATE.json")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
