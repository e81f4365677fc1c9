"""The head of a WebSocket frame."""

from __future__ import annotations

import struct

from websockets.frames import Opcode


def frame_head(opcode: Opcode, num_bytes: int) -> bytes:
    """Of a message in one frame, from a server (RFC 6455, 5.2)."""
    if num_bytes < 126:
        return bytes((0x80 | opcode, num_bytes))
    if num_bytes < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, num_bytes)
    return struct.pack("!BBQ", 0x80 | opcode, 127, num_bytes)
