"""Speech over the WebSocket: what a client hears."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import numpy as np
import pytest

from models.base import ModelInfo, SpeechParams
from models.tone import CODE_POINT_SAMPLES, ToneModel, tone_samples
from tests.streaming_server.serving import Wire, assert_complete, audio_of, connected, greeted, serving, until


class Deaf:
    """A listener that keeps a voice and hears nothing."""

    def on_patch(self, patch: object) -> None: ...
    def on_closed(self) -> None: ...
    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None: ...


TEXT = "Hello there, this is a test. And a second sentence."


@pytest.mark.parametrize("as_json", [False, True], ids=["msgpack", "json"])
async def test_client_hears_an_utterance_whole_and_in_order(as_json: bool) -> None:
    async with serving() as server, greeted(server, as_json=as_json) as wire:
        messages = await wire.speak("u1", TEXT, seed=7)
    assert_complete(messages)
    assert messages[-1]["reason"] == "end"
    assert messages[-1]["text_chars"] == len(TEXT)
    assert messages[0]["seed"] == 7


async def test_native_pcm_is_bit_exact_to_the_model() -> None:
    async with serving() as server, greeted(server) as wire:
        messages = await wire.speak("u1", TEXT, seed=7)
    pcm = np.frombuffer(audio_of(messages), dtype="<i2")
    assert len(pcm) == messages[-1]["samples"] > 44100
    np.testing.assert_array_equal(pcm, tone_samples(7, 0, len(pcm)))


async def test_speech_starts_while_the_text_is_still_being_written() -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send("start", utterance="u1")
        for delta in ["Hel", "lo the", "re, this"]:
            await wire.send("text", utterance="u1", text=delta)
        first = await wire.until("audio")
        assert first["pts"] == 0
        await wire.send("text", utterance="u1", text=" is more.")
        await wire.send("end", utterance="u1")
        done = await wire.until("done")
    assert done["text_chars"] == len("Hello there, this is more.")


class Foreseeing(ToneModel):
    """A tone that looks at what is being written."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[str] = []

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, reads_ahead=True)

    def expect(self, slot: int, text: str) -> None:
        self.expected.append(text)


async def test_a_voice_that_reads_ahead_is_shown_what_is_being_written() -> None:
    model = Foreseeing()
    async with serving(model) as server, greeted(server) as wire:
        await wire.send("start", utterance="u1", segmentation="sentence")
        for delta in ("The quick ", "brown fox ", "jumps over ", "the lazy dog."):
            await wire.send("text", utterance="u1", text=delta)
            await asyncio.sleep(0.05)
        await wire.send("end", utterance="u1")
        await wire.until("done")
    assert model.expected == ["The quick brown fox ", "The quick brown fox jumps over the lazy dog."]


async def test_segments_and_words_point_into_the_original_text() -> None:
    text = "**Hello** there, [a link](http://example.org/x) here. Good bye."
    async with serving() as server, greeted(server) as wire:
        messages = await wire.speak("u1", text)
    segments = [message for message in messages if message["type"] == "segment"]
    assert [segment["index"] for segment in segments] == list(range(len(segments)))
    ends = [0, *(segment["text_end"] for segment in segments)]
    assert all(segment["text_start"] >= end for segment, end in zip(segments, ends, strict=False))
    words = [tuple(word) for message in messages if message["type"] == "words" for word in message["words"]]
    assert [text[start:end] for start, end, *_ in words] == ["Hello", "there", "a", "link", "here", "Good", "bye"]
    assert all(pts < pts_end for *_, pts, pts_end in words)


async def test_words_are_left_out_on_request() -> None:
    async with serving() as server, greeted(server) as wire:
        messages = await wire.speak("u1", TEXT, words=False)
    assert "words" not in {message["type"] for message in messages}


async def test_several_utterances_of_one_session_do_not_touch_each_other() -> None:
    async with serving() as server, greeted(server) as wire:
        for number in range(8):
            await wire.send("start", utterance=f"u{number}", text=TEXT, end=True, seed=number)
        num_done = 0
        while num_done < 8:
            num_done += (await wire.receive())["type"] == "done"
    for number in range(8):
        messages = [message for message in wire.received if message.get("utterance") == f"u{number}"]
        assert_complete(messages)
        pcm = np.frombuffer(audio_of(messages), dtype="<i2")
        np.testing.assert_array_equal(pcm, tone_samples(number, 0, len(pcm)))


