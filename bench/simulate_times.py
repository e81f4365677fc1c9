"""How long a step takes, for the simulator: computed from a device's arithmetic, or measured by `bench.gpu`."""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BUCKETS = (1, 2, 4, 7, 14, 28, 56, 112)

COPY_BYTES_PER_S = 4.3e12
FLOP_PER_S = 790e12
"""Dense bfloat16 of an H200; both as the device's makers and users state them, not measured here."""

EFFICIENCY = 0.6
"""Of its arithmetic, reached over a whole step."""

GAP_S = 1.2e-6
NUM_KERNELS = 560
"""Five fused kernels for each of 112 evaluations of a layer; between two of them the device waits."""

GFLOP = 1e9
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the model in one step: what it reads whatever the rows, and what a row adds."""

    weights: float  # bytes, read once
    row: float  # bytes
    flop: float  # of a row
    layers: int = 0  # evaluations
    is_early: bool = False  # the stops are known after it


VOXCPM_15 = (
    Part(weights=717 * MB, row=8.6 * MB, flop=0.72 * GFLOP, layers=24, is_early=True),  # base LM, at 700 tokens
    Part(weights=239 * MB, row=2.9 * MB, flop=0.24 * GFLOP, layers=8, is_early=True),  # residual LM
    Part(weights=9 * 239 * MB, row=0.0, flop=38.73 * GFLOP, layers=72),  # nine evaluations of the LocDiT with guidance
    Part(weights=239 * MB, row=0.0, flop=1.20 * GFLOP, layers=8),  # LocEnc
    Part(weights=86 * MB, row=21 * MB, flop=3.49 * GFLOP),  # the codec's decoder
)
PREFILL_MS = ((60, 0.22), (183, 0.28), (850, 1.14))
"""Tokens and milliseconds, computed as the step is."""


class StepModelError(Exception):
    """What was measured cannot be read; one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepModel:
    """Seconds of a step by bucket, and of reading tokens in."""

    name: str
    is_measured: bool
    note: str
    rows: tuple[int, ...]
    step_s: tuple[float, ...]
    early_s: tuple[float, ...]  # until the stops are known
    tokens: tuple[int, ...]
    prefill_s: tuple[float, ...]

    def bucket(self, num_rows: int) -> int:
        """The place of the bucket that holds so many rows."""
        return bisect_left(self.rows, num_rows)

    def reading_s(self, num_tokens: int) -> float:
        """Of reading so many tokens in, of any slots: interpolated, and beyond the last two as between them."""
        if num_tokens <= self.tokens[-1]:
            return float(np.interp(num_tokens, self.tokens, self.prefill_s))
        slope = (self.prefill_s[-1] - self.prefill_s[-2]) / (self.tokens[-1] - self.tokens[-2])
        return self.prefill_s[-1] + slope * (num_tokens - self.tokens[-1])

    @property
    def rows_per_s(self) -> float:
        """The most that the device makes."""
        return max(rows / seconds for rows, seconds in zip(self.rows, self.step_s, strict=True))

    def told(self) -> dict[str, Any]:
        """For a report."""
        return {
            "name": self.name,
            "is_measured": self.is_measured,
            "note": self.note,
            "steps": [{"rows": r, "ms": round(1000 * s, 3)} for r, s in zip(self.rows, self.step_s, strict=True)],
            "prefill": [
                {"tokens": t, "ms": round(1000 * s, 3)} for t, s in zip(self.tokens, self.prefill_s, strict=True)
            ],
        }


def computed_h200() -> StepModel:
    """One H200 and the 1.5 shape: each part takes what its bytes or its arithmetic takes, whichever is more."""
    steps, early = zip(*(_computed(num_rows) for num_rows in BUCKETS), strict=True)
    return StepModel(
        name="H200",
        is_measured=False,
        note=f"computed, not measured: {COPY_BYTES_PER_S / 1e12:g} TB/s, {EFFICIENCY:.0%} of {FLOP_PER_S / 1e12:g} "
        f"TFLOP/s, {NUM_KERNELS} kernels {1e6 * GAP_S:g} us apart",
        rows=BUCKETS,
        step_s=steps,
        early_s=early,
        tokens=tuple(tokens for tokens, _ in PREFILL_MS),
        prefill_s=tuple(ms / 1000 for _, ms in PREFILL_MS),
    )


def measured(path: Path) -> StepModel:
    """What `bench.gpu` wrote: `steps` of `rows` and `ms`, `prefill` of `tokens` and `ms`. Raises StepModelError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        steps = sorted({int(each["rows"]): float(each["ms"]) / 1000 for each in data["steps"]}.items())
        prefill = sorted({int(each["tokens"]): float(each["ms"]) / 1000 for each in data["prefill"]}.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepModelError(
            f"steps with rows and ms, and prefill with tokens and ms, were expected in {path}, but: {error!r}"
        ) from None
    if not steps or len(prefill) < 2 or min(seconds for _, seconds in steps + prefill) <= 0:
        raise StepModelError(f"a step and two prefills of more than 0 ms were expected in {path}, but fewer came")
    return StepModel(
        name=path.stem,
        is_measured=True,
        note=f"measured, from {path.name}; the stops are taken to be known after the share of a step that is computed",
        rows=tuple(rows for rows, _ in steps),
        step_s=tuple(seconds for _, seconds in steps),
        early_s=tuple(seconds * _early_share(rows) for rows, seconds in steps),
        tokens=tuple(tokens for tokens, _ in prefill),
        prefill_s=tuple(seconds for _, seconds in prefill),
    )


def _computed(num_rows: int) -> tuple[float, float]:
    """Of a step, and until its stops are known."""
    step_s = early_s = 0.0
    for part in VOXCPM_15:
        bytes_s = (part.weights + num_rows * part.row) / COPY_BYTES_PER_S
        flop_s = num_rows * part.flop / (EFFICIENCY * FLOP_PER_S)
        seconds = max(bytes_s, flop_s) + GAP_S * NUM_KERNELS * part.layers / 112
        step_s += seconds
        early_s += seconds * part.is_early
    return step_s, early_s


def _early_share(num_rows: int) -> float:
    step_s, early_s = _computed(num_rows)
    return early_s / step_s
