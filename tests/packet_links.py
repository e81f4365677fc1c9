"""Links whose delay TCP sees, where this machine allows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.packet_link import Direction, PacketLink
from bench.server import BenchFailed


@asynccontextmanager
async def packet_link(port: int, *, up: Direction, down: Direction) -> AsyncIterator[PacketLink]:
    """Skips the test where there can be none."""
    link = PacketLink(port, up=up, down=down)
    try:
        await link.__aenter__()
    except BenchFailed as reason:
        pytest.skip(str(reason))
    try:
        yield link
    finally:
        await link.__aexit__()
