"""What two web processes of a machine say to each other when a connection moves from one to the other.

Over a Unix socket, in three words. Who has the connection offers it: the session that it asks for, and what its peer
has said so far. Who has the session says yes, or hangs up. Then the descriptor follows (SCM_RIGHTS): from that moment
the connection is the other one's. So it never has two owners, however long one of them is held up, and after a no, a
silence or a death the first one still has it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass

import msgpack

MAX_OFFER_BYTES = 1 << 20
"""More than a connection may have said and still move (`MAX_HEARD_BYTES`)."""

_LENGTH = struct.Struct("!I")
_YES = b"y"
_HERE = b"h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a peer has said: its HTTP request, and the bytes of its WebSocket frames behind it."""

    request: bytes
    frames: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A connection that asks for a session of the process that this is sent to."""

    session: str
    heard: Heard


def pack_offer(offer: Offer) -> bytes:
    """With its length before it."""
    data: bytes = msgpack.packb([offer.session, offer.heard.request, offer.heard.frames])
    return _LENGTH.pack(len(data)) + data


def unpack_offer(data: bytes) -> Offer:
    """Without its length. Raises ValueError."""
    match msgpack.unpackb(data):
        case [str(session), bytes(request), bytes(frames)]:
            return Offer(session=session, heard=Heard(request=request, frames=frames))
        case _:
            raise ValueError("expected a session, a request and frames, got something else")


async def is_wanted(link: socket.socket, offer: Offer) -> bool:
    """Whether who is at the other end has that session and takes the connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(link, pack_offer(offer))
    return await loop.sock_recv(link, 1) == _YES


def give(link: socket.socket, descriptor: int) -> None:
    """To who wants it: all or nothing. Raises OSError; then nothing was given."""
    socket.send_fds(link, [_HERE], [descriptor])


async def read_offer(link: socket.socket) -> Offer:
    """Raises OSError, ValueError."""
    (num_bytes,) = _LENGTH.unpack(await _read(link, _LENGTH.size))
    if num_bytes > MAX_OFFER_BYTES:
        raise ValueError(f"expected an offer of at most {MAX_OFFER_BYTES} bytes, got one of {num_bytes}")
    return unpack_offer(await _read(link, num_bytes))


async def take(link: socket.socket) -> socket.socket:
    """Say yes; the connection that comes then. Raises OSError."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(link, _YES)
    came = asyncio.Event()
    loop.add_reader(link, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(link)
    _, descriptors, _, _ = socket.recv_fds(link, len(_HERE), 1)
    if not descriptors:
        raise ConnectionError("expected a descriptor, none came")
    os.set_inheritable(descriptors[0], False)
    return socket.socket(fileno=descriptors[0])


async def _read(link: socket.socket, num_bytes: int) -> bytes:
    """Not one byte more: a descriptor is lost when the byte that it came with is read as others are."""
    loop, data = asyncio.get_running_loop(), bytearray()
    while len(data) < num_bytes:
        piece = await loop.sock_recv(link, num_bytes - len(data))
        if not piece:
            raise ConnectionError("expected an offer, it was cut short")
        data += piece
    return bytes(data)
