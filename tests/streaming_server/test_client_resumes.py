"""The client over connections that are lost, against the real server: its user hears every sample, and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from models.tone import tone_samples
from protocol.client import SpeechClient
from protocol.reconnect import LinkReport
from protocol.speech import Speech
from tests.streaming_server.relay import Relay
from tests.streaming_server.serving import Server, serving, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = "Hello there. And a second one."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tone") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def relay(server: Server) -> AsyncIterator[Relay]:
    async with Relay(server.port).running() as relay:
        yield relay


def client_of(relay: Relay, **options: Any) -> SpeechClient:
    return SpeechClient(relay.url, **options)


async def hear(speech: Speech, seed: int) -> int:
    """All of it, sample by sample; returns how many."""
    num_heard = 0
    async for chunk in speech:
        assert chunk.pts == num_heard, "expected no sample lost or repeated"
        oracle = tone_samples(seed, chunk.pts, chunk.samples)
        np.testing.assert_array_equal(np.frombuffer(chunk.pcm or b"", "<i2"), oracle)
        num_heard += chunk.samples
    return num_heard


async def heard_whole(speech: Speech, seed: int, num_chars: int) -> None:
    num_samples = await hear(speech, seed)
    done = await speech.finished()
    assert (done.reason, done.text_chars, done.samples) == ("end", num_chars, num_samples)
    assert not speech.errors


async def test_a_reset_during_speech_is_not_heard(relay: Relay) -> None:
    reports: list[LinkReport] = []
    async with client_of(relay, lead_ms=2000, on_link=reports.append) as client:
        speech = client.speak(TEXT * 3, seed=7)
        hearing = asyncio.create_task(heard_whole(speech, 7, 3 * len(TEXT)))
        for number in range(1, 4):
            await asyncio.sleep(0.2)
            relay.cut()
            await until(lambda number=number: client.num_resumes == number)  # type: ignore[misc]
        await hearing
        assert client.num_resumes == 3
        assert await client.ping() < 1000
    states = [report.state for report in reports]
    assert states == ["connecting", "ready", *["lost", "connecting", "resumed"] * 3]


@pytest.mark.parametrize("dice_seed", range(10))
async def test_cuts_anywhere_lose_and_repeat_nothing(relay: Relay, dice_seed: int) -> None:
    """Two texts are written in pieces while the connection is lost at any moment, also while it is resumed."""
    dice = Random(dice_seed)
    async with client_of(relay, lead_ms=60_000, backoff=None) as client:

        async def write(speech: Speech) -> None:
            at = 0
            while at < len(TEXT):
                end = at + dice.randrange(1, 20)
                await speech.write(TEXT[at:end])
                at = end
                await asyncio.sleep(dice.random() / 10)
            speech.end()

        async def cut() -> None:
            for _ in range(6):
                await asyncio.sleep(dice.random() / 5)
                if dice.random() < 0.5:
                    relay.cut_answer_after[relay.num_connections] = dice.randrange(20_000)
                relay.cut()

        speeches = {100 + number: client.speak(seed=100 + number) for number in range(2)}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(cut())
            for seed, speech in speeches.items():
                tasks.create_task(write(speech))
                tasks.create_task(heard_whole(speech, seed, len(TEXT)))
        assert client.num_resumes
