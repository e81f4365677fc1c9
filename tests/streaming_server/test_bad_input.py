"""Bad input: each kind gets one error with its code and a sentence, and the neighbours go on."""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from typing import Any

import httpx
import msgpack
import pytest

from tests.streaming_server.serving import Wire, assert_complete, connected, greeted, serving

TEXT = "Hello there, this is a test."


def deep(levels: int) -> bytes:
    return b"\x82\xa4type\xa4ping\xa5nonce" + b"\x91" * levels + b"\x01"


UNDECODABLE = {
    "empty": b"",
    "not msgpack": b"\xc1",
    "not a map": msgpack.packb([1, 2]),
    "no type": msgpack.packb({"utterance": "u1"}),
    "type is a number": msgpack.packb({"type": 7}),
    "truncated": msgpack.packb({"type": "ping", "nonce": "abc"})[:-1],
    "trailing bytes": msgpack.packb({"type": "ping"}) + b"\x01",
    "deep nesting": deep(5000),
    "array that claims 4 G": b"\x81\xa4type\xdd\xff\xff\xff\xff",
    "integer keys": b"\x81\x01\x02",
    "ext type": msgpack.packb({"type": "ping", "nonce": msgpack.ExtType(5, b"x")}),
    "bad UTF-8": b"\x82\xa4type\xa4ping\xa5nonce\xa2\xff\xfe",
    "JSON that is cut off": '{"type": "ping"',
    "JSON deep nesting": '{"type": "ping", "nonce": ' + "[" * 5000 + "]" * 5000 + "}",
    "JSON NaN": '{"type": "start", "utterance": "u1", "speed": NaN}',
}

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown type": ("unknown_type", {"type": "sing"}),
    "second hello": ("bad_state", {"type": "hello", "version": 1}),
    "NaN": ("bad_value", {"type": "start", "utterance": "u1", "speed": float("nan")}),
    "infinity": ("bad_value", {"type": "start", "utterance": "u1", "volume": float("inf")}),
    "huge integer": ("bad_value", {"type": "start", "utterance": "u1", "seed": 2**63}),
    "bool for a number": ("bad_value", {"type": "start", "utterance": "u1", "seed": True}),
    "number for a string": ("bad_value", {"type": "start", "utterance": 5}),
    "empty id": ("bad_value", {"type": "start", "utterance": ""}),
    "id of 65 characters": ("bad_value", {"type": "start", "utterance": "x" * 65}),
    "id with a newline": ("bad_value", {"type": "start", "utterance": "a\nb"}),
    "missing id": ("bad_value", {"type": "start"}),
    "text before start": ("unknown_utterance", {"type": "text", "utterance": "nobody", "text": "x"}),
    "end before start": ("unknown_utterance", {"type": "end", "utterance": "nobody"}),
    "unknown voice": ("unknown_voice", {"type": "start", "utterance": "u1", "voice": "../../etc/passwd"}),
    "unknown codec": ("unsupported_format", {"type": "start", "utterance": "u1", "audio": {"codec": "mp3"}}),
    "unknown rate": (
        "unsupported_format",
        {"type": "start", "utterance": "u1", "audio": {"codec": "pcm_s16le", "sample_rate": 11025}},
    ),
    "speed out of range": ("bad_value", {"type": "start", "utterance": "u1", "speed": 9.0}),
    "after nobody": ("unknown_utterance", {"type": "start", "utterance": "u1", "after": "nobody"}),
}


async def assert_goes_on(wire: Wire, name: str) -> None:
    assert_complete(await wire.speak(name, TEXT))


@pytest.mark.parametrize("kind", UNDECODABLE)
async def test_undecodable_bytes_get_bad_message_and_the_session_lives(kind: str) -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send_raw(UNDECODABLE[kind])
        error = await wire.until("error")
        assert error["code"] in ("bad_message", "bad_value"), error
        assert not error["fatal"]
        await assert_goes_on(wire, "u1")


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refused_message_gets_its_code_and_changes_nothing(kind: str) -> None:
    code, message = REFUSED[kind]
    async with serving() as server, greeted(server) as neighbour, greeted(server) as wire:
        await neighbour.send("start", utterance="n", text=TEXT)
        await wire.send_raw(msgpack.packb(message))
        error = await wire.until("error")
        assert error["code"] == code, error
        assert error["message"]
        assert "Traceback" not in error["message"]
        assert not error["fatal"]
        await assert_goes_on(wire, "u1")
        await neighbour.send("end", utterance="n")
        assert (await neighbour.until("done"))["reason"] == "end"


async def test_lone_surrogates_are_refused_by_name() -> None:
    async with serving() as server, greeted(server, as_json=True) as wire:
        await wire.send_raw('{"type": "start", "utterance": "u1", "text": "a \\ud800 b", "end": true}')
        error = await wire.until("error")
        assert error["code"] == "bad_value"
        assert "surrogate" in error["message"]


