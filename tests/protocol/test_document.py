"""PROTOCOL.md says what the code does: its transcript runs, its tables have every type, key, code and limit."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from protocol.connection import Connection, Side
from protocol.errors import CloseCode, ErrorCode
from protocol.messages import CLIENT_TYPES, SERVER_TYPES, AudioFormat, Limits, ModelDescription, Spoken, Trace
from protocol.state import SessionState
from protocol.wire import decode_client, encode

DOCUMENT = (Path(__file__).parents[2] / "protocol" / "PROTOCOL.md").read_text(encoding="utf-8")
TRANSCRIPT = re.findall(r"^([<>]) (\{.*\})$", DOCUMENT, re.MULTILINE)


def section(title: str) -> str:
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_transcript_is_a_session() -> None:
    client, server = Connection(Side.CLIENT), Connection(Side.SERVER)
    for arrow, line in TRANSCRIPT:
        if arrow == ">":
            message, unknown = decode_client(line)
            client.send(message)
            received = server.receive(line)
        else:
            received = client.receive(line)
            assert received is not None
            assert json.loads(server.send(received.message)) == json.loads(line)
            unknown = received.unknown
        assert received is not None
        assert unknown == ()
    assert server.state is client.state is SessionState.CLOSED


def test_the_hello_in_hexadecimal_is_one() -> None:
    (hexadecimal,) = re.findall(r"the 21 bytes `([0-9a-f]+)`", DOCUMENT)
    message, _ = decode_client(bytes.fromhex(hexadecimal))
    assert encode(message).hex() == hexadecimal
    assert len(bytes.fromhex(hexadecimal)) == 21


@pytest.mark.parametrize(
    ("title", "types"),
    [("Client to server", CLIENT_TYPES), ("Server to client", SERVER_TYPES)],
    ids=["client", "server"],
)
def test_every_key_of_every_message_is_told(title: str, types: dict[str, type]) -> None:
    _, *parts = re.split(r"^\| `(\w+)` \|", section(title), flags=re.MULTILINE)
    rows = dict(zip(parts[::2], parts[1::2], strict=True))
    assert rows.keys() == types.keys()
    for name, message_type in types.items():
        assert [each.name for each in fields(message_type) if f"`{each.name}`" not in rows[name]] == []


@pytest.mark.parametrize("value", [ModelDescription, Spoken, Trace], ids=lambda value: value.__name__)
def test_every_key_of_the_nested_maps_is_told(value: type) -> None:
    assert [each.name for each in fields(value) if f"`{each.name}`" not in section("Server to client")] == []


def test_every_key_of_the_audio_format_is_told_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section("Values"), re.MULTILINE))
    assert rows.keys() == {each.name for each in fields(AudioFormat)}
    assert rows["codec"] == f"`{AudioFormat().codec}`"
    assert rows["bitrate"] == str(AudioFormat().bitrate)
    assert rows["frame_ms"] == str(AudioFormat().frame_ms)


def test_every_limit_is_told() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", section("Limits"), re.MULTILINE)
    assert re.findall(r"\w+", " ".join(rows)) == [each.name for each in fields(Limits)]


def test_every_code_is_told() -> None:
    rows = re.findall(r"^\| `?(\w+)`? \|", section("Errors"), re.MULTILINE)
    assert [row for row in rows if row not in ("code", "close")] == [
        *(code.value for code in ErrorCode),
        *(str(int(code)) for code in CloseCode),
    ]
