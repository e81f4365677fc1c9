"""The codec: round trips in both encodings, and whatever comes in ends in a message or in RemoteProtocolError."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CloseCode, ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.messages import (
    ABSENT,
    Audio,
    Hello,
    Limits,
    Ping,
    Resume,
    Start,
    Text,
    Words,
    WordTiming,
)
from protocol.wire import SERVER_MESSAGE_BYTES, Encoding, decode_client, decode_server, encode, unpack
from tests.protocol.pair import make_ready
from tests.protocol.strategies import client_messages, near_messages, server_messages

BOTH = pytest.mark.parametrize("encoding", Encoding)


def packed(raw: Any, encoding: Encoding) -> bytes | str:
    if encoding is Encoding.JSON:
        return json.dumps(raw)
    return msgpack.packb(raw, unicode_errors="surrogatepass")


def refused(data: bytes | str, limits: Limits | None = None) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_client(data, limits or Limits())
    return caught.value


def outcome_of(decode: Callable[[bytes | str], Any], data: bytes | str) -> Any:
    """What it returns, or the one exception it may raise."""
    try:
        return decode(data)
    except RemoteProtocolError as error:
        return error


@BOTH
@settings(max_examples=150)
@given(message=client_messages)
def test_client_message_survives_the_wire(encoding: Encoding, message: Any) -> None:
    assert decode_client(encode(message, encoding)) == (message, ())


@BOTH
@settings(max_examples=150)
@given(message=server_messages)
def test_server_message_survives_the_wire(encoding: Encoding, message: Any) -> None:
    assert decode_server(encode(message, encoding)) == (message, ())


@BOTH
def test_null_lead_is_not_absent_lead(encoding: Encoding) -> None:
    background, _ = decode_client(packed({"type": "hello", "version": 1, "lead_ms": None}, encoding))
    default, _ = decode_client(packed({"type": "hello", "version": 1}, encoding))
    assert background == Hello(lead_ms=None)
    assert default == Hello(lead_ms=ABSENT)


@BOTH
def test_word_timings_are_rows(encoding: Encoding) -> None:
    words = Words(utterance="u", words=(WordTiming(0, 5, 0, 4410),))
    data = encode(words, encoding)
    raw = json.loads(data) if encoding is Encoding.JSON else msgpack.unpackb(data)
    assert raw["words"] == [[0, 5, 0, 4410]]


@given(data=st.binary(max_size=64) | st.text(st.characters(), max_size=64))
def test_noise_is_refused(data: bytes | str) -> None:
    assert refused(data).code is ErrorCode.BAD_MESSAGE


@settings(max_examples=300)
@given(data=st.data(), message=client_messages)
def test_a_damaged_message_is_read_or_refused(data: st.DataObject, message: Any) -> None:
    good = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    outcome = outcome_of(decode_client, bytes(good))
    assert isinstance(outcome, tuple | RemoteProtocolError)


@BOTH
@settings(max_examples=300)
@given(raw=near_messages)
def test_a_near_message_is_read_or_refused(encoding: Encoding, raw: Any) -> None:
    data = json.dumps(raw, default=lambda value: value.hex()) if encoding is Encoding.JSON else packed(raw, encoding)
    for decode in (decode_client, decode_server):
        match outcome_of(decode, data):
            case RemoteProtocolError() as error:
                assert error.message.isprintable()
                assert not error.fatal
            case message, unknown:
                assert all(name.isprintable() for name in unknown)
                assert decode(encode(message, encoding)) == (message, ())


@pytest.mark.parametrize("text", ["x" * 65_536, "é" * 32_768], ids=["ascii", "not ascii"])
@BOTH
def test_a_message_over_the_limit_is_fatal(encoding: Encoding, text: str) -> None:
    error = refused(encode(Text(utterance="u", text=text), encoding))
    assert error.code is ErrorCode.TOO_LARGE
    assert error.fatal
    assert error.close_code is CloseCode.TOO_LARGE


def test_the_limit_is_in_bytes_and_included() -> None:
    data = encode(Text(utterance="u", text="é"), Encoding.JSON)
    assert isinstance(data, str)
    assert decode_client(data, Limits(message_bytes=len(data.encode())))
    assert refused(data, Limits(message_bytes=len(data.encode()) - 1)).code is ErrorCode.TOO_LARGE


def test_a_server_message_has_a_limit_of_its_own() -> None:
    audio = Audio(utterance="u", pts=0, samples=0, data=bytes(SERVER_MESSAGE_BYTES))
    with pytest.raises(RemoteProtocolError) as caught:
        decode_server(encode(audio))
    assert caught.value.code is ErrorCode.TOO_LARGE


@BOTH
def test_unknown_keys_are_named_up_to_a_bound(encoding: Encoding) -> None:
    raw = {"type": "ping", "nonce": 1} | {f"{number}{'x' * 100}": 0 for number in range(100)}
    message, unknown = decode_client(packed(raw, encoding))
    assert message == Ping(nonce=1)
    assert len(unknown) == 16
    assert {len(name) for name in unknown} == {64}


def test_the_name_of_an_unknown_key_is_one_line() -> None:
    assert decode_client(packed({"type": "ping", "a\n\u202eb\ud800": 1}, Encoding.MSGPACK))[1] == ("a??b?",)


@BOTH
def test_an_error_tells_kinds_and_not_contents(encoding: Encoding) -> None:
    error = refused(packed({"type": "hello", "version": 1, "token": ["canary"]}, encoding))
    assert "canary" not in str(error)
    assert "canary" not in str(refused(packed({"type": "hello", "token": "canary\n"}, encoding)))
    assert "x" * 33 not in str(refused(packed({"type": "x" * 1000}, encoding)))


def test_a_secret_does_not_show_in_a_log() -> None:
    hello = Hello(token="canary", resume=Resume(session="s", token="canary"))
    assert "canary" not in repr(hello)
    assert "canary" not in repr(make_ready(resume_token="canary"))


@BOTH
@pytest.mark.parametrize(
    "message",
    [
        Text(utterance="u", text="a\ud800"),
        Ping(nonce=2**64),
        Ping(nonce=object()),  # type: ignore[arg-type]
    ],
    ids=["surrogate", "huge", "object"],
)
def test_a_value_without_a_wire_form_is_our_mistake(encoding: Encoding, message: Any) -> None:
    if encoding is Encoding.JSON and message == Ping(nonce=2**64):
        return  # JSON has integers of any size
    with pytest.raises(LocalProtocolError) as caught:
        encode(message, encoding)
    assert caught.value.code is ErrorCode.BAD_VALUE


@BOTH
def test_any_mapping_is_written_as_a_map(encoding: Encoding) -> None:
    start = Start(utterance="u", params=MappingProxyType({"x": 1.5}))
    assert decode_client(encode(start, encoding))[0] == start


def test_a_map_in_an_unknown_place_may_have_an_empty_key() -> None:
    assert unpack(b"\x82\xa4type\xa4ping\xa0\xc0", 100) == {"type": "ping", "": None}