async def test_a_duplicate_utterance_is_refused_and_the_first_goes_on() -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send("start", utterance="u1", text=TEXT)
        await wire.send("start", utterance="u1", text="Other.")
        assert (await wire.until("error"))["code"] == "duplicate_utterance"
        await wire.send("end", utterance="u1")
        assert (await wire.until("done"))["text_chars"] == len(TEXT)
        await wire.send("start", utterance="u1", text="Again.")
        assert (await wire.until("error"))["code"] == "duplicate_utterance"


async def test_messages_after_the_end_are_bad_state_and_after_done_ignored() -> None:
    async with serving() as server, greeted(server, lead_ms=320) as wire:
        await wire.send("start", utterance="u1", text=TEXT, end=True)
        await wire.send("text", utterance="u1", text="more")
        assert (await wire.until("error"))["code"] == "bad_state"
        await wire.until("done")
        await wire.send("text", utterance="u1", text="more")
        await wire.send("cancel", utterance="u1")
        await wire.send("ping", nonce=1)
        assert (await wire.receive())["type"] == "pong"


async def test_too_many_utterances_and_too_much_text_are_refused() -> None:
    async with serving(utterances=2, text_chars=100, pending_chars=100) as server, greeted(server) as wire:
        await wire.send("start", utterance="a")
        await wire.send("start", utterance="b")
        await wire.send("start", utterance="c")
        assert (await wire.until("error"))["code"] == "too_many_utterances"
        await wire.send("text", utterance="a", text="x" * 101)
        error = await wire.until("error")
        assert (error["code"], error["utterance"]) == ("text_limit", "a")
        await wire.send("text", utterance="a", text=TEXT)
        await wire.send("end", utterance="a")
        assert (await wire.until("done", "a"))["text_chars"] == len(TEXT)


async def test_text_waiting_to_be_spoken_is_bounded() -> None:
    async with serving(pending_chars=100) as server, greeted(server) as wire:
        await wire.send("start", utterance="a", text="x" * 90)
        await wire.send("text", utterance="a", text="y" * 90)
        error = await wire.until("error")
        assert error["code"] == "text_limit"
        assert error["retry_after_ms"] > 0


async def test_text_that_was_refused_may_come_again() -> None:
    """However often it was: what was not taken does not count as the utterance's text."""
    async with serving(text_chars=100, pending_chars=60) as server, greeted(server) as wire:
        await wire.send("start", utterance="a", segmentation="manual", text="x" * 50)
        for _ in range(3):
            await wire.send("text", utterance="a", text="y" * 50)
            assert "waiting to be spoken" in (await wire.until("error"))["message"]
        await wire.send("flush", utterance="a")
        await wire.until("segment")
        await wire.send("text", utterance="a", text="y" * 50)
        await wire.send("end", utterance="a")
        assert (await wire.until("done"))["text_chars"] == 100
        assert [message["type"] for message in wire.received].count("error") == 3


@pytest.mark.parametrize(
    "opening",
    [
        msgpack.packb({"type": "start", "utterance": "u1"}),
        msgpack.packb({"type": "ping"}),
        b"\xc1\xc1",
        "no json",
        msgpack.packb({"type": "hello", "version": "one"}),
    ],
)
async def test_an_opening_that_is_no_hello_closes_4400(opening: bytes | str) -> None:
    async with serving() as server, greeted(server) as neighbour, await connected(server) as wire:
        await wire.send_raw(opening)
        assert await wire.close_code() == 4400
        assert wire.received[-1]["fatal"]
        await assert_goes_on(neighbour, "u1")


async def test_an_unknown_version_is_refused_by_name() -> None:
    async with serving() as server, await connected(server) as wire:
        await wire.send("hello", version=2)
        await wire.close_code()
        assert wire.received[-1]["code"] == "unsupported_version"


async def test_silence_instead_of_hello_closes_4400() -> None:
    async with serving(hello_timeout_ms=100) as server, await connected(server) as wire:
        assert await wire.close_code() == 4400


async def test_an_idle_session_closes_4408() -> None:
    async with serving(idle_ms=1000) as server, greeted(server) as wire:
        assert await wire.close_code() == 4408
        assert wire.received[-1]["code"] == "timeout"


async def test_a_session_ends_with_its_time_however_busy() -> None:
    async with serving(session_ms=1000) as server, greeted(server) as wire:

        async def chatter() -> None:
            while True:
                await wire.send("ping", nonce=1)
                await asyncio.sleep(0.05)

        chatting = asyncio.create_task(chatter())
        assert await wire.close_code() == 4408
        chatting.cancel()
        assert "session" in wire.received[-1]["message"]


