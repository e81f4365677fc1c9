"""Where a checkpoint runs: device, precision and threads, as asked or as suits the machine."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import torch

from ..base import ModelError
from .linear import can_pack

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use: `QUOTA PERIOD` in microseconds, or `max` (kernel: cgroup-v2, cpu.max)."""


def placed(asked: str) -> torch.device:
    """The device auto (CUDA where there is one), cpu, cuda (the first) or cuda:N. Raises ModelError."""
    name = asked if asked != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"The device auto, cpu, cuda or cuda:N was expected, but {asked!r} came.")
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", 0)  # not all of torch.cuda takes one without a number
    num_devices = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= num_devices:
        raise ModelError(f"A CUDA device was expected for {asked!r}, but this machine shows {num_devices}.")
    return device


def precision(asked: str, own: str, device: torch.device) -> torch.dtype:
    """`asked`, or for auto the checkpoint's `own` where the device computes with it fast. Raises ModelError."""
    if asked not in ("auto", *DTYPES):
        raise ModelError(f"The dtype auto, float32 or bfloat16 was expected, but {asked!r} came.")
    if asked != "auto":
        return DTYPES[asked]
    dtype = DTYPES[own]
    if device.type == "cpu" and not can_pack(dtype):
        log.info("this CPU has no fast %s: float32 is taken", own)
        return torch.float32
    return dtype


def num_cores(quota: Path = CPU_QUOTA) -> int:
    """Those that this process may use, a container's quota counted; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if allowed == "max" else max(1, min(cores, math.ceil(int(allowed) / int(period))))
