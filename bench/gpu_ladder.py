"""Stage: how many real-time listeners the engine carries, in this process, with simulated playback."""

from __future__ import annotations

import gc
import time
from typing import Any

from .gpu_engine import EngineStreams
from .gpu_model import num_refused, open_fitting
from .gpu_stage import Keep, Plan
from .gpu_streams import MEAN_S, Scene, is_passed, perform

LADDER = (128, 256, 512, 1000, 1500)
REHEARSED = (1, 2)
FIRST_P99_MS = 100.0
LEAD_S = 1.0
GOAL_S = 60.0
POISSON_ON = 512
NEWCOMERS_PER_S = 20.0
WARM_UP_S = 3.0


def run(plan: Plan, keep: Keep) -> None:
    """Climbs in short rungs until one does not hold; then the highest that held again, for as long as there is time."""
    ends_at = time.monotonic() + plan.seconds
    ladder: tuple[int, ...] = REHEARSED if plan.rehearse else LADDER
    model = open_fitting(plan, num_slots=8 if plan.rehearse else max(ladder) + 64)
    keep("ready_s", round(plan.seconds - (ends_at - time.monotonic()), 2))
    ladder = tuple(rung for rung in ladder if rung <= model.info.max_slots)
    keep("slots", model.info.max_slots)
    left_s = ends_at - time.monotonic()
    rung_s = 0.6 if plan.rehearse else max(4.0, 0.45 * left_s / len(ladder) - 2 * WARM_UP_S)
    rungs: list[dict[str, Any]] = []
    for num_streams in ladder:
        found = _rung(plan, model, num_streams, rung_s)
        rungs.append(found)
        keep("rungs", rungs)
        if not found["passed"]:
            break
    passing = [rung["streams"] for rung in rungs if rung["passed"]]
    keep("highest_passing", max(passing, default=0))
    keep("poisson", _poisson(plan, model, ends_at))
    keep("refused", num_refused(model))
    long_s = min(GOAL_S, ends_at - time.monotonic() - 2 * WARM_UP_S - 2.0)
    if passing and long_s > rung_s and not plan.rehearse:
        keep("longest", _rung(plan, model, max(passing), long_s))
    model.shutdown()


def _rung(plan: Plan, model: Any, num_streams: int, seconds: float) -> dict[str, Any]:
    """A new engine for each, so that none knows how fast the last one was."""
    warm_up_s = 0.2 if plan.rehearse else 2 * WARM_UP_S
    mean_s = 0.5 if plan.rehearse else MEAN_S
    scene = Scene(num_streams=num_streams, seconds=seconds, warm_up_s=warm_up_s, ramp_s=warm_up_s / 2, mean_s=mean_s)
    found = _performed(model, scene)
    return found | {"passed": is_passed(found, first_p99_ms=FIRST_P99_MS)}


def _poisson(plan: Plan, model: Any, ends_at: float) -> dict[str, Any]:
    """Newcomers onto many live streams."""
    if plan.rehearse:
        scene = Scene(
            num_streams=1, seconds=0.6, warm_up_s=0.2, ramp_s=0.1, mean_s=0.5, newcomers_per_s=6.0, newcomer_s=0.3
        )
    else:
        seconds = max(3.0, min(20.0, 0.25 * (ends_at - time.monotonic())))
        num_streams = min(POISSON_ON, model.info.max_slots - 64)
        scene = Scene(
            num_streams=num_streams,
            seconds=seconds,
            warm_up_s=2 * WARM_UP_S,
            ramp_s=WARM_UP_S,
            newcomers_per_s=NEWCOMERS_PER_S,
        )
    return _performed(model, scene) | {"newcomers_per_s": scene.newcomers_per_s}


def _performed(model: Any, scene: Scene) -> dict[str, Any]:
    streams = EngineStreams(model, lead_s=LEAD_S)
    gc.collect()
    gc.freeze()
    gc.disable()  # the engine's process collects while it is idle
    try:
        return perform(streams, scene)
    finally:
        gc.enable()
        streams.cancel_all()
