"""Stage: how long a step takes, by bucket; what of it is the codec, and how long the device waits between two."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.voxcpm.config import read_config
from models.voxcpm.model import VoxCPMModel

from .gpu_clock import Marks, device_times_ms
from .gpu_flops import step_flops, utilisation
from .gpu_machine import REFERENCE_FLOPS_PER_S, nvidia_smi
from .gpu_model import (
    DECODE,
    Rows,
    buckets,
    device_memory,
    is_recorded,
    kernel_choices,
    num_refused,
    open_fitting,
    programs,
    replay,
    step_without_vae,
    synchronize,
)
from .gpu_stage import Keep, Plan

NUM_REPLAYS = 40
NUM_STEPS = 24
WARM_UPS = 3
UNDER_WAY = 2
"""Steps at once, as the engine has them."""


def run(plan: Plan, keep: Keep) -> None:
    started_at = time.monotonic()
    config = read_config(plan.checkpoint)
    flops = step_flops(config)
    keep("flops", flops)
    keep("patch_s", config.patch_samples / config.sample_rate)
    model = open_fitting(plan, num_slots=8 if plan.rehearse else 2 * 112)
    keep("ready_s", round(time.monotonic() - started_at, 2))
    sizes = buckets(model)[:3] if plan.rehearse else buckets(model)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        rows.append(_bucket(plan, model, size, flops["all"]))
        keep("buckets", rows)
    largest = [row for row in rows if 2 * row["rows"] <= model.info.max_slots][-1]
    keep("saturation", _saturation(plan, model, largest, flops["all"]))
    keep("first_patch_ms", _first_patch(plan, model))
    keep("prefill", _others(plan, model))
    keep("memory", device_memory(plan))
    keep("kernels", kernel_choices(model))
    keep("refused", num_refused(model))
    keep("device", nvidia_smi() if plan.device != "cpu" else {})


def spread(times_ms: Sequence[float]) -> dict[str, float]:
    found = np.percentile(times_ms, (0, 50, 95))
    return {name: round(float(value), 4) for name, value in zip(("min", "p50", "p95"), found, strict=True)}


def _bucket(plan: Plan, model: VoxCPMModel, size: int, flops: int) -> dict[str, Any]:
    """A step of that many rows as the engine takes it, and its graph alone. Contexts grow as they do in speech."""
    rows = Rows(model, range(1, size + 1))
    try:
        for _ in range(WARM_UPS):
            patches = rows.step()
        if any(np.ptp(patch.pcm) == 0 for patch in patches):
            raise ValueError(f"sound was expected of all {size} rows, but some are constant")
        walls_ms: list[float] = []
        for _ in range(NUM_STEPS):
            synchronize(plan)
            begun_at = time.perf_counter()
            rows.step()
            walls_ms.append(1000 * (time.perf_counter() - begun_at))
        row: dict[str, Any] = {"rows": size, "wall_ms": spread(walls_ms)}
        if is_recorded(model):
            times_ms = _timed(lambda: replay(model, DECODE, size))
            without_ms = _timed(step_without_vae(model, size))
            row |= {"graph_ms": spread(times_ms), "without_vae_ms": spread(without_ms)}
            row["vae_share"] = round(1 - row["without_vae_ms"]["p50"] / row["graph_ms"]["p50"], 4)
    finally:
        rows.close()
    seconds = row.get("graph_ms", row["wall_ms"])["p50"] / 1000
    patch_s = model.info.patch_samples / model.info.sample_rate
    row["rtf"] = round(seconds / patch_s, 5)
    row["audio_s_per_s"] = round(size * patch_s / seconds, 1)
    row["mfu"] = round(utilisation(flops, size, seconds, REFERENCE_FLOPS_PER_S), 4)
    return row


def _timed(work: Callable[[], None]) -> Sequence[float]:
    return device_times_ms(work, num_runs=NUM_REPLAYS)


def _saturation(plan: Plan, model: VoxCPMModel, row: dict[str, Any], flops: int) -> dict[str, Any]:
    """Steps of one bucket, two under way as the engine keeps them: how much longer they take than their graphs.

    The rows are two sets in turn, since a row's next step cannot begin before its last was told. The bubble is what of
    the time between the ends of two steps is not the graph: the device waits, or copies.
    """
    size = row["rows"]
    sets = [Rows(model, range(base + 1, base + 1 + size), first_slot=base) for base in (0, size)]
    ends = Marks()
    try:
        for rows in sets:
            for _ in range(WARM_UPS):
                rows.step()
        synchronize(plan)
        under_way: list[tuple[Rows, Any]] = []
        begun_at = time.perf_counter()
        for number in range(2 * NUM_STEPS):
            if len(under_way) == UNDER_WAY:
                earlier, pending = under_way.pop(0)
                earlier.told(pending)
            rows = sets[number % 2]
            under_way.append((rows, rows.submit()))
            if plan.device != "cpu":
                ends.mark()
        for rows, pending in under_way:
            rows.told(pending)
        synchronize(plan)
        step_ms = 1000 * (time.perf_counter() - begun_at) / (2 * NUM_STEPS)
    finally:
        for rows in sets:
            rows.close()
    found: dict[str, Any] = {"rows": size, "step_ms": round(step_ms, 4)}
    if plan.device != "cpu":
        between_ms = ends.between_ms()
        found["between_ends_ms"] = spread(between_ms)
        step_ms = float(np.mean(between_ms))
        if "graph_ms" in row:
            found["bubble"] = round(1 - row["graph_ms"]["p50"] / step_ms, 4)
    found["mfu"] = round(utilisation(flops, size, step_ms / 1000, REFERENCE_FLOPS_PER_S), 4)
    return found


def _first_patch(plan: Plan, model: VoxCPMModel) -> dict[str, float]:
    """From an utterance's opening to its first patch on the host: the context's prefill and a step."""
    times_ms: list[float] = []
    for seed in range(NUM_STEPS):
        synchronize(plan)
        begun_at = time.perf_counter()
        rows = Rows(model, (seed,))
        rows.step()
        times_ms.append(1000 * (time.perf_counter() - begun_at))
        rows.close()
    return spread(times_ms)


def _others(plan: Plan, model: VoxCPMModel) -> list[dict[str, Any]]:
    """The programs beside the step, by their sizes: prefills by tokens."""
    found: list[dict[str, Any]] = []
    for name, sizes in programs(model).items():
        if name == DECODE or not is_recorded(model):
            continue
        for size in sizes:
            found.append({"program": name, "size": size, **spread(_timed(lambda n=name, s=size: replay(model, n, s)))})  # type: ignore[misc]
    return found
