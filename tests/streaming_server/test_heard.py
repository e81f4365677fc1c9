"""What `done.spoken` tells over a real socket: where a listener stopped, and where a voice stops for it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import numpy as np
import pytest

from models.tone import ToneModel, tone_samples
from streaming_server.runs import FADE_MS
from tests.models.wordless import Wordless
from tests.streaming_server.serving import Wire, assert_complete, audio_of, connected, greeted, serving, until

TEXT = (
    "Hello there, dear listener. Cafe\u0301s cost $5, or 5 \u20ac. \u4f60\u597d\uff0c\u4e16\u754c\u3002 "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 wave! The end."
)
RATE_HZ = 44_100


def messages_of(wire: Wire, utterance: str) -> list[dict[str, Any]]:
    return [message for message in wire.received if message.get("utterance") == utterance]


def words_of(messages: list[dict[str, Any]]) -> list[list[int]]:
    return [word for message in messages if message["type"] == "words" for word in message["words"]]


def assert_parts(spoken: dict[str, Any], text: str) -> None:
    assert spoken["text"] + spoken["remaining"] == text
    assert spoken["text_end"] == len(spoken["text"])


@pytest.mark.parametrize("model", ["tone", "espeak"])
async def test_wherever_it_is_cancelled_text_and_position_agree_with_the_words(model: str) -> None:
    async with serving(model) as server, greeted(server, lead_ms=640) as wire:
        draw = random.Random(5)
        ends = []
        for number, played in enumerate(sorted(draw.randrange(90_000) for _ in range(8))):
            name = f"u{number}"
            await wire.send("start", utterance=name, text=TEXT, end=True, seed=1)
            while (audio := await wire.until("audio", name))["pts"] + audio["samples"] < played:
                await wire.send("playhead", utterance=name, played=audio["pts"])
            await wire.send("cancel", utterance=name, played=played)
            done = await wire.until("done", name)
            spoken = done["spoken"]
            assert_parts(spoken, TEXT)
            assert spoken["pts"] == played
            assert not spoken["estimated"]
            words = words_of(messages_of(wire, name))
            assert spoken["mid_word"] == any(begins < played < ends for _, _, begins, ends in words)
            begun = [text_end for _, text_end, begins, _ in words if begins < played]
            assert spoken["text_end"] >= max(begun, default=0)
            ends.append(spoken["text_end"])
    assert ends == sorted(ends)
    assert len(set(ends)) > 3


@pytest.mark.parametrize("lead_ms", [320, 4000])
async def test_at_word_the_sound_ends_with_a_word_and_a_fade(lead_ms: int) -> None:
    """With a short lead that end is still to be made; with a long one it was sent, and the client fades."""
    text = "Incomprehensibilities " * 6
    async with serving() as server, greeted(server, lead_ms=lead_ms) as wire:
        await wire.send("start", utterance="u", text=text, end=True, seed=3)
        while (audio := await wire.until("audio"))["pts"] < 8_000:
            pass
        await wire.send("cancel", utterance="u", at="word", played=audio["pts"])
        done = await wire.until("done")
        messages = messages_of(wire, "u")
    assert_complete(messages)
    spoken = done["spoken"]
    assert done["reason"] == "cancelled"
    assert spoken["pts"] in [pts_end for *_, pts_end in words_of(messages)]
    assert not spoken["mid_word"]
    assert spoken["text"].endswith("Incomprehensibilities")
    assert_parts(spoken, text)
    assert spoken["pts"] <= done["samples"]
    if lead_ms == 320:
        assert done["samples"] == spoken["pts"], "nothing goes out beyond it"
        pcm = np.frombuffer(audio_of(messages), "<i2").astype(int)
        num_fade = RATE_HZ * FADE_MS // 1000
        oracle = tone_samples(3, 0, len(pcm)).astype(int)
        np.testing.assert_array_equal(pcm[:-num_fade], oracle[:-num_fade])
        gain = np.linspace(1, 0, num_fade)
        assert np.abs(pcm[-num_fade:] - gain * oracle[-num_fade:]).max() <= 2
        assert pcm[-1] == 0


async def test_at_word_opus_ends_there_as_well() -> None:
    async with serving() as server, greeted(server, lead_ms=320, audio={"codec": "opus"}) as wire:
        await wire.send("start", utterance="u", text="Incomprehensibilities " * 6, end=True)
        while (audio := await wire.until("audio"))["pts"] < 20_000:
            pass
        await wire.send("cancel", utterance="u", at="word", played=audio["pts"])
        done = await wire.until("done")
        messages = messages_of(wire, "u")
    assert_complete(messages)
    assert done["samples"] == done["spoken"]["pts"] == words_of(messages)[0][3]
    num_packets = sum(len(message["packets"]) for message in messages if message["type"] == "audio")
    covered = num_packets * 20 / 1000 - 312 / 48_000
    assert 0 <= covered - done["samples"] / RATE_HZ < 0.04, "expected packets up to that tick, and no more"


async def test_at_word_an_estimated_word_will_do_and_where_none_is_known_it_ends_at_once() -> None:
    async with serving(Wordless(ToneModel())) as server, greeted(server, lead_ms=640) as wire:
        for name, options in (("u", {}), ("v", {"words": False})):
            await wire.send("start", utterance=name, text=TEXT * 3, end=True, **options)
            await wire.until("audio", name)
            audio = await wire.until("audio", name)
            await wire.send("cancel", utterance=name, at="word", played=audio["pts"])
            done = await wire.until("done", name)
            assert done["reason"] == "cancelled"
            assert done["spoken"]["estimated"]
            assert done["spoken"]["pts"] <= done["samples"]
            assert_parts(done["spoken"], TEXT * 3)


async def test_a_listener_that_is_ahead_behind_or_paused_stops_where_it_says() -> None:
    async with serving() as server, greeted(server) as wire:
        for name, playhead, expected in (
            ("ahead", {"played": 10**9}, None),
            ("behind", {"played": 500, "paused": True}, 500),
            ("unheard", {"played": 0, "paused": True}, 0),
        ):
            await wire.send("start", utterance=name, text=TEXT * 9, end=True)
            for _ in range(3):
                audio = await wire.until("audio", name)
            await wire.send("playhead", utterance=name, **playhead)
            await asyncio.sleep(0.05)
            await wire.send("cancel", utterance=name)
            done = await wire.until("done", name)
            spoken = done["spoken"]
            assert_parts(spoken, TEXT * 9)
            assert not spoken["estimated"], "the listener has just said so"
            if expected is None:
                assert audio["pts"] <= spoken["pts"] <= done["samples"]
            else:
                assert spoken["pts"] == expected


async def test_a_listener_that_says_nothing_is_followed_by_the_clock_and_that_is_marked() -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send("start", utterance="u", text=TEXT, end=True)
        await wire.until("audio")
        await asyncio.sleep(0.4)
        await wire.send("cancel", utterance="u")
        spoken = (await wire.until("done"))["spoken"]
    assert spoken["estimated"]
    assert 0.3 * RATE_HZ < spoken["pts"] < 3 * RATE_HZ
    assert_parts(spoken, TEXT)


async def test_star_takes_a_map_and_preempt_tells_of_all_that_it_ends() -> None:
    async with serving() as server, greeted(server) as wire:
        for name in "abc":
            await wire.send("start", utterance=name, text=TEXT, end=True)
        for name in "abc":
            while not any(each["type"] == "audio" for each in messages_of(wire, name)):
                await wire.receive()
        await wire.send("cancel", utterance="*", played={"a": 700, "b": 0, "stranger": 5})
        dones = {done["utterance"]: done["spoken"] for done in [await wire.until("done") for _ in "abc"]}
        assert (dones["a"]["pts"], dones["b"]["pts"]) == (700, 0)
        assert (dones["a"]["estimated"], dones["c"]["estimated"]) == (False, True)
        assert dones["b"]["remaining"] == TEXT
        await wire.send("start", utterance="d", text=TEXT)
        await wire.until("audio")
        await wire.send("start", utterance="e", text="And now this.", end=True, preempt=True)
        assert_parts((await wire.until("done", "d"))["spoken"], TEXT)


async def test_an_utterance_that_fails_tells_what_was_heard() -> None:
    async with serving(utterance_idle_ms=300, text_timeout_ms=50) as server, greeted(server) as wire:
        await wire.send("start", utterance="u", text="One. ")
        await wire.until("audio")
        done = await wire.until("done")
    assert done["reason"] == "error"
    assert_parts(done["spoken"], "One. ")
    assert done["spoken"]["text"].startswith("One")


async def test_who_was_away_cancels_and_is_told_what_it_heard() -> None:
    async with serving() as server:
        async with await connected(server) as wire:
            await wire.send("hello", version=1)
            ready = await wire.receive()
            await wire.send("start", utterance="u", text=TEXT, end=True, seed=1)
            await wire.until("audio")
            await wire.send("playhead", utterance="u", played=3_000, received=1)
            await asyncio.sleep(0.1)
            wire.socket.transport.abort()
        async with await connected(server) as again:
            resume = {"session": ready["session"], "token": ready["resume_token"], "received": {"u": 1}}
            await again.send("hello", version=1, resume=resume)
            assert (await again.receive())["resumed"]
            await again.send("cancel", utterance="u", played=7_000)
            done = await again.until("done")
    assert done["spoken"]["pts"] == 7_000
    assert not done["spoken"]["estimated"]
    assert_parts(done["spoken"], TEXT)


async def test_what_was_heard_of_a_session_that_nobody_came_back_to_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "streaming_server")
    async with serving(resume_ms=200) as server:
        async with await connected(server) as wire:
            await wire.send("hello", version=1)
            await wire.send("start", utterance="u", text=TEXT, end=True)
            await wire.until("audio")
            wire.socket.transport.abort()
        await until(lambda: "utterance abandoned" in caplog.messages)
    (record,) = [record for record in caplog.records if record.getMessage() == "utterance abandoned"]
    assert 0 < record.__dict__["heard"] < record.__dict__["of"] == len(TEXT)
