"""Results as a table to read and as JSON to keep: with the machine, the versions and the commit they belong to."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PACKAGES = (
    *("espeakng-loader", "msgpack", "numpy", "opuslib", "soxr", "starlette", "torch", "uvicorn", "uvloop", "voxcpm"),
    "websockets",
)
PERCENTS = (50, 95, 99)


def percentiles(values_s: Sequence[float]) -> dict[str, float | int | None]:
    """`n`, `p50`, `p95`, `p99` and `max` of seconds, in milliseconds; None where there is no value."""
    if not len(values_s):
        return {"n": 0, **{f"p{percent}": None for percent in PERCENTS}, "max": None}
    values_ms = 1000 * np.asarray(values_s, dtype=float)
    found = {f"p{p}": round(float(v), 2) for p, v in zip(PERCENTS, np.percentile(values_ms, PERCENTS), strict=True)}
    return {"n": len(values_ms), **found, "max": round(float(values_ms.max()), 2)}


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that names the machine or who runs it."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "packages": versions,
    }


def commit() -> dict[str, Any]:
    """`commit` and `dirty`: whether tracked files other than results differ from it. None where this is no checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)bench/results"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Markdown; the first row's keys are the columns. Lists of numbers should be joined before."""
    if not rows:
        return ""
    columns = list(rows[0])
    lines = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def write(name: str, results: Mapping[str, Any], directory: Path) -> Path:
    """`NAME-YYYYMMDD.json`; the same day's later run replaces the earlier."""
    now = datetime.now(UTC)
    report = {"bench": name, "at": now.isoformat(timespec="seconds"), **commit(), "machine": machine(), **results}
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{now:%Y%m%d}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.1f}"
        case _:
            return str(value)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
