"""RFC 6455, clause by clause, over raw sockets: what Autobahn's sections 1 to 7, 9 and 10 would ask of a server.

Each row says which section it is about, what is sent (each part in a segment of its own) and all that comes back. `why`
tells where that is not what the strictest reader of the section would want.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import msgpack
import pytest
import pytest_asyncio

from tests.streaming_server.raw_websocket import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    REQUEST,
    TEXT,
    close_frame,
    frame,
    long_length,
    raw_peer,
    slices,
)
from tests.streaming_server.serving import Server, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST_BYTES = 65_536
"""`limits.message_bytes`."""

HELLO = frame(TEXT, b'{"type": "hello"}')


@dataclass(frozen=True, slots=True)
class Row:
    """Where `heard` does not end with a close the connection is to live: one more question is answered."""

    section: str
    sent: Sequence[bytes]
    heard: Sequence[str] = ()
    why: str = ""


def asked(nonce: str, num_bytes: int = 0) -> bytes:
    """A question of our protocol, whose answer tells the nonce, filled up to so many bytes."""
    return json.dumps({"type": "ping", "nonce": nonce}).encode().ljust(num_bytes)


def packed(nonce: str, num_bytes: int) -> bytes:
    """The same in msgpack, filled by a key that nobody knows."""

    def filled(num_filling: int) -> bytes:
        return bytes(msgpack.packb({"type": "ping", "nonce": nonce, "x": bytes(num_filling)}))

    return next(data for num in range(num_bytes) if len(data := filled(num_bytes - num)) == num_bytes)


def in_fragments(*parts: bytes, opcode: int = TEXT) -> list[bytes]:
    last = len(parts) - 1
    return [frame(CONT if i else opcode, part, fin=i == last) for i, part in enumerate(parts)]


A = asked("a")
TWO_BYTES = asked("é").replace(b"\\u00e9", "é".encode())
CUT = TWO_BYTES.index("é".encode()) + 1
"""Within the character."""


def with_nonce(raw: bytes) -> bytes:
    return A.replace(b'"a"', b'"' + raw + b'"')


LENGTHS = (125, 126, 127, 65_535, 65_536)

FRAMES = {
    "a text of nothing": Row("5.6", [frame(TEXT)], ["error bad_message"], "lawful as a frame; no message of ours"),
    "a binary message of nothing": Row("5.6", [frame(BINARY)], ["error bad_message"], "as above"),
    **{f"a text of {num} bytes": Row("5.2", [frame(TEXT, asked("a", num))], ["answer a"]) for num in LENGTHS},
    **{f"{num} bytes in binary": Row("5.2", [frame(BINARY, packed("a", num))], ["answer a"]) for num in LENGTHS},
    "a byte too many": Row("7.4.1", [frame(TEXT, asked("a", MOST_BYTES + 1))], ["close 1009"]),
    "a terabyte that is only claimed": Row("10.4", [frame(BINARY, b"x", length=long_length(1 << 40))], ["close 1009"]),
    "a length above 2^63": Row(
        "5.2", [frame(BINARY, b"x", length=long_length(1 << 63))], ["close 1009"], "too large is as true"
    ),
    "a length in more bytes than it needs": Row(
        "5.2",
        [frame(TEXT, A, length=long_length(len(A)))],
        ["answer a"],
        "the sender MUST NOT; whoever reads it is not asked to mind",
    ),
    "a frame byte by byte": Row("5.2", slices(frame(TEXT, A), 1), ["answer a"]),
    "a frame in ten slices": Row("5.2", slices(frame(TEXT, asked("a", 1000)), 101), ["answer a"]),
    "three frames in one segment": Row("5.2", [3 * frame(TEXT, A)], 3 * ["answer a"]),
    "a mask of zeros": Row("5.3", [frame(TEXT, A, mask=bytes(4))], ["answer a"]),
    "no mask": Row("5.1", [frame(TEXT, A, mask=None)], ["close 1002"]),
    "a ping without a mask": Row("5.1", [frame(PING, b"x", mask=None)], ["close 1002"]),
    **{f"reserved bit {rsv:03b}": Row("5.2", [frame(TEXT, A, rsv=rsv)], ["close 1002"]) for rsv in (1, 2, 4, 7)},
    "a reserved bit on a ping": Row("5.2", [frame(PING, rsv=4)], ["close 1002"]),
    "a reserved bit on a close": Row("5.2", [frame(CLOSE, rsv=1)], ["close 1002"]),
    "a question, then a reserved bit": Row("5.2", [frame(TEXT, A), frame(TEXT, A, rsv=2)], ["answer a", "close 1002"]),
    "both in one segment": Row(
        "5.2",
        [frame(TEXT, A) + frame(TEXT, A, rsv=2)],
        ["close 1002"],
        "who breaks the rules is not owed what was on the way",
    ),
    **{
        f"opcode {opcode}": Row("5.2", [frame(opcode, A)], ["close 1002"])
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
}

CONTROLS = {
    "a ping": Row("5.5.2", [frame(PING)], ["pong"]),
    "a ping that says something": Row("5.5.2", [frame(PING, b"hello")], ["pong hello"]),
    "a ping of 125 bytes": Row("5.5.2", [frame(PING, 125 * b"x")], ["pong " + 125 * "x"]),
    "a ping of 126 bytes": Row("5.5", [frame(PING, 126 * b"x")], ["close 1002"]),
    "a ping byte by byte": Row("5.5.2", slices(frame(PING, b"hello"), 1), ["pong hello"]),
    "ten pings": Row("5.5.2", [frame(PING, b"%d" % i) for i in range(10)], [f"pong {i}" for i in range(10)]),
    "ten pings in one segment": Row(
        "5.5.2", [b"".join(frame(PING, b"%d" % i) for i in range(10))], [f"pong {i}" for i in range(10)]
    ),
    "half a ping": Row("5.5", [frame(PING, b"x", fin=False)], ["close 1002"]),
    "a pong nobody asked for": Row("5.5.3", [frame(PONG)]),
    "a pong of 125 bytes nobody asked for": Row("5.5.3", [frame(PONG, 125 * b"x"), frame(PING, b"x")], ["pong x"]),
    "a pong of 126 bytes": Row("5.5", [frame(PONG, 126 * b"x")], ["close 1002"]),
}

FRAGMENTS = {
    "two fragments": Row("5.4", in_fragments(A[:5], A[5:]), ["answer a"]),
    "two fragments of a binary message": Row(
        "5.4", in_fragments(packed("a", 64)[:9], packed("a", 64)[9:], opcode=BINARY), ["answer a"]
    ),
    "a fragment for each byte": Row("5.4", [b"".join(in_fragments(*slices(A, 1)))], ["answer a"]),
    "fragments cut in slices": Row("5.4", slices(b"".join(in_fragments(A[:5], A[5:])), 3), ["answer a"]),
    "fragments with nothing in them": Row("5.4", in_fragments(b"", A, b"", b""), ["answer a"]),
    "only fragments with nothing in them": Row(
        "5.4", in_fragments(b"", b"", b""), ["error bad_message"], "no message of ours"
    ),
    "a ping between fragments": Row(
        "5.4", [frame(TEXT, A[:5], fin=False), frame(PING, b"x"), frame(CONT, A[5:])], ["pong x", "answer a"]
    ),
    "pings among all fragments": Row(
        "5.4",
        [part + frame(PING, b"x") for part in in_fragments(*slices(A, 8))],
        [*(["pong x"] * (-(-len(A) // 8) - 1)), "pong x", "answer a"],
    ),
    "a pong between fragments": Row(
        "5.5.3", [frame(TEXT, A[:5], fin=False), frame(PONG), frame(CONT, A[5:])], ["answer a"]
    ),
    "a continuation of nothing": Row("5.4", [frame(CONT, A)], ["close 1002"]),
    "a continuation of nothing that goes on": Row("5.4", [frame(CONT, A, fin=False)], ["close 1002"]),
    "a continuation of what was whole": Row("5.4", [frame(TEXT, A), frame(CONT, A)], ["answer a", "close 1002"]),
    "a text within a text": Row("5.4", [frame(TEXT, A, fin=False), frame(TEXT, A)], ["close 1002"]),
    "a fragment that begins within a text": Row(
        "5.4", [frame(TEXT, A, fin=False), frame(BINARY, A, fin=False)], ["close 1002"]
    ),
    "fragments of a byte too many": Row("7.4.1", in_fragments(asked("a", MOST_BYTES), b" "), ["close 1009"]),
    "fragments of just so many": Row("5.4", in_fragments(asked("a", MOST_BYTES - 1), b" "), ["answer a"]),
    "many fragments with nothing in them": Row(
        "10.4", [frame(TEXT, A, fin=False), 500 * frame(CONT, fin=False), frame(CONT)], ["answer a"]
    ),
}

UTF8 = {
    "two bytes": Row("5.6", [frame(TEXT, TWO_BYTES)], ["answer é"]),
    "a character over two fragments": Row("5.6", in_fragments(TWO_BYTES[:CUT], TWO_BYTES[CUT:]), ["answer é"]),
    "four bytes": Row("5.6", [frame(TEXT, with_nonce("😀".encode()))], ["answer 😀"]),
    "the last code point": Row(
        "5.6",
        [frame(TEXT, with_nonce(b"\xf4\x8f\xbf\xbf"))],
        ["error bad_value"],
        "well-formed; no line of ours has it",
    ),
    "a byte that is none": Row("8.1", [frame(TEXT, with_nonce(b"\xff"))], ["close 1007"]),
    "a lonely continuation": Row("8.1", [frame(TEXT, with_nonce(b"\x80"))], ["close 1007"]),
    "more bytes than it needs": Row("8.1", [frame(TEXT, with_nonce(b"\xc0\xaf"))], ["close 1007"]),
    "a surrogate": Row("8.1", [frame(TEXT, with_nonce(b"\xed\xa0\x80"))], ["close 1007"]),
    "beyond the last code point": Row("8.1", [frame(TEXT, with_nonce(b"\xf4\x90\x80\x80"))], ["close 1007"]),
    "half a character at the end": Row("8.1", [frame(TEXT, A + b"\xc3")], ["close 1007"]),
    "a wrong byte after a cut": Row("8.1", in_fragments(TWO_BYTES[:CUT], b"x", TWO_BYTES[CUT:]), ["close 1007"]),
    "a wrong byte in the first of two fragments": Row(
        "8.1",
        in_fragments(b"\xff", b"x"),
        ["close 1007"],
        "it is seen when the message is whole: nothing of one is used before",
    ),
    "a wrong byte in a binary message": Row(
        "5.6", [frame(BINARY, b"\x81\xa4type\xa1\xff")], ["error bad_message"], "no text to WebSocket"
    ),
}

VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)

CLOSES = {
    "a close that says nothing": Row("5.5.1", [frame(CLOSE)], ["close"]),
    **{f"close {code}": Row("7.4.1", [close_frame(code)], [f"close {code}"]) for code in VALID_CODES},
    **{
        f"close {code}, which may not be sent": Row("7.4.1", [close_frame(code)], ["close 1002"])
        for code in INVALID_CODES
    },
    "a close with a reason": Row("5.5.1", [close_frame(1000, "bye, ü".encode())], ["close 1000"]),
    "a close with the longest reason": Row("5.5.1", [close_frame(1000, 123 * b"x")], ["close 1000"]),
    "a close with a reason too long": Row("5.5", [close_frame(1000, 124 * b"x")], ["close 1002"]),
    "a close with a reason that is no text": Row("8.1", [close_frame(1000, b"\xce\xba\xff")], ["close 1007"]),
    "a close of one byte": Row("5.5.1", [frame(CLOSE, b"\x03")], ["close 1002"]),
    "half a close": Row("5.5", [frame(CLOSE, fin=False)], ["close 1002"]),
    "a question after the close": Row("5.5.1", [close_frame(1000) + frame(TEXT, A)], ["close 1000"]),
    "a ping after the close": Row("5.5.1", [close_frame(1000), frame(PING)], ["close 1000"]),
    "two closes": Row("5.5.1", [2 * close_frame(1000)], ["close 1000"]),
    "a question, then the close": Row("5.5.1", [frame(TEXT, A), close_frame(1000)], ["answer a", "close 1000"]),
    "a close between fragments": Row(
        "5.4",
        [frame(TEXT, A, fin=False) + close_frame(1000)],
        ["close 1002"],
        "lawful, if odd: that it ends is told, the code is ours",
    ),
}

ROWS = {
    f"{group}: {name}": row
    for group, rows in {
        "frames": FRAMES,
        "controls": CONTROLS,
        "fragments": FRAGMENTS,
        "UTF-8": UTF8,
        "closes": CLOSES,
    }.items()
    for name, row in rows.items()
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tone", resume_ms=0) as server:
        yield server


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a peer does is no error of ours."""
    yield
    told = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not told, caplog.text


