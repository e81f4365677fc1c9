"""Stage: seconds of audio a second, when nobody listens and all rows are background."""

from __future__ import annotations

import time

from .gpu_engine import EngineStreams
from .gpu_machine import nvidia_smi
from .gpu_model import open_fitting
from .gpu_stage import Keep, Plan
from .gpu_streams import Scene, perform

NUM_STREAMS = 224
WARM_UP_S = 3.0


def run(plan: Plan, keep: Keep) -> None:
    ends_at = time.monotonic() + plan.seconds
    num_streams = 3 if plan.rehearse else NUM_STREAMS
    model = open_fitting(plan, num_slots=num_streams)
    streams = EngineStreams(model, lead_s=None)
    warm_up_s = 0.2 if plan.rehearse else WARM_UP_S
    seconds = 0.8 if plan.rehearse else max(3.0, min(60.0, ends_at - time.monotonic() - WARM_UP_S - 3.0))
    scene = Scene(
        num_streams=num_streams, seconds=seconds, warm_up_s=warm_up_s, ramp_s=warm_up_s / 2, is_listened_to=False
    )
    found = perform(streams, scene)
    for name in ("audio_s_per_s", "seconds", "busy", "steps", "flat_patches", "refused"):
        keep(name, found[name])
    keep("device", nvidia_smi() if plan.device != "cpu" else {})
    streams.shutdown()
