"""What the simulator found, as a picture; it needs matplotlib, which nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .simulate_times import StepModel

NO_PLOT = "no plot was made: it needs matplotlib, which is not installed (pip install matplotlib)"


def plot(steps: StepModel, runs: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """First audio, gaps and what is left of the devices, by offered load. False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    runs = sorted(runs, key=lambda run: float(run["load"]))
    loads = [run["load"] for run in runs]
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    first, gaps, use = figure.subplots(1, 3)
    for key, style in (("p50", "-o"), ("p95", "--s"), ("p99", ":^")):
        first.plot(loads, [run["first_audio_ms"][key] for run in runs], style, label=key)
    first.set(ylabel="text to first audio, ms", ylim=(0, None))
    for limit, style in ((50, "-o"), (100, "--s"), (200, ":^")):
        gaps.plot(
            loads, [100 * (1 - (run[f"c{limit}"] or 0)) for run in runs], style, label=f"gap of {limit} ms or more"
        )
    heard = [run["first_audio_ms"]["n"] for run in runs]
    shares = [100 * run["listeners_with_gaps"] / max(1, n) for run, n in zip(runs, heard, strict=True)]
    gaps.plot(loads, shares, "-", color="grey", label="any gap")
    gaps.set(ylabel="listeners, %", ylim=(-0.5, max(5.0, *shares)))
    use.plot(loads, [100 * run["utilisation"] for run in runs], "-o", label="device busy")
    use.plot(loads, [100 * run["refused_share"] for run in runs], "--s", label="refused")
    use.set(ylabel="%", ylim=(-2, 102))
    for axes, title in ((first, "First audio"), (gaps, "Gaps of who was let in"), (use, "Devices and refusals")):
        axes.set(xlabel="offered load (1: all that the devices can make)", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    how = "step times measured" if steps.is_measured else "COMPUTED from a step model, not measured"
    figure.suptitle(f"{runs[0]['num_gpus']} x {steps.name}: simulated listeners, real scheduler; {how}")
    figure.savefig(path, dpi=110)
    return True