async def test_an_utterance_without_text_is_done_with_no_samples() -> None:
    async with serving() as server, greeted(server) as wire:
        messages = await wire.speak("u1", "")
    assert [message["type"] for message in messages] == ["started", "done"]
    assert messages[-1]["samples"] == 0
    assert messages[-1]["reason"] == "end"


async def test_the_writers_pause_speaks_what_is_whole() -> None:
    async with serving(text_timeout_ms=50) as server, greeted(server) as wire:
        await wire.send("start", utterance="u1", text="One two three")
        segment = await wire.until("segment")
        assert segment["spoken"].startswith("One two")
        await wire.send("end", utterance="u1")
        await wire.until("done")
    assert_complete([message for message in wire.received if message.get("utterance") == "u1"])


async def test_after_a_pause_of_the_writer_a_new_run_begins_with_format() -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send(
            "start", utterance="u1", text="One two three.", audio={"codec": "pcm_s16le", "sample_rate": 16000}
        )
        await wire.send("flush", utterance="u1")
        while (audio := await wire.until("audio"))["pts"] + audio["samples"] < len(
            "One two three."
        ) * CODE_POINT_SAMPLES:
            pass
        await asyncio.sleep(0.3)
        await wire.send("text", utterance="u1", text=" Four five six.")
        await wire.send("end", utterance="u1")
        await wire.until("done")
    messages = [message for message in wire.received if message.get("utterance") == "u1"]
    assert_complete(messages)
    changes = [message for message in messages if message["type"] == "format"]
    assert [change["audio"]["sample_rate"] for change in changes] == [16000]
    before = messages[: messages.index(changes[0])]
    num_ticks = sum(message["samples"] for message in before if message["type"] == "audio")
    assert len(audio_of(before)) // 2 == -(-num_ticks * 16000 // 44100), "a run's payload covers its ticks"


async def test_format_switches_the_codec_with_the_next_patch() -> None:
    async with serving() as server, greeted(server, lead_ms=320) as wire:
        await wire.send("start", utterance="u1", text=TEXT * 3, end=True, seed=5)
        await wire.until("audio")
        await wire.send("format", utterance="u1", audio={"codec": "pcm_f32le"})
        change = await wire.until("format")
        assert change["audio"]["codec"] == "pcm_f32le"
        message = await wire.until("audio")
        expected = tone_samples(5, message["pts"], message["samples"]) / np.float32(32768)
        np.testing.assert_array_equal(np.frombuffer(message["data"], dtype="<f4"), expected)


async def test_the_server_keeps_to_the_lead() -> None:
    """With a lead of 320 ms, a second of audio cannot be there before 680 ms have passed."""
    async with serving() as server, greeted(server, lead_ms=320) as wire:
        began_at = asyncio.get_running_loop().time()
        await wire.send("start", utterance="u1", text=TEXT, end=True)
        while (await wire.until("audio"))["pts"] < 44100:
            pass
        assert asyncio.get_running_loop().time() - began_at > 0.5


async def test_background_work_does_not_wait_for_a_listener() -> None:
    async with serving() as server, greeted(server, lead_ms=None) as wire:
        began_at = asyncio.get_running_loop().time()
        messages = await wire.speak("u1", TEXT * 20)
        spoken_s = messages[-1]["samples"] / 44100
        assert asyncio.get_running_loop().time() - began_at < spoken_s / 4


async def test_nothing_is_held_back_for_a_resume_that_there_is_not() -> None:
    """A megabyte of speech for a listener whose position never comes; it would be twenty times what may be held."""
    async with serving(replay_bytes=65_536, resume_ms=0) as server, greeted(server, lead_ms=None) as wire:
        await wire.send("start", utterance="u1")
        await wire.send("playhead", utterance="u1", received=0)
        await wire.send("text", utterance="u1", text=TEXT * 20)
        await wire.send("end", utterance="u1")
        done = await wire.until("done")
        assert done["reason"] == "end"
        assert 2 * done["samples"] > 2**20


