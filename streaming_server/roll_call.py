"""`GET /metrics`: the web process that is asked asks the others, each over a Unix socket of that one's own.

To connect is the question. The answer is the other's tally, with its length before it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

from .metrics import Metrics
from .neighbours import Neighbours
from .tally import Tally, page_of

ANSWER_S = 0.5
"""So long another process may take. One that is stopped, or held up, costs a page no more, and is counted on it."""

MAX_TALLY_BYTES = 1 << 20

_LENGTH = struct.Struct("!I")


class RollCall:
    """Of the web processes of one machine, as one of them holds it. `neighbours` None: it is the only one."""

    def __init__(self, metrics: Metrics, neighbours: Neighbours | None) -> None:
        self._metrics = metrics
        self._neighbours = neighbours
        self._asking: asyncio.Task[dict[int, Tally]] | None = None

    async def page(self) -> bytes:
        if self._neighbours is None:
            return self._metrics.page()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(self._neighbours.others))
        tallies = await asyncio.shield(self._asking)  # who comes meanwhile shares it
        num_unheard = len(self._neighbours.others) - len(tallies)
        return page_of(tallies | {self._neighbours.number: self._metrics.tally()}, num_unheard)

    async def run(self) -> None:
        """Answer the others. Until it is cancelled."""
        assert self._neighbours is not None, "expected one web process among several"
        path = self._neighbours.answers_at(self._neighbours.number)
        path.unlink(missing_ok=True)  # of one that died
        async with await asyncio.start_unix_server(self._answer, path) as server:
            path.chmod(0o600)
            await server.serve_forever()

    async def _ask_all(self, others: Sequence[int]) -> dict[int, Tally]:
        """Those that answer in time."""
        answers = await asyncio.gather(*(self._ask(number) for number in others))
        return {number: tally for number, tally in zip(others, answers, strict=True) if tally is not None}

    async def _ask(self, number: int) -> Tally | None:
        assert self._neighbours is not None
        writer = None
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._neighbours.answers_at(number))
                (num_bytes,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if num_bytes > MAX_TALLY_BYTES:
                    return None
                return Tally.unpack(await reader.readexactly(num_bytes))
        except (OSError, EOFError, ValueError):  # a TimeoutError, too
            return None
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = self._metrics.tally().pack()
        try:
            async with asyncio.timeout(ANSWER_S):
                writer.write(_LENGTH.pack(len(data)) + data)
                writer.close()
                await writer.wait_closed()
        except OSError:  # whoever asked is gone, or stopped
            writer.transport.abort()
