"""Plans past the hardware at hand: `python -m bench.simulate --gpus 4`. The real engine against a model of its steps.

Listeners come at random and stay for as long as their text takes; every device has an engine of its own, with the
server's scheduler, clocks, admission and placement. Only the device and the time are simulated: what a step takes is
computed from the arithmetic of an H200 (`--step-model H200`) or was measured by `bench.gpu` (a file of it).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .report import RESULTS, percentiles, table, write
from .simulate_plot import NO_PLOT, plot
from .simulate_run import Outcome, Scenario, simulate
from .simulate_times import StepModel, StepModelError, computed_h200, measured

LOADS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0, 1.2)
QUICK_ARRIVALS = 200
GAPS_MS = (50, 100, 200)


def main(argv: Sequence[str] | None = None) -> int:
    """0: simulated; 1: what was measured cannot be read."""
    options = _parse(argv)
    try:
        steps = computed_h200() if options.step_model == "H200" else measured(Path(options.step_model))
    except StepModelError as error:
        print(f"bench.simulate: {error}", file=sys.stderr)
        return 1
    print(f"{options.gpus} x {steps.name}: {steps.note}", file=sys.stderr)
    num_arrivals = min(QUICK_ARRIVALS, options.arrivals) if options.quick else options.arrivals
    full = full_rate(steps, options.gpus, options.mean_s)
    runs: list[dict[str, Any]] = []
    for rate in options.rate or [load * full for load in (LOADS[:2] if options.quick else options.loads)]:
        scenario = Scenario(
            num_gpus=options.gpus,
            num_arrivals=num_arrivals,
            rate=rate,
            seed=options.seed,
            mean_s=options.mean_s,
            lead_s=options.lead_s,
            host_us_per_row=options.host_us,
        )
        began_at = time.monotonic()
        outcome = simulate(steps, scenario)
        runs.append({"load": round(rate / full, 3), **asdict(scenario), **told(outcome)})
        runs[-1]["wall_s"] = round(time.monotonic() - began_at, 1)
        print(table([_row(run) for run in runs]), flush=True)
    directory = options.output or (None if options.quick else RESULTS)
    if directory is not None:
        name = f"simulate-{steps.name.lower()}-{options.gpus}gpu"
        path = write(name, {"step_model": steps.told(), "runs": runs}, directory)
        print(path, file=sys.stderr)
        picture = path.with_suffix(".png")
        print(picture if plot(steps, runs, picture) else NO_PLOT, file=sys.stderr)
    return 0


def full_rate(steps: StepModel, num_gpus: int, mean_s: float) -> float:
    """Arrivals a second whose speech the devices can just make, reading in not counted: a load of 1."""
    return num_gpus * steps.rows_per_s * 0.16 / mean_s


def told(outcome: Outcome) -> dict[str, Any]:
    """What listeners had: milliseconds from text to first audio, and gaps between patches as they play."""
    heard = [listener for listener in outcome.listeners if not listener.refused]
    worst_ms = 1000 * np.array([listener.worst_gap_s for listener in heard])
    return {
        "refused_share": round(1 - len(heard) / len(outcome.listeners), 5),
        "first_audio_ms": percentiles([listener.first_at - listener.asked_at for listener in heard]),
        "listeners_with_gaps": sum(listener.num_gaps > 0 for listener in heard),
        "gaps": sum(listener.num_gaps for listener in heard),
        "worst_gap_ms": round(float(worst_ms.max()), 2) if len(heard) else None,
        **{f"c{limit}": round(float((worst_ms < limit).mean()), 5) if len(heard) else None for limit in GAPS_MS},
        "utilisation": round(outcome.utilisation, 4),
        "rows_per_step": round(outcome.num_rows / max(1, outcome.num_steps), 1),
        "rows": outcome.num_rows,
        "capacity_per_gpu": round(outcome.capacity),
        "virtual_s": round(outcome.virtual_s, 1),
    }


def _row(run: Mapping[str, Any]) -> dict[str, object]:
    first = run["first_audio_ms"]
    return {
        "load": f"{run['load']:.2f}",
        "arrivals/s": run["rate"],
        "refused %": 100 * run["refused_share"],
        "first audio p50/p95/p99": "/".join(f"{first[key] or 0:.1f}" for key in ("p50", "p95", "p99")),
        "with gaps": run["listeners_with_gaps"],
        "C50/C100/C200": "/".join(f"{run[f'c{limit}'] or 0:.4f}" for limit in GAPS_MS),
        "rows a step": run["rows_per_step"],
        "busy %": 100 * run["utilisation"],
        "wall s": run["wall_s"],
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, default=1, help="devices")
    parser.add_argument("--arrivals", type=int, default=10_000, help="listeners of each run, at most 100,000")
    parser.add_argument("--rate", type=float, nargs="+", help="arrivals a second of each run, instead of loads")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS, help="shares of what the devices can make")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mean-s", type=float, default=8.0, help="mean length of the speech, log-normal")
    parser.add_argument("--lead-s", type=float, default=4.0, help="how far ahead of its listener a stream is made")
    parser.add_argument("--host-us", type=float, default=12.0, help="microseconds of host work a row")
    parser.add_argument("--step-model", default="H200", help="H200 (computed), or a file that bench.gpu has written")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ARRIVALS} listeners, two loads, no file")
    parser.add_argument("--output", type=Path, help="folder of the results, if not bench/results")
    options = parser.parse_args(argv)
    if not (1 <= options.arrivals <= 100_000 and 1 <= options.gpus <= 64):
        parser.error("1 to 100,000 arrivals and 1 to 64 devices were expected")
    return options


if __name__ == "__main__":
    sys.exit(main())