async def test_background_work_waits_for_a_client_that_does_not_read() -> None:
    """Some 40 MB of speech are asked for; what is made stays within the bounds of outbox, socket and replay."""
    async with serving() as server, greeted(server, lead_ms=None) as wire:
        wire.socket.transport.pause_reading()
        await wire.send("start", utterance="u1", text=TEXT * 130, end=True, words=False)
        made = -1
        while made != (made := server.engine.num_patches):  # noqa: ASYNC110 - until nothing more is made
            await asyncio.sleep(1)
        assert made * 14112 < 16 * 2**20
        wire.socket.transport.resume_reading()
        done = await wire.until("done")
        assert done["reason"] == "end"


async def test_cancel_ends_speech_at_once_and_tells_what_was_heard() -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send("start", utterance="u1", text=TEXT * 10, end=True)
        for _ in range(5):
            await wire.until("audio")
        began_at = asyncio.get_running_loop().time()
        await wire.send("cancel", utterance="u1", played=20000)
        done = await wire.until("done")
        assert asyncio.get_running_loop().time() - began_at < 2
        assert done["reason"] == "cancelled"
        assert done["spoken"]["pts"] == 20000
        assert done["spoken"]["text"] + done["spoken"]["remaining"] == TEXT * 10
        assert done["spoken"]["text_end"] == len(done["spoken"]["text"]) > 0
        assert not done["spoken"]["estimated"]
        assert done["spoken"]["mid_word"]
        again = await wire.speak("u2", TEXT)
    assert_complete([message for message in wire.received if message.get("utterance") == "u1"])
    assert_complete(again)


async def test_cancel_at_word_moves_to_the_words_end() -> None:
    async with serving() as server, greeted(server, lead_ms=4000) as wire:
        await wire.send("start", utterance="u1", text="Extraordinarily long words are here. " * 4, end=True)
        words = await wire.until("words")
        first_end = words["words"][0][3]
        for _ in range(3):
            await wire.until("audio")
        await wire.send("cancel", utterance="u1", at="word", played=100)
        done = await wire.until("done")
    assert done["spoken"]["pts"] == first_end
    assert done["spoken"]["text"] == "Extraordinarily"
    assert not done["spoken"]["mid_word"]


async def test_cancel_star_ends_all_and_preempt_all_others() -> None:
    async with serving() as server, greeted(server) as wire:
        for name in "ab":
            await wire.send("start", utterance=name, text=TEXT * 10)
        await wire.send("cancel", utterance="*")
        for _ in "ab":
            assert (await wire.until("done"))["reason"] == "cancelled"
        await wire.send("start", utterance="c", text=TEXT * 10)
        await wire.send("start", utterance="d", text="Short.", end=True, preempt=True)
        ends = {}
        while len(ends) < 2:
            done = await wire.until("done")
            ends[done["utterance"]] = done["reason"]
    assert ends == {"c": "cancelled", "d": "end"}


async def test_who_comes_after_waits_for_the_former_ones_listener() -> None:
    """The second utterance is made ahead by its lead only: its clock stands until the first is heard."""
    async with serving() as server, greeted(server, lead_ms=320) as wire:
        await wire.send("start", utterance="a", text="One two three four five.", end=True)
        await wire.send("start", utterance="b", text=TEXT, end=True, after="a")
        first = await wire.until("done", "a")
        ahead = sum(m["samples"] for m in wire.received if m["type"] == "audio" and m["utterance"] == "b")
        assert ahead <= 44100 * 0.32 + 7056
        await wire.until("done", "b")
    assert first["samples"] > 44100


async def test_a_chain_of_utterances_needs_no_playheads() -> None:
    async with serving() as server, greeted(server, lead_ms=320) as wire:
        await wire.speak("a", "One two three.")
        await asyncio.sleep(1.2)
        await wire.send("start", utterance="b", text="One.", end=True, after="a")
        await wire.send("start", utterance="c", text=TEXT, end=True, after="b")
        assert (await wire.until("done", "c"))["reason"] == "end"


