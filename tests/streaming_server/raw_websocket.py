"""A WebSocket by hand, so that every byte may be wrong: frames as they are asked for, and what comes back in words."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
REQUEST = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ANSWER_S = 30.0
MASK = b"\x13\x57\x9b\xdf"


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: bytes | None = None,
) -> bytes:
    """`length`: what stands for it in the header, if not its shortest form."""
    if length is None:
        num = len(data)
        short = num < 126
        length = bytes([num]) if short else b"\x7e" + struct.pack("!H", num) if num < 1 << 16 else long_length(num)
    head = bytes([fin << 7 | rsv << 4 | opcode, length[0] | (mask is not None) << 7]) + length[1:]
    if mask is None:
        return head + data
    key = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)])
    return head + mask + (int.from_bytes(data) ^ key).to_bytes(len(data))


def long_length(num_bytes: int) -> bytes:
    """In the form of eight bytes."""
    return b"\x7f" + struct.pack("!Q", num_bytes)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


class RawWebSocket:
    """One connection, from its first byte on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, *parts: bytes) -> None:
        """Each part in a segment of its own, as far as a machine may say so. A peer that has hung up is no error."""
        for part in parts:
            self._writer.write(part)
            try:
                await self._writer.drain()
            except ConnectionError:
                return
            await asyncio.sleep(0.002 if len(parts) > 1 else 0)

    async def status(self) -> int | None:
        """Of the answer to a handshake; None if the connection ended instead. Raises TimeoutError."""
        head = await self.head()
        return int(head.split()[1]) if head else None

    async def head(self) -> bytes:
        """Of that answer; empty if the connection ended instead. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            try:
                return await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""

    async def ended(self) -> bool:
        """Reads on to the end. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            try:
                while await self._reader.read(1 << 16):
                    pass
            except ConnectionError:
                pass
        return True

    async def heard(self, *, last: str) -> list[str]:
        """What comes, in words, up to `last` or the end, which is told as well. Raises TimeoutError."""
        words: list[str] = []
        async with asyncio.timeout(ANSWER_S):
            while not words or words[-1] not in (last, "end"):
                words.append(await self._next())
        return words

    async def _next(self) -> str:
        try:
            opcode, payload = await self._frame()
        except (asyncio.IncompleteReadError, ConnectionError):
            return "end"
        match opcode:
            case 8:
                return f"close {struct.unpack('!H', payload[:2])[0]}" if payload else "close"
            case 9:
                return await self._next()  # the server asks whether we are there
            case 10:
                return f"pong {payload.decode()}".rstrip()
            case _:
                return _in_words(json.loads(payload))

    async def _frame(self) -> tuple[int, bytes]:
        head = await self._reader.readexactly(2)
        length = head[1]
        if length >= 126:
            length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8))
        return head[0] & 0x0F, await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def raw_peer(port: int, *openings: bytes) -> AsyncIterator[RawWebSocket]:
    """Connected, and the openings are written."""
    peer = RawWebSocket(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
    try:
        await peer.write(*openings)
        yield peer
    finally:
        peer.close()


def _in_words(message: dict[str, object]) -> str:
    match message["type"]:
        case "pong":
            return f"answer {message['nonce']}"
        case "error":
            return f"error {message['code']}"
        case other:
            return str(other)


def slices(data: bytes, num_bytes: int) -> Sequence[bytes]:
    return [data[i : i + num_bytes] for i in range(0, len(data), num_bytes)]
