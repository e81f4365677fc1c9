"""One listener that sends as fast as it can: `python -m tests.streaming_server.flooder KIND PORT SECONDS`."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import msgpack

from tests.streaming_server.test_stream_socket import BINARY, PING, frame, shake_hands

HELLO = frame(BINARY, msgpack.packb({"type": "hello", "version": 1}))
START = frame(BINARY, msgpack.packb({"type": "start", "utterance": "u", "segmentation": "manual"}))
TEXT = frame(BINARY, msgpack.packb({"type": "text", "utterance": "u", "text": 1000 * "word "}))


def main(kind: str, port: int, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    with suppress(ConnectionError):
        FLOODS[kind](port, lambda: time.monotonic() < ends_at)


def pour(data: bytes) -> Callable[[int, Callable[[], bool]], None]:
    """It reads nothing unless it has to, as a flooder would."""

    def flood(port: int, goes_on: Callable[[], bool]) -> None:
        with session(port) as peer:
            left = b""
            while goes_on():
                left = left or data
                with suppress(BlockingIOError):
                    left = left[peer.send(left) :]
                    continue
                with suppress(BlockingIOError):
                    peer.recv(1 << 20)
                time.sleep(0.001)

    return flood


def shake(port: int, goes_on: Callable[[], bool]) -> None:
    """Eight connections at a time, none of which says hello."""
    peers: list[socket.socket] = []
    while goes_on():
        with suppress(ConnectionError, TimeoutError, AssertionError):
            peer = socket.socket()
            peers.append(peer)
            peer.settimeout(2)
            shake_hands(peer, port)
        if len(peers) > 8:
            peers.pop(0).close()


class session:
    """A connection that has said hello and started an utterance; not blocking."""

    def __init__(self, port: int) -> None:
        self._peer = socket.socket()
        shake_hands(self._peer, port)
        self._peer.sendall(HELLO + START)
        self._peer.setblocking(False)

    def __enter__(self) -> socket.socket:
        return self._peer

    def __exit__(self, *_: object) -> None:
        self._peer.close()


FLOODS: dict[str, Callable[[int, Callable[[], bool]], None]] = {
    "texts": pour(20 * TEXT),
    "messages": pour(5_000 * frame(BINARY, msgpack.packb({"type": "ping"}))),
    "pings": pour(20_000 * frame(PING, b"")),
    "handshakes": shake,
}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
