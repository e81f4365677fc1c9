"""Everything PROTOCOL.md refuses, and with which code: messages, openings, limits. The connection lives on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest
import pytest_asyncio
from websockets import InvalidStatus, Origin
from websockets.asyncio.client import connect

from tests.independent_client import Client, Message
from tests.streaming_server.serving import Server, serving
from tests.test_independent_client import PLAIN, assert_no_error, assert_whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
STRICT = {
    "utterances": 2, "ids": 3, "text_chars": 60, "errors": 2, "message_bytes": 2048, "hello_timeout_ms": 300,
    "utterance_idle_ms": 700, "idle_ms": 1500, "text_timeout_ms": 200, "api_key": "sesame", "max_sessions": 3,
    "resume_ms": 100,
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tone() -> AsyncIterator[Server]:
    async with serving("tone") as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict() -> AsyncIterator[Server]:
    async with serving("tone", **STRICT) as server:
        yield server


def start(**keys: Any) -> Message:
    return {"type": "start", "utterance": "u"} | keys


WRONG: list[Message] = [
    {"speed": 2.5}, {"speed": True}, {"speed": float("nan")}, {"volume": -0.1}, {"seed": 2**32}, {"seed": 1.0},
    {"seed": -1}, {"text": 5}, {"end": 1}, {"words": "no"}, {"params": {"a": "b"}}, {"params": []}, {"voice": ""},
    {"language": "e\tn"}, {"segmentation": 3}, {"audio": []}, {"audio": {"sample_rate": 44100.0}}, {"after": "*"},
    {"audio": {"codec": "opus", "bitrate": True}}, {"segmentation": "letter"}, {"preempt": 1},
]  # fmt: skip
REFUSED: list[tuple[Message, str]] = [
    ({"type": "sing"}, "unknown_type"),
    ({"type": "started", "utterance": "u"}, "unknown_type"),
    ({"type": "hello", "version": 1}, "bad_state"),
    ({"type": "start"}, "bad_value"),
    ({"type": "ping", "nonce": "n" * 65}, "bad_value"),
    ({"type": "ping", "nonce": float("inf")}, "bad_value"),
    *(({"type": "start", "utterance": id}, "bad_value") for id in ("", "*", "a\nb", "x" * 65, "a\u200bb", 7)),
    *((start() | fields, "bad_value") for fields in WRONG),
    *((start(audio=audio), "unsupported_format") for audio in (
        {"codec": "mp3"}, {"sample_rate": 11025}, {"codec": "opus", "sample_rate": 44100},
        {"codec": "opus", "frame_ms": 60}, {"codec": "opus", "bitrate": 5999},
    )),
    (start(voice="nobody"), "unknown_voice"),
    (start(after="ghost"), "unknown_utterance"),
    *(({"type": type, "utterance": "ghost"} | extra, "unknown_utterance") for type, extra in (
        ("text", {"text": "a"}), ("flush", {}), ("end", {}), ("cancel", {}), ("playhead", {}),
        ("format", {"audio": {}}),
    )),
]  # fmt: skip


async def test_each_fault_is_told_by_its_code_and_changes_nothing(tone: Server) -> None:
    client = await Client(tone.stream_url).greet(lead_ms=60000)
    for message, code in REFUSED:
        await client.put(message)
        error = await client.hear("error")
        assert (error["code"], error["fatal"], "seq" in error) == (code, False, False), (message, error)
        assert error["message"].strip()
        if message.get("utterance") in {"u", "ghost"} and code != "unknown_type":
            assert error["utterance"] == message["utterance"]
        if error.get("utterance") == "u":
            await client.put({"type": "text", "utterance": "u", "text": "For a refused start."})
    await client.send("start", "u", text=PLAIN * 3, end=True, params={"zeal": 2}, audio={"depth": 8}, zip=0)
    for again in (start(), start(text="Other.", preempt=True)):
        await client.put(again)
    for type in ("text", "flush", "end"):
        await client.put({"type": type, "utterance": "u", "text": "More."})
    u = await client.end_of("u")
    assert_whole(u)
    assert sorted(u.messages[0]["unknown"]) == ["audio.depth", "params.zeal", "zip"]
    codes = [message["code"] for message in u.messages if message["type"] == "error"]
    assert codes == ["duplicate_utterance"] * 2 + ["bad_state"] * 3
    await client.put(start())
    error = await client.hear("error")
    assert (error["code"], "seq" in error) == ("duplicate_utterance", False)
    await assert_no_error(client)


BAD: list[bytes | str] = [
    "", "{", "[]", "7", '{"type":7}', '{"type":"ping","nonce":NaN}', '{"type":"ping","nonce":Infinity}',
    '{"type":"ping"} 1',
    '{"type":"ping","type":"ping"}', '{"nonce":1}', '{"type":"ping","a":' + "[" * 8 + "]" * 8 + "}",
    b"", b"\xc1", b"\x90", msgpack.packb({"type": "ping"})[:-1], msgpack.packb({"type": "ping"}) + b"\xc0",
    b"\x82" + msgpack.packb("type") + msgpack.packb("ping") + msgpack.packb("type") + msgpack.packb("ping"),
    msgpack.packb({"type": "ping", 5: 1}), msgpack.packb({"type": "ping", "a": msgpack.ExtType(4, b"x")}),
    msgpack.packb({"type": "ping", "a": msgpack.Timestamp(1, 0)}), msgpack.packb({"type": b"ping"}),
]  # fmt: skip


async def test_what_is_no_map_of_the_dialect_is_refused(tone: Server, strict: Server) -> None:
    client = Client(tone.stream_url)
    for number, bad in enumerate(BAD):
        if number % 8 == 0:
            await client.greet()
        await client.socket.send(bad)
        error = await client.hear("error")
        assert (error["code"], error["fatal"]) == ("bad_message", False), (bad, error)
    await client.socket.send(json.dumps({"type": "ping", "a": [[[[[[1]]]]]]}))
    await client.hear("pong")
    await client.socket.send(b"\x82\xa4type\xa4text\xa9utterance\xa3\xed\xa0\x80")
    assert (await client.hear("error"))["code"] in {"bad_value", "bad_message"}
    client = await Client(strict.stream_url).greet(token="sesame")
    for _ in range(3):
        await client.socket.send(b"\xc1")
    assert await client.close_code() == 1008
    assert [error["fatal"] for error in client.loose if error["type"] == "error"] == [False, False, True]


OPENINGS: list[tuple[Message, str, int]] = [
    ({"type": "ping"}, "bad_state", 4400),
    ({"type": "hello", "version": 2, "token": "sesame"}, "unsupported_version", 4400),
    ({"type": "hello", "token": "sesame", "lead_ms": 60001}, "bad_value", 4400),
    ({"type": "hello", "token": "sesame", "audio": {"codec": "mp3"}}, "unsupported_format", 4400),
    ({"type": "hello", "token": "wrong"}, "unauthorized", 1008),
    ({"type": "hello"}, "unauthorized", 1008),
    ({"type": "sing"}, "unknown_type", 4400),
    ({}, "bad_message", 4400),
]


async def test_an_opening_that_fails_is_fatal(strict: Server) -> None:
    for hello, code, close_code in OPENINGS:
        client = Client(strict.stream_url)
        await client.open()
        await client.socket.send(msgpack.packb(hello))
        assert (await client.close_code(), client.loose[-1]["code"]) == (close_code, code), (hello, client.loose)
        assert client.loose[-1]["fatal"]
    client = Client(strict.stream_url)
    await client.open()
    assert await client.close_code() == 4400
    assert client.loose[-1]["code"] == "bad_state"
    client = await Client(strict.stream_url).greet(token="sesame")
    await client.socket.send(b"\x00" * 2049)
    assert await client.close_code() == 1009


async def test_limits_hold(strict: Server) -> None:
    client = await Client(strict.stream_url).greet(token="sesame", lead_ms=60000)
    limits = client.ready["limits"]
    assert {key: limits[key] for key in STRICT if key in limits} == {
        key: STRICT[key] for key in STRICT if key in limits
    }
    await client.send("start", "a", text="One. ")
    await client.send("start", "b", text="x" * 40)
    await client.send("start", "c")
    assert (await client.end_of("c")).refused["code"] == "too_many_utterances"
    await client.put({"type": "text", "utterance": "b", "text": "y" * 21})
    await client.when(lambda: any(m["type"] == "error" for m in client.utterances["b"].messages))
    assert next(m["code"] for m in client.utterances["b"].messages if m["type"] == "error") == "text_limit"
    await client.send("text", "b", text="z" * 20)
    await client.put({"type": "cancel", "utterance": "a"})
    await client.send("start", "c", text="Another.", end=True)
    await client.send("end", "b")
    for id, reason in (("a", "cancelled"), ("b", "end"), ("c", "end")):
        assert_whole(await client.end_of(id), reason)
    for id in "abc":
        await client.put({"type": "start", "utterance": id})
        assert (await client.hear("error"))["code"] == "duplicate_utterance"
    assert_whole(await client.say("d", "A fourth one."))
    assert_whole(await client.say("a", "Forgotten, hence new."))
    await client.send("start", "idle", text="The writer went away")
    await client.end_of("idle")
    assert client.utterances["idle"].messages[-2]["code"] == "timeout"
    others = [await Client(strict.stream_url).greet(token="sesame") for _ in range(2)]
    crowd = Client(strict.stream_url)
    await crowd.open()
    await crowd.socket.send(msgpack.packb({"type": "hello", "token": "sesame"}))
    assert await crowd.close_code() == 1013
    assert (crowd.loose[-1]["code"], crowd.loose[-1]["fatal"]) == ("busy", True)
    assert crowd.loose[-1]["retry_after_ms"] > 0
    for idle in (client, *others):
        assert await idle.close_code() == 4408
        assert (idle.loose[-1]["code"], idle.loose[-1]["fatal"]) == ("timeout", True)


async def test_a_strange_page_may_not(tone: Server) -> None:
    try:
        async with connect(tone.stream_url, origin=Origin("https://elsewhere.example")) as socket:
            await socket.send('{"type":"hello"}')
            await socket.wait_closed()
            status = socket.close_code
    except InvalidStatus as refused:
        status = refused.response.status_code
    assert status in {403, 1008}


async def test_unknown_keys_are_named_but_not_without_end(tone: Server) -> None:
    client = await Client(tone.stream_url).greet(**{f"{number:02}" * 40: 1 for number in range(20)})
    assert len(client.ready["unknown"]) == 16
    assert {len(key) for key in client.ready["unknown"]} == {64}


async def test_a_refusal_of_a_json_hello_is_json(tone: Server) -> None:
    async with connect(tone.stream_url) as socket:
        await socket.send('{"type":"hello","version":2}')
        assert json.loads(await socket.recv(decode=True))["code"] == "unsupported_version"
