"""A machine that is slower than real time: what it says, whom it serves, and that its listener hears no gap."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from protocol.client import SpeechClient
from protocol.errors import SpeechError
from protocol.speech import Speech
from streaming_server.admission import Admission
from tests.streaming_server.serving import Server, audio_of, connected, greeted, serving, until
from tests.streaming_server.slow_tone import SlowTone

RTF = 1.6
TEXT = "A dozen chars."
SPEECH_S = 0.98
PATCH_S = 0.16


async def played(speech: Speech) -> tuple[float, float]:
    """Play each chunk as it comes: seconds until the first sound, and of silence after that."""
    began_at = time.monotonic()
    starts_at = dry_at = None
    silence_s = 0.0
    async for chunk in speech.gapless():
        now = time.monotonic()
        if starts_at is None or dry_at is None:
            starts_at = dry_at = now
        silence_s += max(0.0, now - dry_at)
        dry_at = max(dry_at, now) + chunk.samples / 44_100
        await asyncio.sleep(max(0.0, dry_at - time.monotonic() - 0.05))  # a sound card takes a little ahead
    assert starts_at is not None
    return starts_at - began_at, silence_s


async def played_without_a_gap(client: SpeechClient, silence_s: float) -> float:
    """Seconds until the first sound. The machine may be busy: the best of three counts."""
    times = [await played(client.speak(TEXT))]
    while min(silent_s for _, silent_s in times) >= silence_s and len(times) < 3:
        times.append(await played(client.speak(TEXT)))
    wait_s, silent_s = min(times, key=lambda each: each[1])
    assert silent_s < silence_s
    return wait_s


async def operators_are_told(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        ready = (await http.get("/readyz")).text
        assert ready.startswith("ready, slower than real time (rtf 1.")
        assert ready.endswith("), one stream at a time\n")
        metrics = (await http.get("/metrics")).text
        assert "\nvoxwire_engine_realtime 0.0\n" in metrics
        assert "\nvoxwire_engine_rtf 1." in metrics
        (model,) = (await http.get("/v1/models")).json()["models"]
        assert model["realtime"] is False
        assert model["rtf"] == pytest.approx(RTF, rel=0.2)


async def test_a_listener_waits_once_and_then_hears_no_gap() -> None:
    async with serving(SlowTone(RTF), warm=True) as server, SpeechClient(server.stream_url) as client:
        await operators_are_told(server)
        assert not client.ready.model.realtime
        assert client.ready.model.rtf == pytest.approx(RTF, rel=0.2)
        wait_s = await played_without_a_gap(client, 0.02)
        ideal_s = RTF * SPEECH_S * (1 - 1 / RTF)
        assert ideal_s - 2 * PATCH_S < wait_s < ideal_s + 4 * RTF * PATCH_S


async def test_a_fast_machine_lets_nobody_wait() -> None:
    async with serving(SlowTone(0.1), warm=True) as server, SpeechClient(server.stream_url) as client:
        assert client.ready.model.realtime
        assert await played_without_a_gap(client, 0.1) < 0.5


async def test_it_works_ahead_for_a_listener_who_has_not_begun() -> None:
    async with serving(SlowTone(1.2), warm=True) as server, greeted(server, lead_ms=320) as wire:
        await wire.send("start", utterance="u1", text=TEXT, end=True)
        await wire.until("started")
        await wire.send("playhead", utterance="u1", played=0, paused=True)
        await wire.until("done", "u1")
        assert len(audio_of(wire.received)) == round(2 * 44_100 * SPEECH_S)


async def test_it_serves_one_session_and_its_queue() -> None:
    async with serving(SlowTone(1.2), warm=True) as server, SpeechClient(server.stream_url) as client:
        first = client.speak("ten chars.")
        second = client.speak("ten more..", after=first.utterance)
        await until(lambda: server.engine.num_streams == 2)
        async with SpeechClient(server.stream_url) as another:
            with pytest.raises(SpeechError, match="this machine speaks more slowly than real time") as refused:
                await another.speak("Me, too!").finished()
            assert 250 <= (refused.value.retry_after_ms or 0) <= 30_000
            ended = [await first.finished(), await second.finished()]
            assert [done.samples for done in ended] == [30_870, 30_870]
            assert second.started is not None
            assert (await another.speak("Me, too!").finished()).reason == "end"


async def test_a_machine_with_time_for_one_refuses_a_second_listener_for_as_long() -> None:
    async with serving(SlowTone(0.6, each=True), warm=True) as server, SpeechClient(server.stream_url) as client:
        assert client.ready.model.realtime
        first = client.speak(TEXT)
        second = client.speak(TEXT, after=first.utterance)
        await until(lambda: server.engine.num_streams == 2)
        async with SpeechClient(server.stream_url) as another:
            with pytest.raises(SpeechError, match="no time left to speak to another listener") as refused:
                await another.speak("Me, too!").finished()
            assert 250 <= (refused.value.retry_after_ms or 0) <= 30_000
            assert [(await speech.finished()).reason for speech in (first, second)] == ["end", "end"]
            assert (await another.speak("Me, too!").finished()).reason == "end"


async def test_a_machine_that_becomes_slow_is_found_out_while_it_speaks() -> None:
    async with serving(SlowTone(1.3)) as server:
        for realtime in (True, False):
            async with await connected(server) as wire:
                await wire.send("hello", version=1)
                assert (await wire.receive())["model"]["realtime"] is realtime
                await wire.speak("u1", "ten chars.")
        admission = Admission(server.engine, max_sessions=9)
        assert admission.refuse_utterance("anyone") is None
