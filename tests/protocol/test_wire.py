"""The codec: round trips in both encodings, and every malformed input ends in RemoteProtocolError."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.messages import Audio, AudioFormat, Hello, Resume, Words, WordTiming
from protocol.wire import Encoding, decode_client, decode_server, encode

BOTH = pytest.mark.parametrize("encoding", Encoding)


def packed(raw: Any, encoding: Encoding) -> bytes | str:
    if encoding is Encoding.JSON:
        return json.dumps(raw)
    return msgpack.packb(raw, unicode_errors="surrogatepass")


@BOTH
def test_hello_survives_the_wire(encoding: Encoding) -> None:
    hello = Hello(lead_ms=None, audio=AudioFormat(codec="opus"), resume=Resume(session="s", token="t"))
    assert decode_client(encode(hello, encoding)) == (hello, ())


@BOTH
@pytest.mark.parametrize(
    "message",
    [
        Audio(utterance="u", seq=3, pts=7056, samples=7056, data=bytes(range(256)) * 50),
        Audio(utterance="u", seq=3, pts=7056, samples=0, packets=(b"", b"\xff\x00")),
        Words(utterance="u", words=(WordTiming(0, 5, 0, 4410),), estimated=True),
    ],
)
def test_server_message_survives_the_wire(message: Any, encoding: Encoding) -> None:
    assert decode_server(encode(message, encoding)) == (message, ())


@BOTH
def test_null_lead_is_not_absent_lead(encoding: Encoding) -> None:
    assert decode_client(packed({"type": "hello", "version": 1, "lead_ms": None}, encoding))[0].lead_ms is None
    assert decode_client(packed({"type": "hello", "version": 1}, encoding))[0] == Hello()


@BOTH
def test_unknown_type_is_refused(encoding: Encoding) -> None:
    with pytest.raises(RemoteProtocolError, match="got nope") as caught:
        decode_client(packed({"type": "nope"}, encoding))
    assert caught.value.code is ErrorCode.UNKNOWN_TYPE
