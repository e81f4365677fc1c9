"""Stage: eight minutes-long streams inside a small budget of memory; and how long the server takes to be ready."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from .gpu_machine import used_mib
from .gpu_model import Rows, device_memory, open_model, write_voices
from .gpu_server import server_flags
from .gpu_stage import Keep, Plan
from .server import running_server

BUDGET_GIB = 4.0
NUM_STREAMS = 8
STREAM_S = 60.0
SAMPLES = 16

CACHES = ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH")
"""Where compiled code is kept: new folders make a first start of a second one."""


def run(plan: Plan, keep: Keep) -> None:
    ends_at = time.monotonic() + plan.seconds
    keep("budget", _budget(plan))
    folder = plan.folder / "starts"
    for name in CACHES:
        os.environ[name] = str(folder / name)
    for start in ("cold",) if plan.rehearse else ("cold", "warm"):
        left_s = ends_at - time.monotonic()
        if left_s > 2:
            keep(f"{start}_start_s", _start_s(plan, folder / "cache", left_s))


def _budget(plan: Plan) -> dict[str, Any]:
    before_mib = used_mib()
    model = open_model(plan, num_slots=NUM_STREAMS, gpu_memory=0.0 if plan.device == "cpu" else BUDGET_GIB)
    patch_s = model.info.patch_samples / model.info.sample_rate
    num_patches = 4 if plan.rehearse else round(STREAM_S / patch_s)
    rows = Rows(model, range(1, NUM_STREAMS + 1))
    rows.speak(2)
    allocated = [_allocated()]
    used = [used_mib()]
    made = 2
    while made < num_patches:
        count = min(max(1, num_patches // SAMPLES), num_patches - made)
        rows.speak(count)
        made += count
        allocated.append(_allocated())
        used.append(used_mib())
    rows.close()
    found: dict[str, Any] = {
        "budget_gib": BUDGET_GIB,
        "slots": model.info.max_slots,
        "streams": NUM_STREAMS,
        "audio_s_each": round(num_patches * patch_s, 1),
        "is_constant": len(set(allocated)) == 1,
        "memory": device_memory(plan),
    }
    if before_mib is not None:
        found["used_gib"] = round((max(filter(None, used)) - before_mib) / 1024, 3)
    return found


def _start_s(plan: Plan, cache: Path, timeout_s: float) -> float:
    """Seconds from the command to a server that is ready. Default voices are there, compiled code may not be."""
    write_voices(plan.checkpoint, cache)
    flags = server_flags(plan, num_slots=NUM_STREAMS)
    flags[flags.index("--cache-dir") + 1] = str(cache)
    begun_at = time.monotonic()
    with running_server(str(plan.checkpoint), flags, start_timeout_s=timeout_s):
        return round(time.monotonic() - begun_at, 2)


def _allocated() -> int:
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
