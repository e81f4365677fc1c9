"""A WebSocket client made for measuring (RFC 6455): whole binary frames, parsed where the kernel put them.

The generator of load shares its machine with the server it measures, so it may not cost much: one buffer serves all
connections of a process, payloads are decoded in place, and what is sent is small.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import msgpack

from protocol.messages import SUBPROTOCOL, ClientMessage
from protocol.wire import encode

CONNECT_TIMEOUT_S = 20.0
BUFFER_BYTES = 256 << 10
MAX_REST_BYTES = 2 << 20
"""Far above any message of the protocol; more of an unfinished one means that the stream is torn."""

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _BINARY, _CLOSE, _PONG = 0x81, 0x82, 0x88, 0x8A
_MASKED = 0x80
_NO_LINGER = struct.pack("ii", 1, 0)  # socket(7): what is under way is dropped, and the peer gets a reset
_RETRY_AFTER = re.compile(rb"^retry-after: *(\d+)", re.IGNORECASE | re.MULTILINE)
_NO_MASK = bytes(4)
"""A lawful key that leaves the payload as it is. Masks guard proxies against hostile pages; the server's work with one
key is that with any other."""


class ConnectionFailed(Exception):
    """There is no conversation; one sentence. `retry_after_s`: when the server wants to be asked again, if it said."""

    def __init__(self, sentence: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens. Only `ws://` and `http://`: this is for loopback."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ValueError for a url without a host or of another scheme."""
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "http") or not parts.hostname:
            raise ValueError(f"expected a url such as http://127.0.0.1:6006, got {url}")
        return cls(parts.hostname, parts.port or 80)


class WebSocket(asyncio.BufferedProtocol):
    """Subclassed by whoever converses. `connect` opens it; `received` and `lost` are called by it.

    `buffer` may be shared by all connections of one event loop: it is filled and read within one turn of it.
    """

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = memoryview(buffer)
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] | None = None
        self._key = base64.b64encode(os.urandom(16))
        self.close_code: int | None = None
        """The server's, once it has said goodbye."""
        self.fault: str | None = None
        """Why we have cut the connection, if we have."""

    async def connect(self, address: Address, *, receive_buffer_bytes: int | None = None) -> None:
        """`receive_buffer_bytes`: of the kernel, if not its usual. Raises ConnectionFailed."""
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if receive_buffer_bytes is None:
                    await loop.create_connection(lambda: self, address.host, address.port)
                else:
                    sock = socket.socket()
                    sock.setblocking(False)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
                    await loop.sock_connect(sock, (address.host, address.port))
                    await loop.create_connection(lambda: self, sock=sock)
                assert self._transport is not None
                self._transport.write(self._request(address))
                await self._opened
        except TimeoutError:
            raise ConnectionFailed(f"expected an answer within {CONNECT_TIMEOUT_S:g} s, none came") from None
        except OSError as error:
            raise ConnectionFailed(f"expected a server on port {address.port}, got: {error}") from None

    def send(self, message: ClientMessage) -> None:
        """At once, as far as the kernel takes it. Nothing happens once the connection is lost."""
        self.send_bytes(cast("bytes", encode(message)))

    def send_bytes(self, payload: bytes, *, is_text: bool = False) -> None:
        """As one message, whatever it is."""
        self._send_frame(_TEXT if is_text else _BINARY, payload)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Drop the connection and all that is under way on it, as when the network forgets it."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()

    def received_bytes(self, payload: memoryview, at: float) -> None:
        """A binary message as it came, which `payload` shows until this returns."""
        self.received(msgpack.unpackb(payload), at)

    def received(self, message: dict[str, Any], at: float) -> None:
        """A message, unvalidated, and the monotonic second in which its last byte was there."""

    def pinged(self) -> None:
        """A WebSocket ping has come, and is about to be answered."""

    def lost(self) -> None:
        """The connection is over, whoever ended it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(ConnectionFailed("expected a WebSocket, the server closed the connection"))
        self.lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        at = time.monotonic()
        if self._rest:
            self._rest += self._buffer[:nbytes]
            data = memoryview(self._rest)
        else:
            data = self._buffer[:nbytes]
        assert self._opened is not None
        try:
            used = self._take_frames(data, at) if self._opened.done() else self._take_answer(data, at)
            if used < len(data) or self._rest:
                self._rest = bytearray(data[used:])  # not shortened in place: a view of it is in use
            if len(self._rest) > MAX_REST_BYTES:
                raise ValueError(f"expected a message of at most {MAX_REST_BYTES} bytes, a longer one came")
        except ValueError as error:
            self.fault = str(error)
            if self._transport is not None:
                self._transport.abort()

    def _request(self, address: Address) -> bytes:
        lines = (
            "GET /v1/stream HTTP/1.1",
            f"Host: {address.host}:{address.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _take_answer(self, data: memoryview, at: float) -> int:
        head, found, _ = bytes(data).partition(b"\r\n\r\n")
        if not found:
            return 0
        assert self._opened is not None
        accept = base64.b64encode(hashlib.sha1(self._key + _ACCEPT_GUID).digest())
        status = head.split(b"\r\n")[0]
        if b" 101 " in status + b" " and accept in head:
            self._opened.set_result(None)
            return len(head) + 4 + self._take_frames(data[len(head) + 4 :], at)
        found_wait = _RETRY_AFTER.search(head)
        sentence = f"expected an upgrade to WebSocket, got {status.decode()}"
        retry_after_s = int(found_wait[1]) if found_wait else None
        self._opened.set_exception(ConnectionFailed(sentence, retry_after_s=retry_after_s))
        self.close()
        return len(data)

    def _take_frames(self, data: memoryview, at: float) -> int:
        """Whole frames from the front; how many bytes they were. Raises ValueError for what a server never sends."""
        start, end = 0, len(data)
        while end - start >= 2:
            opcode, length, head = data[start], data[start + 1], start + 2
            if length == 126:
                head = start + 4
                length = int.from_bytes(data[start + 2 : head])
            elif length == 127:
                head = start + 10
                length = int.from_bytes(data[start + 2 : head])
            if end - head < length:
                break
            start = head + length
            if opcode == _BINARY:
                self.received_bytes(data[head:start], at)
            elif opcode == _TEXT:
                self.received(json.loads(bytes(data[head:start])), at)
            else:
                self._take_other(opcode, bytes(data[head:start]))
        return start

    def _take_other(self, opcode: int, payload: bytes) -> None:
        match opcode:
            case 0x89:  # ping
                self.pinged()
                self._send_frame(_PONG, payload)
            case 0x88:
                self.close_code = int.from_bytes(payload[:2]) if payload else 1005
                self._send_frame(_CLOSE, payload[:2])
                self.close()
            case 0x8A:  # an unasked pong: nothing to do (RFC 6455, 5.5.3)
                pass
            case _:
                raise ValueError(f"expected unfragmented frames, got the first byte {opcode:#x}")

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        if self._transport is None:
            return
        length = len(payload)
        if length < 126:
            head = bytes((opcode, _MASKED | length))
        elif length < 1 << 16:
            head = bytes((opcode, _MASKED | 126)) + length.to_bytes(2)
        else:
            head = bytes((opcode, _MASKED | 127)) + length.to_bytes(8)
        self._transport.write(head + _NO_MASK + payload)
