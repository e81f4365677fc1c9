"""Stage: the same seconds of speech in patches of one, two and four latents (25, 12.5 and 6.25 a second)."""

from __future__ import annotations

import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .gpu_machine import used_mib
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
    """Each size in a fork of this process, which never touches the device: so one's memory is none of the next's."""
    rows: list[dict[str, Any]] = []
    for patch_size in PATCH_SIZES:
        folder = view(plan.checkpoint, plan.folder / f"patch-{patch_size}", patch_size=patch_size)
        rows.append(_forked(plan, folder))
        if patch_size in QUOTED:
            rows.append({"whose": "quoted", "hz": rows[-1]["hz"], **QUOTED[patch_size]})
        keep("patches", rows)


def view(checkpoint: Path, folder: Path, **changed: Any) -> Path:
    """The checkpoint under another name with some keys of its config.json changed; weights are linked."""
    folder.mkdir(parents=True)
    for path in checkpoint.resolve().iterdir():
        if path.name != "config.json":
            (folder / path.name).symlink_to(path)
    config = json.loads((checkpoint / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _forked(plan: Plan, checkpoint: Path) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    before_mib = used_mib()
    process = context.Process(target=_measure, args=(plan, checkpoint, before_mib, theirs))
    process.start()
    theirs.close()
    try:
        row: dict[str, Any] = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the fork for {checkpoint.name} ended with {process.exitcode}, see the log") from None
    process.join()
    return row


def _measure(plan: Plan, checkpoint: Path, before_mib: float | None, result: Connection) -> None:
    """One utterance alone, the best of some runs, from its opening to its last sample."""
    model = open_model(plan, checkpoint=checkpoint, num_slots=1)
    patch_s = model.info.patch_samples / model.info.sample_rate
    num_patches = round((1.0 if plan.rehearse else AUDIO_S) / patch_s)
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
    after_mib = used_mib()
    used_gb = None if before_mib is None or after_mib is None else (after_mib - before_mib) * 2**20 / 1e9
    result.send(
        {
            "whose": "ours",
            "hz": round(1 / patch_s, 2),
            "seconds": round(min(times_s), 3),
            "first_ms": round(1000 * min(first_s), 2),
            "audio_s": round(num_patches * patch_s, 2),
            "memory_gb": None if used_gb is None else round(used_gb, 2),
            "memory": device_memory(plan),
        }
    )