async def test_refused_messages_that_are_not_read_do_not_pile_up() -> None:
    """What is sent meanwhile stays in the sender's kernel and ours, however busy the machine is."""
    async with serving() as server, greeted(server) as neighbour, greeted(server) as wire:
        wire.socket.transport.pause_reading()
        flood = msgpack.packb({"type": "text", "utterance": "nobody", "text": "x"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                for _ in range(200_000):
                    await wire.send_raw(flood)
        async with httpx.AsyncClient(base_url=server.http_url) as http:
            page = (await http.get("/metrics")).text
        refused = re.search(r'^voxwire_errors_total\{code="unknown_utterance"\} (\S+)', page, re.MULTILINE)
        assert refused is not None, "expected some to be refused"
        assert float(refused[1]) < 5_000, "the server reads no further than it is listened to"
        await assert_goes_on(neighbour, "u1")
        wire.socket.transport.abort()


async def test_an_utterance_nobody_writes_to_times_out() -> None:
    async with serving(utterance_idle_ms=200, text_timeout_ms=50) as server, greeted(server) as wire:
        await wire.send("start", utterance="u1", text="Hello.")
        error = await wire.until("error")
        assert error["code"] == "timeout"
        done = await wire.until("done")
        assert done["reason"] == "error"
        await assert_goes_on(wire, "u2")


async def test_a_giant_frame_closes_1009_and_neighbours_go_on() -> None:
    async with serving() as server, greeted(server) as neighbour, greeted(server) as wire:
        await wire.send_raw(b"\x00" * 70_000)
        assert await wire.close_code() == 1009
        await assert_goes_on(neighbour, "u1")


async def test_a_frame_that_claims_a_terabyte_closes_1009_at_its_header() -> None:
    async with serving() as server, greeted(server) as wire:
        wire.socket.transport.write(b"\x82\xff" + struct.pack(">Q", 2**40) + b"mask")
        assert await wire.close_code() == 1009


async def test_undecodable_messages_beyond_the_bound_are_fatal() -> None:
    async with serving(errors=3) as server, greeted(server) as wire:
        for _ in range(4):
            await wire.send_raw(b"\xc1")
        assert await wire.close_code() == 1008
        assert [message["fatal"] for message in wire.received if message["type"] == "error"] == [
            False,
            False,
            False,
            True,
        ]


async def test_unknown_keys_are_named_once() -> None:
    async with serving() as server, await connected(server) as wire:
        await wire.send("hello", version=1, mood="good", audio={"codec": "pcm_s16le", "colour": "red"})
        assert sorted((await wire.receive())["unknown"]) == ["audio.colour", "mood"]
        messages = await wire.speak("u1", TEXT, pitch=3, params={"warmth": 1.0})
        assert sorted(messages[0]["unknown"]) == ["params.warmth", "pitch"]


SPEAKABLE = {
    "one word of 20 kB": "supercalifragilistic" * 1000,
    "one word of 100 kB": "supercalifragilistic" * 5000,
    "right to left": "שלום עולם, מה שלומך? مرحبا بالعالم.",
    "mixed scripts": "Hello 世界, привет мир, नमस्ते दुनिया, สวัสดีชาวโลก.",
    "NUL": "Hello\x00 there,\x00 you.",
    "control characters": "Hello\x1b[31m there\x07, you\u202e.",
}
SILENT = {
    "markup only": "```python\nprint(1)\n```\n",
    "only punctuation": "... !!! ??? --- ,,,",
    "only emoji": "😀😀🎉",
    "white space": " \n\t \u3000 ",
    "NULs": "\x00\x00\x00",
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.full) if "100 kB" in kind else kind for kind in SPEAKABLE]
)
async def test_unusual_text_is_spoken(kind: str) -> None:
    text = SPEAKABLE[kind]
    async with serving(message_bytes=1 << 20) as server, greeted(server, lead_ms=None) as wire:
        messages = await wire.speak("u1", text)
        assert_complete(messages)
        assert messages[-1]["samples"] > 0
        assert messages[-1]["text_chars"] == len(text)
        assert all("\x00" not in message["spoken"] for message in messages if message["type"] == "segment")


@pytest.mark.parametrize("kind", SILENT)
async def test_text_that_cleans_to_nothing_is_done_with_no_samples(kind: str) -> None:
    async with serving() as server, greeted(server) as wire:
        messages = await wire.speak("u1", SILENT[kind])
        assert_complete(messages)
        assert messages[-1]["samples"] == 0
        assert messages[-1]["reason"] == "end"


@pytest.mark.parametrize("kind", [*SPEAKABLE, *SILENT])
async def test_the_embedded_voice_survives_unusual_text(kind: str) -> None:
    text = {**SPEAKABLE, **SILENT}[kind][:5000]
    async with serving("espeak") as server, greeted(server, lead_ms=None) as wire:
        assert_complete(await wire.speak("u1", text))
        assert_complete(await wire.speak("u2", TEXT))


async def test_a_full_server_says_busy_and_when_to_come_back() -> None:
    async with serving(max_sessions=1) as server, greeted(server), await connected(server) as wire:
        await wire.send("hello")
        assert await wire.close_code() == 1013
        error = wire.received[-1]
        assert error["code"] == "busy"
        assert error["retry_after_ms"] > 0


async def test_messages_sent_too_fast_are_read_more_slowly_and_none_is_lost() -> None:
    async with serving(messages_per_s=200) as server, greeted(server) as wire:
        began_at = asyncio.get_running_loop().time()
        for number in range(600):
            await wire.send("ping", nonce=number)
        for number in range(600):
            assert (await wire.receive())["nonce"] == number
        assert asyncio.get_running_loop().time() - began_at > 0.8
