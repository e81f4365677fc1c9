"""PROTOCOL.md suffices: a client written from it alone streams, interrupts and switches formats as promised."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.independent_client import Client, Message, Utterance
from tests.streaming_server.serving import Server, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENGLISH = (
    "Hello there! It's 9 pm, and **Dr. Smith** paid $3.50 for 2 apples 😀. Really? [See](http://a.org/b), then go."
)
CHINESE = "你好，世界！今天是2024年3月5日，温度25℃。**重点**：价格涨了3.5%👍🏽。再见，明天再说。"
MIXED = (
    "# 标题\n\n- 我用 Python 3.12 写了 `hello()`；it's OK。\n- GPT-4 costs $20！\n\n好的👩‍👩‍👧，bye. 最后 one more 句。"
)
PLAIN = "The quick brown fox runs over the hill. Then it sleeps, and dreams of a river! Nobody hears it at all."
TEXTS = (ENGLISH, CHINESE, MIXED)

KINDS = {"i": (int,), "n": (int, float), "s": (str,), "b": (bool,), "l": (list,), "m": (dict,)}
SHAPES = {
    "ready": "version:i session:s resume_token:s resumed:b client_messages:i server:m model:m audio:m voice:s limits:m "
    "resume:s unknown:l",
    "server": "name:s version:s",
    "model": "name:s sample_rate:i patch_ms:n token_rate:n languages:l neural:b deterministic:b realtime:b controls:m "
    "params:m",
    "controls": "speed:s volume:s",
    "limits": "message_bytes:i utterances:i ids:i text_chars:i pending_chars:i chars_per_s:i messages_per_s:i errors:i "
    "lead_ms:i replay_bytes:i resume_ms:i idle_ms:i utterance_idle_ms:i text_timeout_ms:i session_ms:i",
    "audio_format": "codec:s sample_rate:i pre_skip:i",
    "started": "seq:i voice:s language:s seed:i params:m audio:m unknown:l",
    "segment": "seq:i index:i text_start:i text_end:i spoken:s pts:i",
    "words": "seq:i words:l estimated:b",
    "audio": "seq:i pts:i samples:i",
    "format": "seq:i audio:m",
    "done": "seq:i reason:s samples:i text_chars:i trace:m",
    "trace": "patches:i cached_segments:i resumes:i",
    "spoken": "text_end:i pts:i mid_word:b estimated:b text:s remaining:s",
    "error": "code:s message:s fatal:b",
    "pong": "server_ms:n",
}
"""The keys that must be there, each with its kind; a map has the shape that its key names."""
TRACE = ("segment_cut", "scheduled", "first_patch", "first_audio_sent", "done")


def assert_shape(value: Message, name: str) -> None:
    for key, kind in (entry.split(":") for entry in SHAPES[name].split()):
        assert type(value.get(key)) in KINDS[kind], f"expected {key} in {name}, got {value}"
        shape = "audio_format" if key == "audio" else key
        if kind == "m" and shape in SHAPES:
            assert_shape(value[key], shape)


def splits(text: str, place: int) -> bool:
    """Whether an English word goes on across that place."""
    both = text[place - 1 : place + 1]
    return 0 < place < len(text) and both.isascii() and both.isalpha()


def assert_whole(utterance: Utterance, reason: str = "end") -> None:
    """What can be said of an utterance only when it is over."""
    assert not utterance.refused, utterance.refused
    for message in utterance.messages:
        assert_shape(message, message["type"])
    done, text = utterance.done, utterance.text[: utterance.done["text_chars"]]
    assert done["reason"] == reason, done
    assert text == utterance.text or reason != "end", done
    points = [done["trace"][point] for point in TRACE if point in done["trace"]]
    assert points == sorted(points), done
    assert len(points) == len(TRACE) or not done["samples"] or reason != "end", done
    for start, end, _, _ in utterance.words:
        word = text[start:end]
        assert word == word.strip(), f"expected a word, got {word!r} of {text!r}"
        assert any(map(str.isalnum, word)), f"expected a word, got {word!r} of {text!r}"
        cuts = [place for place in (start, end) if splits(text, place)]
        assert not cuts, f"expected a whole word, got {word!r} of {text!r}"
    if reason == "cancelled":
        spoken = done["spoken"]
        assert_shape(spoken, "spoken")
        assert (spoken["text"], spoken["text"] + spoken["remaining"]) == (text[: spoken["text_end"]], text)
        assert 0 <= spoken["pts"] <= done["samples"]
        for start, end, pts, pts_end in utterance.words:
            assert pts_end > spoken["pts"] or end <= spoken["text_end"], f"{text[start:end]} was heard: {done}"
            assert pts < spoken["pts"] or start >= spoken["text_end"], f"{text[start:end]} was not heard: {done}"


def layout(utterance: Utterance) -> list[Any]:
    """Its segments, without the time of them."""
    return [(segment["text_start"], segment["text_end"], segment["spoken"]) for segment in utterance.segments]


def audio(utterance: Utterance) -> bytes:
    return b"".join(payload for run in utterance.runs for payload in run.payloads)


async def stream(client: Client, id: str, text: str, cuts: list[int], **fields: Any) -> Utterance:
    """A text in deltas that end at `cuts`, to its end."""
    await client.send("start", id, **fields)
    for start, end in itertools.pairwise([0, *sorted(cuts), len(text)]):
        await client.send("text", id, text=text[start:end])
        await asyncio.sleep(0)
    await client.send("end", id)
    return await client.end_of(id)


async def assert_no_error(client: Client) -> None:
    """Messages are answered in order: what comes before the pong is all that the earlier ones caused."""
    await client.put({"type": "ping", "nonce": "any?"})
    assert (await client.hear("pong"))["nonce"] == "any?"
    assert client.loose == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tone() -> AsyncIterator[Server]:
    async with serving("tone", text_timeout_ms=5000) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def espeak() -> AsyncIterator[Server]:
    async with serving("espeak", text_timeout_ms=5000) as server:
        yield server


async def test_any_cuts_and_any_company_speak_the_same(tone: Server, espeak: Server) -> None:
    for server in (tone, espeak):
        client = await Client(server.stream_url, listens=True).greet(lead_ms=60000)
        dice = random.Random(7)
        whole = [await client.say(f"whole {i}", text, seed=5) for i, text in enumerate(TEXTS)]
        jobs = [
            stream(client, f"cut {i} {cuts}", text, [dice.randrange(len(text)) for _ in range(cuts)], seed=5)
            for cuts in (2, 9, 200)
            for i, text in enumerate(TEXTS)
        ]
        for number, utterance in enumerate(await asyncio.gather(*jobs)):
            assert_whole(utterance)
            first = whole[number % len(TEXTS)]
            assert layout(utterance) == layout(first)
            assert audio(utterance) == audio(first)
            assert utterance.words == first.words


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(TEXTS), st.lists(st.integers(0, 100), max_size=20))
async def test_any_cuts_that_can_be_thought_of(tone: Server, text: str, cuts: list[int]) -> None:
    client = await Client(tone.stream_url).greet(lead_ms=60000)
    cut, whole = await asyncio.gather(
        stream(client, "cut", text, [min(cut, len(text)) for cut in cuts]), client.say("whole", text)
    )
    assert_whole(cut)
    assert layout(cut) == layout(whole)
    assert cut.words == whole.words
    await client.socket.close()


async def test_flush_speaks_what_waits_and_manual_segments_repeat_the_audio(espeak: Server) -> None:
    client = await Client(espeak.stream_url).greet(lead_ms=60000)
    whole = await client.say("whole", CHINESE + PLAIN, seed=3)
    await client.send("start", "flushed", segmentation="manual", seed=3)
    heard, begin = client.utterances["flushed"], 0
    for number, segment in enumerate(whole.segments, 1):
        await client.send("text", "flushed", text=whole.text[begin : segment["text_end"]])
        await client.send("flush", "flushed")
        begin = segment["text_end"]
        if number == 2:
            await client.when(lambda: len(heard.segments) == 2 and heard.samples == whole.segments[2]["pts"])
    await client.send("end", "flushed")
    assert_whole(await client.end_of("flushed"))
    assert layout(heard) == layout(whole)
    assert audio(heard) == audio(whole)
    assert len(heard.runs) >= 2, "expected a new run after the pause of the writer"


async def test_every_word_of_plain_text_is_pointed_at(tone: Server, espeak: Server) -> None:
    for server in (tone, espeak):
        client = await Client(server.stream_url).greet(lead_ms=60000)
        for id, text in (("en", PLAIN), ("zh", "今天天气很好，我们去公园散步。明天也一样。")):
            utterance = await client.say(id, text, language=id)
            assert_whole(utterance)
            pointed = {place for start, end, _, _ in utterance.words for place in range(start, end)}
            assert pointed >= {place for place, character in enumerate(text) if character.isalnum()}
            assert sorted(utterance.words) == sorted(utterance.words, key=lambda word: word[2])
        silent = await client.say("silent", PLAIN, words=False)
        assert not silent.words
        for number, nothing in enumerate(("", " \n", "😀", "**")):
            utterance = await client.say(f"nothing {number}", nothing)
            assert_whole(utterance)
            assert [message["type"] for message in utterance.messages] == ["started", "done"]


@pytest.mark.parametrize("at", ["now", "word"])
async def test_cancel_stops_where_the_listener_is(espeak: Server, at: str) -> None:
    client = await Client(espeak.stream_url).greet(lead_ms=60000)
    await client.send("start", "u", text=PLAIN)
    heard = client.utterances["u"]
    await client.when(lambda: len(heard.words) > 5 and heard.samples > heard.words[5][3])
    played = (heard.words[4][2] + heard.words[4][3]) // 2
    await client.put({"type": "cancel", "utterance": "u", "at": at, "played": played})
    for late in ("text", "flush", "end", "format", "cancel", "playhead", "text"):
        await client.put({"type": late, "utterance": "u", "text": "Never.", "audio": {"sample_rate": 8000}})
    assert_whole(await client.end_of("u"), "cancelled")
    spoken = heard.done["spoken"]
    if at == "word":
        assert (spoken["pts"], spoken["mid_word"], spoken["text_end"]) == (heard.words[4][3], False, heard.words[4][1])
    else:
        assert abs(spoken["pts"] - played) < 0.1 * 44100
        assert spoken["mid_word"]
    await assert_no_error(client)
    for id in "abc":
        await client.send("start", id, text=PLAIN)
    await client.when(lambda: all(client.utterances[id].samples > 20000 for id in "abc"))
    await client.put({"type": "cancel", "utterance": "*", "at": at, "played": {"a": 9000, "b": 0}})
    for id in "abc":
        assert_whole(await client.end_of(id), "cancelled")
    await client.send("start", "early", text=PLAIN)
    await client.put({"type": "cancel", "utterance": "early", "at": at})
    assert_whole(await client.end_of("early"), "cancelled")
    await assert_no_error(client)


def pcm(utterance: Utterance) -> np.ndarray[Any, Any]:
    """Its sound in one run, as the listener hears it."""
    (run,) = utterance.runs
    if run.audio["codec"] == "opus":
        decoder = pytest.importorskip("opuslib").Decoder(48000, 1)
        decoded = b"".join(decoder.decode(packet, run.frame) for packet in run.payloads)
        return np.frombuffer(decoded, "<i2")[run.audio["pre_skip"] : run.samples - run.over] / 32768
    if run.audio["codec"] == "pcm_f32le":
        return np.frombuffer(audio(utterance), "<f4").astype(float)
    return np.frombuffer(audio(utterance), "<i2") / 32768


async def test_every_format_carries_the_same_sound(tone: Server) -> None:
    client = await Client(tone.stream_url, as_json=True).greet(lead_ms=60000)
    rates = (8000, 16000, 22050, 24000, 44100, 48000)
    formats: list[Message] = [
        {"codec": codec, "sample_rate": rate} for codec in ("pcm_s16le", "pcm_f32le") for rate in rates
    ]
    formats += [{"codec": "opus", "frame_ms": frame, "bitrate": 64000} for frame in (10, 20, 40)]
    native = await client.say("native", PLAIN, seed=1)
    for number, format in enumerate(formats):
        utterance = await client.say(f"u{number}", PLAIN, seed=1, audio=format)
        if utterance.refused:
            assert (format["codec"], utterance.refused["code"]) == ("opus", "unsupported_format")
            pytest.skip("this server serves no Opus")
        assert_whole(utterance)
        assert utterance.words == native.words
        carried, rate = pcm(utterance), utterance.runs[0].audio["sample_rate"]
        expected = np.interp(np.arange(len(carried)) * 44100 / rate, np.arange(native.samples), pcm(native))
        assert np.corrcoef(carried, expected)[0, 1] > 0.99, format
        if rate == 44100:
            assert np.abs(carried - expected).max() < 1 / 16384


async def test_formats_switch_between_runs(tone: Server) -> None:
    client = await Client(tone.stream_url, listens=True).greet(lead_ms=1000, audio={"codec": "opus"})
    codecs: list[Message] = [{"sample_rate": 24000}, {"codec": "opus", "frame_ms": 10}, {}, {"codec": "pcm_f32le"}]
    await client.send("start", "u", text=PLAIN)
    runs = client.utterances["u"].runs
    for format in codecs:
        before = len(runs)
        await client.send("format", "u", audio=format)
        await client.send("text", "u", text=CHINESE)
        await client.when(lambda before=before: len(runs) > before)  # type: ignore[misc]
    await client.send("end", "u")
    assert_whole(await client.end_of("u"))
    await client.send("format", "u", audio={})
    await assert_no_error(client)


async def test_a_cancelled_run_covers_no_more_than_its_ticks(tone: Server) -> None:
    client = await Client(tone.stream_url).greet(audio={"sample_rate": 16000})
    await client.send("start", "u", text=PLAIN)
    await client.when(lambda: client.utterances["u"].samples > 0)
    await client.put({"type": "cancel", "utterance": "u"})
    assert (await client.end_of("u")).runs[-1].over < 1
