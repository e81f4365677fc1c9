"""Stage: what the device is, how fast it multiplies, and who else is on it. nvidia-smi is asked, never told."""

from __future__ import annotations

import contextlib
import importlib.metadata
import subprocess
import time
from typing import Any

import torch

from .gpu_clock import device_times_ms
from .gpu_stage import Keep, Plan

ASKED = (
    *("name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.max.sm", "clocks.mem"),
    *("power.draw", "power.limit", "temperature.gpu", "utilization.gpu"),
)
SIDE = 8192
REFERENCE_FLOPS_PER_S = 790e12
"""Dense bf16 on random data on an H200, as measured elsewhere; utilisation is told against this."""


def run(plan: Plan, keep: Keep) -> None:
    keep("torch", torch.__version__)
    keep("triton", _version("triton"))
    if plan.device == "cpu":
        keep("device", {"name": "cpu"})
        return
    properties = torch.cuda.get_device_properties(0)
    keep(
        "device",
        {
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
        },
    )
    keep("idle", nvidia_smi())
    keep("matrix_flops_per_s", _matrix_flops_per_s(min(2.0, plan.seconds / 4)))
    keep("busy", nvidia_smi())
    keep("copy_bytes_per_s", _copy_bytes_per_s())


def nvidia_smi() -> dict[str, str]:
    """What nvidia-smi says of the first device, by field; nothing where it does not answer."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits", "--id=0"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout
        return dict(zip(ASKED, (value.strip() for value in answer.strip().split(",")), strict=False))
    return {}


def used_mib() -> float | None:
    """Of the device, by whoever; None where nvidia-smi does not tell."""
    used = nvidia_smi().get("memory.used", "")
    return float(used) if used.replace(".", "", 1).isdecimal() else None


def _matrix_flops_per_s(seconds: float) -> float:
    """The best of some rounds of products of two random matrices in bf16: the ceiling, on this very device."""
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best_ms, ends_at = float("inf"), time.monotonic() + seconds
    while time.monotonic() < ends_at:
        best_ms = min(best_ms, *device_times_ms(lambda: _product(a, b), num_runs=5))
    return 2 * SIDE**3 / best_ms * 1000


def _product(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.mm(a, b)


def _copy_bytes_per_s() -> float:
    source = torch.empty(1 << 31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times_ms = device_times_ms(lambda: _copy(target, source), num_runs=5)
    return 2 * source.numel() / min(times_ms) * 1000


def _copy(target: torch.Tensor, source: torch.Tensor) -> None:
    target.copy_(source)


def _version(package: str) -> Any:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
