"""Stage: the same seconds of speech in patches of one, two and four latents (25, 12.5 and 6.25 a second)."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path
from typing import Any

import torch

from .gpu_model import Rows, device_memory, open_model, synchronize
from .gpu_stage import Keep, Plan

PATCH_SIZES = (4, 2, 1)
QUOTED = {
    1: {"seconds": 5.2, "memory_gb": 9.8},
    4: {"seconds": 1.8, "memory_gb": 5.9},
}
"""VoxCPM-1.5-TTS-WEB-UI's article, of one utterance at 25 and 6.25 Hz; it names neither the GPU nor the length."""

AUDIO_S = 10.0
RUNS = 3


def run(plan: Plan, keep: Keep) -> None:
    rows: list[dict[str, Any]] = []
    audio_s = 1.0 if plan.rehearse else AUDIO_S
    for patch_size in PATCH_SIZES:
        folder = view(plan.checkpoint, plan.folder / f"patch-{patch_size}", patch_size=patch_size)
        rows.append(_measured(plan, folder, audio_s))
        keep("patches", rows)
        if patch_size in QUOTED:
            rows.append({"whose": "quoted", "hz": rows[-1]["hz"], **QUOTED[patch_size]})
            keep("patches", rows)
        gc.collect()
        if plan.device != "cpu":
            torch.cuda.empty_cache()


def view(checkpoint: Path, folder: Path, **changed: Any) -> Path:
    """The checkpoint under another name with some keys of its config.json changed; weights are linked."""
    folder.mkdir(parents=True)
    for path in checkpoint.resolve().iterdir():
        if path.name != "config.json":
            (folder / path.name).symlink_to(path)
    config = json.loads((checkpoint / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _measured(plan: Plan, checkpoint: Path, audio_s: float) -> dict[str, Any]:
    """One utterance alone, the best of some runs, from its opening to its last sample."""
    if plan.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    before = device_memory(plan)
    model = open_model(plan, checkpoint=checkpoint, num_slots=1)
    patch_s = model.info.patch_samples / model.info.sample_rate
    num_patches = round(audio_s / patch_s)
    times_s: list[float] = []
    first_s: list[float] = []
    for seed in range(1, 1 + RUNS):
        synchronize(plan)
        begun_at = time.perf_counter()
        rows = Rows(model, (seed,))
        rows.step()
        first_s.append(time.perf_counter() - begun_at)
        rows.speak(num_patches - 1)
        times_s.append(time.perf_counter() - begun_at)
        rows.close()
    after = device_memory(plan)
    model.shutdown()
    used = after["used_gib"] - before["used_gib"] if after else None
    return {
        "whose": "ours",
        "hz": round(1 / patch_s, 2),
        "seconds": round(min(times_s), 3),
        "first_ms": round(1000 * min(first_s), 2),
        "audio_s": round(num_patches * patch_s, 2),
        "memory_gb": None if used is None else round(used * 2**30 / 1e9, 2),
        "memory": after,
    }
