"""One utterance as a stream of PCM, embedded and through a server."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from protocol.messages import Start
from streaming_server import engine_client, narration
from streaming_server.config import Config
from streaming_server.engine_client import EngineClient
from streaming_server.narration import Narration, NarrationFailed, embedded_narration, http_url, remote_narration
from streaming_server.studio import Studio, create_studio
from streaming_server.text.normalizer import Normalizer
from tests.streaming_server.serving import WAIT_S, serving
from tests.streaming_server.slow_tone import SlowTone

START = Start(utterance="say", seed=5)
CLOCK_FACTOR = 1000
SPOKEN = "A dozen chars."


class PenBroke(Exception):
    """What only this text's source raises."""


async def broken_text() -> AsyncIterator[str]:
    yield "The first sentence is here. And"
    raise PenBroke


async def text_with_a_pause() -> AsyncIterator[str]:
    yield "The first sentence is here. "
    await asyncio.sleep(0.5)
    yield "The second one comes after a while."


async def heard(opened: AbstractAsyncContextManager[Narration]) -> bytes:
    async with asyncio.timeout(WAIT_S), opened as one:
        return b"".join([pcm async for pcm in one.pcm])


async def test_what_the_text_raises_comes_out_of_an_embedded_narration() -> None:
    with pytest.raises(PenBroke):
        await heard(embedded_narration(Config(model="tone"), START, broken_text()))


async def test_what_the_text_raises_comes_out_of_a_remote_narration() -> None:
    async with serving() as server:
        with pytest.raises(PenBroke):
            await heard(remote_narration(server.http_url, None, START, broken_text()))


async def test_an_embedded_narration_waits_for_its_text_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_a_hurry(config: Config, engine: EngineClient, normalizer: Normalizer) -> Studio:
        return replace(create_studio(config, engine, normalizer), clock=lambda: CLOCK_FACTOR * time.monotonic())

    monkeypatch.setattr(narration, "create_studio", in_a_hurry)
    pcm = await heard(embedded_narration(Config(model="tone"), START, text_with_a_pause()))
    assert len(pcm) > 2 * 44100 * 3, "500 s of silence by its clock, and the second sentence all the same"


async def one_text() -> AsyncIterator[str]:
    yield SPOKEN


async def played(opened: AbstractAsyncContextManager[Narration]) -> tuple[float, float, int]:
    """Played as it comes: the longest wait that was told, seconds of silence after the first sound, and bytes."""
    dry_at, silence_s, told_s, num_bytes = math.inf, 0.0, 0.0, 0
    async with asyncio.timeout(WAIT_S), opened as one:

        async def watch() -> None:
            nonlocal told_s
            while True:
                told_s = max(told_s, one.wait_s())
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        async for pcm in one.pcm:
            now = time.monotonic()
            silence_s += max(0.0, now - dry_at)
            dry_at = (now if dry_at == math.inf else max(now, dry_at)) + len(pcm) / 2 / one.sample_rate
            num_bytes += len(pcm)
            await asyncio.sleep(max(0.0, dry_at - time.monotonic() - 0.05))
        watching.cancel()
    return told_s, silence_s, num_bytes


async def played_without_a_gap(opened: Callable[[], AbstractAsyncContextManager[Narration]]) -> int:
    """And after a wait that was told; how many bytes. The machine may be busy: the best of three counts."""
    for _ in range(3):
        told_s, silence_s, num_bytes = await played(opened())
        assert told_s > 0.3
        if silence_s < 0.05:
            return num_bytes
    raise AssertionError(f"expected no gap, the last time it was {silence_s:.3f} s")


async def test_a_slow_embedded_narration_is_held_back_for_who_plays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "load_model", lambda name, options: SlowTone(1.6))
    config = Config(model="tone")
    num_bytes = await played_without_a_gap(lambda: embedded_narration(config, START, one_text(), gapless=True))
    assert num_bytes == 2 * 44_100 * len(SPOKEN) * 7 // 100


async def test_a_slow_remote_narration_is_held_back_for_who_plays_it() -> None:
    async with serving(SlowTone(1.6), warm=True) as server:
        await played_without_a_gap(lambda: remote_narration(server.http_url, None, START, one_text(), gapless=True))


async def test_a_narration_into_a_file_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "load_model", lambda name, options: SlowTone(1.6))
    told_s, silence_s, _ = await played(embedded_narration(Config(model="tone"), START, one_text()))
    assert told_s == 0
    assert silence_s > 0.2


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:6006", "http://127.0.0.1:6006"),
        ("voice.example", "http://voice.example"),
        ("http://127.0.0.1:6006/", "http://127.0.0.1:6006"),
        ("ws://[::1]:6006", "http://[::1]:6006"),
        ("wss://ws.example/speech", "https://ws.example/speech"),
        ("https://http.example", "https://http.example"),
    ],
)
def test_a_servers_address_may_be_given_in_several_ways(given: str, url: str) -> None:
    assert http_url(given) == url


@pytest.mark.parametrize("given", ["", "ftp://x", "http://", "http://127.0.0.1:99999", "http://[::1", "127.0.0.1:port"])
def test_what_is_no_servers_address_is_refused(given: str) -> None:
    with pytest.raises(NarrationFailed, match=r"such as http://127\.0\.0\.1:6006, got"):
        http_url(given)
