"""Kinds of settings: what each takes, and what is said of anything else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic.networks import IPvAnyNetwork

from models.base import MAX_ADAPTERS

MAX_GPU_MEMORY_GIB = 4096


def _without_brackets(host: str) -> str:
    host = host.strip().removeprefix("[").removesuffix("]")
    if not host or re.search(r"[\s/]", host):
        raise ValueError("should be a host name or an IP address")
    return host


def _with_substance(keys: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+(\n[!-~]+)*", keys.get_secret_value()):
        raise ValueError("should be printable ASCII without spaces, and not empty")
    return keys


def _known_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", device):
        raise ValueError("should be auto, cpu, cuda or cuda:N")
    return device


def _known_devices(devices: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(r"cpu|(cuda:)?\d{1,3}", device) for device in devices):
        raise ValueError("should be numbers of GPUs, cuda:N or cpu, separated by commas")
    named = tuple(f"cuda:{int(device.removeprefix('cuda:'))}" if device != "cpu" else device for device in devices)
    gpus = [device for device in named if device != "cpu"]
    if len(set(gpus)) < len(gpus):
        raise ValueError("should name each GPU once")
    return named


def _some_memory(gpu_memory: float) -> float:
    if not 0 <= gpu_memory <= MAX_GPU_MEMORY_GIB:
        raise ValueError(f"should be GiB (above 1, at most {MAX_GPU_MEMORY_GIB}), a share of the memory (up to 1) or 0")
    return gpu_memory


def _few_adapters(adapters: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(adapters) > MAX_ADAPTERS:
        raise ValueError(f"should be at most {MAX_ADAPTERS} folders")
    return adapters


def _exact_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if not re.fullmatch(r"https?://[^/\s*?#@]+", origin):
            raise ValueError("should be exact origins such as https://example.org, without a path or wildcard")
    return tuple(origin.lower() for origin in origins)


def _split(value: object) -> object:
    parts = value if isinstance(value, list | tuple) else [value]
    return [each.strip() for part in parts for each in str(part).split(",") if each.strip()]


Host = Annotated[str, AfterValidator(_without_brackets)]
ApiKeys = Annotated[SecretStr, AfterValidator(_with_substance)]
"""One, or one a line."""
Device = Annotated[str, AfterValidator(_known_device)]
Devices = Annotated[tuple[str, ...], AfterValidator(_known_devices), BeforeValidator(_split)]
GpuMemory = Annotated[float, AfterValidator(_some_memory)]
Adapters = Annotated[tuple[Path, ...], AfterValidator(_few_adapters), BeforeValidator(_split)]
Origins = Annotated[tuple[str, ...], AfterValidator(_exact_origins), BeforeValidator(_split)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_split)]
