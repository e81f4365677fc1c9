"""A text as its writer gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def closing(deltas: AsyncIterable[str]) -> AsyncIterator[AsyncIterable[str]]:
    """A generator that is left in the middle is to stop its own work at once."""
    try:
        yield deltas
    finally:
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()