@pytest.mark.parametrize("name", ROWS)
async def test_a_server_answers_as_the_rfc_says(server: Server, name: str) -> None:
    row = ROWS[name]
    ends = bool(row.heard) and row.heard[-1].startswith("close")
    async with raw_peer(server.port, REQUEST) as peer:
        assert await peer.status() == 101
        await peer.write(HELLO)
        assert await peer.heard(last="ready") == ["ready"]
        await peer.write(*row.sent)
        if not ends:
            await peer.write(frame(TEXT, asked("last")))
        heard = await peer.heard(last="answer last")
    assert heard == [*row.heard, "end" if ends else "answer last"], row.section


def replaced(old: bytes, new: bytes) -> bytes:
    assert old in REQUEST
    return REQUEST.replace(old, new)


def added(header: bytes) -> bytes:
    return REQUEST.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n")


KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@dataclass(frozen=True, slots=True)
class Handshake:
    """`status`: 101, or what the connection ends with."""

    section: str
    sent: bytes
    status: int
    why: str = ""


HANDSHAKES = {
    "as it should be": Handshake("4.2.1", REQUEST, 101),
    "an older version": Handshake("4.4", replaced(b": 13", b": 8"), 426),
    "a version to come": Handshake("4.4", replaced(b": 13", b": 14"), 426),
    "no version": Handshake("4.2.1", replaced(b"Sec-WebSocket-Version: 13\r\n", b""), 400),
    "two versions": Handshake("4.2.1", added(b"Sec-WebSocket-Version: 13"), 400),
    "no key": Handshake("4.2.1", replaced(KEY, b""), 400),
    "a key too short": Handshake("4.2.1", replaced(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"), 400),
    "a key that is no base64": Handshake("4.2.1", replaced(b"dGhlIHNhbXBsZSBub25jZQ==", b"***"), 400),
    "two keys": Handshake("4.2.1", added(KEY.strip()), 400),
    "no Upgrade": Handshake(
        "4.2.1", replaced(b"Upgrade: websocket\r\n", b""), 404, "a plain GET: there is no such page"
    ),
    "another Upgrade": Handshake("4.2.1", replaced(b"Upgrade: websocket", b"Upgrade: h2c"), 404, "as above"),
    "no Connection": Handshake("4.2.1", replaced(b"Connection: Upgrade\r\n", b""), 404, "as above"),
    "Connection among others": Handshake("4.2.1", replaced(b"n: Upgrade", b"n: keep-alive, Upgrade"), 101),
    "other capitals": Handshake("4.2.1", replaced(b"Upgrade: websocket", b"uPGRADE: WebSocket"), 101),
    "a POST": Handshake("4.2.1", replaced(b"GET", b"POST"), 405),
    "HTTP/1.0": Handshake(
        "4.2.1", replaced(b"HTTP/1.1", b"HTTP/1.0"), 101, "who asks for an upgrade knows 1.1, whatever it says"
    ),
    "no Host": Handshake(
        "4.2.1", replaced(b"Host: 127.0.0.1\r\n", b""), 101, "no page can leave it out; and with an Origin it is 403"
    ),
    "no Host, and an Origin": Handshake("4.2.1", replaced(b"Host: 127.0.0.1", b"Origin: http://127.0.0.1"), 403),
    "another path": Handshake(
        "4.2.2", replaced(b"/v1/stream", b"/v2/stream"), 403, "404 to a page; a socket is just refused"
    ),
    "a sub-protocol that is not ours": Handshake(
        "4.2.2", added(b"Sec-WebSocket-Protocol: chat"), 101, "none is echoed: the client decides"
    ),
    "a sub-protocol that is no word": Handshake("4.1", added(b"Sec-WebSocket-Protocol: a b"), 400),
    "an extension": Handshake("9.1", added(b"Sec-WebSocket-Extensions: permessage-deflate"), 101, "none is echoed"),
    "a header too long": Handshake("10.4", added(b"X-Long: " + 9_000 * b"a"), 431),
    "a header of a megabyte": Handshake("10.4", added(b"X-Long: " + 1_000_000 * b"a"), 431),
    "too many headers": Handshake("10.4", added(b"\r\n".join([b"X: y"] * 200)), 431),
    "a path too long": Handshake("10.4", replaced(b"/v1/stream", b"/v1/stream?" + 9_000 * b"a"), 414),
    "a body": Handshake("4.1", added(b"Content-Length: 4") + b"body", 400),
    "a body in chunks": Handshake("4.1", added(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "a header without a colon": Handshake("4.2.1", added(b"What is this"), 400),
    "a NUL in a header": Handshake("4.2.1", added(b"X: a\0b"), 400),
    "TLS": Handshake("4.2.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_handshake_is_answered_and_a_wrong_one_ends_the_connection(server: Server, name: str) -> None:
    row = HANDSHAKES[name]
    async with raw_peer(server.port, row.sent) as peer:
        assert await peer.status() == row.status, row.section
        if row.status not in (101, 404):
            assert await peer.ended()


async def test_what_follows_a_handshake_too_early_is_not_taken_for_something_else(server: Server) -> None:
    """RFC 6455, 4.1: a client waits for the answer. What it sends before is lost, in uvicorn, and harms nobody."""
    async with raw_peer(server.port, REQUEST + HELLO) as peer:
        assert await peer.status() == 101
        await peer.write(HELLO)
        assert await peer.heard(last="ready") == ["ready"]


async def test_a_sub_protocol_of_ours_is_echoed_among_others(server: Server) -> None:
    async with raw_peer(server.port, added(b"Sec-WebSocket-Protocol: chat, voxwire.v1")) as peer:
        head = await peer.head()
        assert b"\r\nSec-WebSocket-Protocol: voxwire.v1\r\n" in head
        assert b"Sec-WebSocket-Extensions" not in head
