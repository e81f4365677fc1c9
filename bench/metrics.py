"""What a server tells of itself at /metrics."""

from __future__ import annotations

import asyncio
import re
import urllib.request

TIMEOUT_S = 15.0

_LINE = re.compile(r"^(voxwire_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


async def metrics(url: str) -> dict[str, float]:
    """Its figures by name; those that are told apart by a label are added up. Raises OSError."""

    def fetch() -> str:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_S) as answer:
            return str(answer.read(), "utf-8")

    sums: dict[str, float] = {}
    for name, value in _LINE.findall(await asyncio.to_thread(fetch)):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums
