"""The golden messages, which every implementation shares: ours writes and reads them as they stand."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from protocol.errors import RemoteProtocolError
from protocol.journal import Journal
from protocol.messages import CLIENT_TYPES, SERVER_TYPES
from protocol.wire import Encoding, decode_client, decode_server, encode
from tests.protocol.pair import make_ready

VECTORS = json.loads((Path(__file__).parents[2] / "protocol" / "vectors.json").read_text(encoding="utf-8"))


def with_bytes(value: Any) -> Any:
    """A `decoded` value as msgpack brings it."""
    match value:
        case {"bytes": str(hexadecimal)}:
            return bytes.fromhex(hexadecimal)
        case dict():
            return {key: with_bytes(inner) for key, inner in value.items()}
        case list():
            return [with_bytes(inner) for inner in value]
        case _:
            return value


def with_base64(value: Any) -> Any:
    """A `decoded` value as JSON brings it."""
    match value:
        case {"bytes": str(hexadecimal)}:
            return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
        case dict():
            return {key: with_base64(inner) for key, inner in value.items()}
        case list():
            return [with_base64(inner) for inner in value]
        case _:
            return value


def wire_forms(vector: dict[str, Any]) -> list[bytes | str]:
    forms: list[bytes | str] = [bytes.fromhex(vector["msgpack"])] if "msgpack" in vector else []
    return [*forms, vector["json"]] if "json" in vector else forms


def decode(vector: dict[str, Any], data: bytes | str) -> tuple[Any, tuple[str, ...]]:
    return decode_client(data) if vector["side"] == "client" else decode_server(data)


def by_name(vector: dict[str, Any]) -> str:
    return vector["name"]


every_message = pytest.mark.parametrize("vector", VECTORS["messages"], ids=by_name)


@every_message
def test_vector_is_what_a_plain_reader_makes_of_it(vector: dict[str, Any]) -> None:
    assert msgpack.unpackb(bytes.fromhex(vector["msgpack"])) == with_bytes(vector["decoded"])
    assert json.loads(vector["json"]) == with_base64(vector["decoded"])


@every_message
def test_both_encodings_say_the_same_and_are_written_as_they_were_read(vector: dict[str, Any]) -> None:
    packed, text = wire_forms(vector)
    message, unknown = decode(vector, packed)
    assert decode(vector, text) == (message, unknown)
    assert unknown == ()
    assert encode(message, Encoding.MSGPACK) == packed
    assert encode(message, Encoding.JSON) == text


@pytest.mark.parametrize("vector", VECTORS["tolerated"], ids=by_name)
def test_tolerated_message_is_read(vector: dict[str, Any]) -> None:
    for data in wire_forms(vector):
        message, unknown = decode(vector, data)
        assert msgpack.unpackb(encode(message)) == with_bytes(vector["decoded"])
        assert list(unknown) == vector["unknown"]


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=by_name)
def test_malformed_message_is_refused(vector: dict[str, Any]) -> None:
    for data in wire_forms(vector):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(vector, data)
        assert caught.value.code == vector["code"]
        assert caught.value.utterance == vector.get("utterance")
        assert not caught.value.fatal


def test_every_type_has_a_vector() -> None:
    told = {(vector["side"], vector["decoded"]["type"]) for vector in VECTORS["messages"]}
    assert told == {("client", name) for name in CLIENT_TYPES} | {("server", name) for name in SERVER_TYPES}


@pytest.mark.parametrize("vector", VECTORS["resumes"], ids=by_name)
def test_a_client_drops_and_repeats_what_the_vector_says(vector: dict[str, Any]) -> None:
    journal = Journal()
    for step in vector["steps"]:
        match step:
            case {"sends": message}:
                journal.give(decode_client(json.dumps(message))[0])
            case {"gets": message, "news": news}:
                assert journal.take(decode_server(json.dumps(message))[0]) is news
            case {"resumes": {"received": received, "client_messages": taken}, "again": again}:
                assert journal.received == received
                resent = journal.ready(make_ready(resumed=True, client_messages=taken))
                assert list(resent) == [decode_client(json.dumps(message))[0] for message in again]
            case _:
                pytest.fail(f"expected a known step, got {step}")
