"""Sound that has come and was not taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from .chunk import Chunk
from .headstart import HeadStart


class ChunkBuffer:
    """Chunks in their order. Bounded by the client, which fails a speech that buffers too much.

    `is_gapless`: what comes too slowly is held back until the rest plays without a gap. `over`: no more will come.
    """

    def __init__(self, head_start: HeadStart, over: asyncio.Event, clock: Callable[[], float]) -> None:
        self.num_bytes = 0
        self.next_seq = 0
        self.end_pts = 0
        """Where what comes next begins."""
        self.taken_pts = 0
        self.is_gapless = False
        self._head_start = head_start
        self._over = over
        self._clock = clock
        self._chunks: deque[Chunk] = deque()
        self._changed = asyncio.Event()

    def put(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self.num_bytes += chunk.num_bytes
        self.next_seq, self.end_pts = chunk.seq + 1, chunk.end_pts

    def take(self) -> Chunk | None:
        """The next chunk; None where there is none, or it is held back."""
        if not self._chunks:
            self._head_start.run_dry()
            return None
        if self.is_gapless and not self._over.is_set() and self._head_start.holds(self._clock()):
            return None
        chunk = self._chunks.popleft()
        self.num_bytes -= chunk.num_bytes
        self._head_start.take(chunk.samples)
        self.taken_pts = chunk.end_pts
        return chunk

    def cut(self, pts: int) -> None:
        """Drop what sounds from there on and is not taken. A chunk that cannot be cut stays as a whole."""
        while self._chunks and self._chunks[-1].end_pts > pts:
            chunk = self._chunks.pop()
            self.num_bytes -= chunk.num_bytes
            self.next_seq, self.end_pts = chunk.seq, chunk.pts
            if chunk.pts < pts:
                kept = chunk.up_to(pts)
                self._head_start.take(chunk.samples - kept.samples)
                self.put(kept)
                return
            self._head_start.take(chunk.samples)

    def clear(self) -> None:
        self._chunks.clear()
        self.num_bytes = 0

    def wake(self) -> None:
        """Something has come that whoever waits is to look at."""
        self._changed.set()

    async def change(self) -> None:
        """Wait for that, or until what is held back has been held for long enough."""
        patience_s = self._head_start.patience_s(self._clock()) if self._chunks else None
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._changed.wait()
