"""What a server tells of itself at /metrics."""

from __future__ import annotations

import asyncio
import re
import urllib.request

TIMEOUT_S = 15.0
NUM_TRIES = 3

_LINE = re.compile(r"^(voxwire_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


async def metrics(url: str) -> dict[str, float]:
    """Its figures by name; those that are told apart by a label are added up. A page on which a web process is missing
    is asked for again, a few times. Raises OSError."""

    def fetch() -> str:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_S) as answer:
            return str(answer.read(), "utf-8")

    sums: dict[str, float] = {}
    for _ in range(NUM_TRIES):
        sums.clear()
        for name, value in _LINE.findall(await asyncio.to_thread(fetch)):
            sums[name] = sums.get(name, 0.0) + float(value)
        if not sums["voxwire_workers_unheard"]:
            break
    return sums