async def test_a_coders_tail_comes_also_behind_text_that_says_nothing() -> None:
    audio = {"codec": "pcm_s16le", "sample_rate": 48000}
    async with serving() as server, greeted(server) as wire:
        messages = await wire.speak("u1", "Hello there." + " " * 39_000, audio=audio)
    assert len(audio_of(messages)) // 2 == -(-messages[-1]["samples"] * 48000 // 44100)


async def test_a_cancel_behind_a_long_paste_is_heard_at_once() -> None:
    async with serving() as server, greeted(server) as wire:
        waits_s = [await cancelled_after_s(wire, f"u{number}") for number in range(3)]
        assert min(waits_s) < 0.5, "the machine may be busy: the best counts"


async def cancelled_after_s(wire: Wire, utterance: str) -> float:
    await wire.send("start", utterance=utterance, text=TEXT)
    await wire.until("audio", utterance)
    await wire.send("text", utterance=utterance, text=TEXT * 1000)
    began_at = asyncio.get_running_loop().time()
    await wire.send("cancel", utterance=utterance)
    assert (await wire.until("done", utterance))["reason"] == "cancelled"
    return asyncio.get_running_loop().time() - began_at


async def test_preempt_takes_the_last_voice() -> None:
    async with serving() as server, greeted(server) as wire:
        slots = server.engine.info.max_slots
        others = [
            server.engine.open(Deaf(), session=0, voice="tone", params=SpeechParams(), lead_samples=None)
            for _ in range(slots - 1)
        ]
        await wire.send("start", utterance="a", text=TEXT * 9)
        await wire.until("audio")
        await wire.send("start", utterance="b", text="Short.", end=True)
        assert (await wire.until("error"))["code"] == "busy"
        await wire.send("start", utterance="c", text="Short.", end=True, preempt=True, audio={"codec": "mp3"})
        assert (await wire.until("error"))["code"] == "unsupported_format", "a refused start cancels nobody"
        await wire.send("start", utterance="d", text="Short.", end=True, preempt=True)
        assert (await wire.until("done"))["utterance"] == "a"
        assert (await wire.until("done", "d"))["reason"] == "end"
        for other in others:
            other.cancel()


async def test_playheads_hold_speech_back_while_paused() -> None:
    async with serving() as server, greeted(server, lead_ms=320) as wire:
        await wire.send("start", utterance="u1", text=TEXT * 5, end=True)
        await wire.until("audio")
        await wire.send("playhead", utterance="u1", played=0, paused=True)
        await asyncio.sleep(0.8)
        await wire.send("ping", nonce="x")
        await wire.until("pong")
        heard = sum(message["samples"] for message in wire.received if message["type"] == "audio")
        assert heard <= 44100 * 0.32 + 2 * 7056
        await wire.send("playhead", utterance="u1", played=0, paused=False)
        await wire.until("audio")


async def test_close_says_goodbye_with_1000() -> None:
    async with serving() as server, greeted(server) as wire:
        await wire.send("close")
        assert await wire.close_code() == 1000


async def test_a_stopping_server_closes_with_1001() -> None:
    async with serving() as server:
        wire = await connected(server)
        await wire.send("hello")
        await wire.receive()
    assert await wire.close_code() == 1001


async def test_a_lost_connection_frees_its_voices_when_it_is_not_resumed() -> None:
    async with serving(resume_ms=200) as server:
        async with greeted(server) as wire:
            await wire.send("start", utterance="u1", text=TEXT * 50)
            await wire.until("audio")
            assert server.engine.num_streams == 1
            wire.socket.transport.abort()
        async with asyncio.timeout(20):
            await until(lambda: not server.engine.num_streams)


async def test_http_beside_the_stream() -> None:
    async with serving() as server, httpx.AsyncClient(base_url=server.http_url) as http, greeted(server) as wire:
        await wire.speak("u1", "Hello.")
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/v1/voices")).json()["default"] == "tone"
        assert (await http.get("/v1/models")).json()["models"][0]["token_rate"] == 6.25
        metrics = (await http.get("/metrics")).text
        assert "voxwire_utterances_total 1.0" in metrics
        assert "voxwire_text_chars_total 6.0" in metrics
        assert "voxwire_first_audio_seconds_count 1.0" in metrics
        page = await http.get("/")
        assert page.status_code == 200
        assert "<html" in page.text
        assert (await http.get("/../pyproject.toml")).status_code == 404
