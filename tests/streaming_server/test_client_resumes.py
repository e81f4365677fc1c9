"""The client over connections that are lost, against the real server: its user hears every sample, and once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import pairwise
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

WORD = re.compile(r"\w+")
TEXT = "Hello there. And a second one."


def many(short: int, full: int) -> list[Any]:
    """Seeds, of which a few are enough for every day."""
    return [*range(short), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(short, full))]


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
        speech = client.speak(TEXT * 2, seed=7)
        hearing = asyncio.create_task(heard_whole(speech, 7, 2 * len(TEXT)))
        for number in range(1, 4):
            await asyncio.sleep(0.2)
            relay.cut()
            await until(lambda number=number: client.num_resumes == number)  # type: ignore[misc]
        await hearing
        assert client.num_resumes == 3
        assert await client.ping() < 20_000
    states = [report.state for report in reports]
    assert states == ["connecting", "ready", *["lost", "connecting", "resumed"] * 3]


@pytest.mark.parametrize("dice_seed", many(4, 40))
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


# The server has forgotten.


LONG = "One two. Three four, five six. Seven eight? Nine!"


async def heard_in_passages(speech: Speech, seed: int, text: str) -> None:
    """All of it, and each sample from the session that spoke it."""
    chunks = [chunk async for chunk in speech]
    joints = [0, *(restart.pts for restart in speech.restarts)]
    end = 0
    for number, chunk in enumerate(chunks):
        assert (chunk.seq, chunk.pts) == (number, end)
        end += chunk.samples
        began_at = max(joint for joint in joints if joint <= chunk.pts)
        oracle = tone_samples(seed, chunk.pts - began_at, chunk.samples)
        np.testing.assert_array_equal(np.frombuffer(chunk.pcm or b"", "<i2"), oracle)
        assert chunk.new_run or chunk.pts not in joints
    done = await speech.finished()
    assert (done.reason, done.text_chars, done.samples) == ("end", len(text), end)
    words = speech.words
    assert [text[word.text_start : word.text_end] for word in words] == WORD.findall(text)
    assert all(one.pts_end <= next_one.pts for one, next_one in pairwise(words))
    assert words[-1].pts_end <= end
    for restart in speech.restarts:
        assert any(word.text_start == restart.text_start for word in words), "expected to go on at a word"
    segments = speech.segments
    assert [segment.index for segment in segments] == list(range(len(segments)))
    assert all(one.text_end <= next_one.text_start for one, next_one in pairwise(segments))


async def test_after_the_window_speech_goes_on_at_the_first_unheard_word() -> None:
    async with (
        serving("tone", resume_ms=200) as server,
        Relay(server.port).running() as relay,
        client_of(relay, lead_ms=500) as client,
    ):
        speech = client.speak(LONG, seed=9)
        hearing = asyncio.create_task(heard_in_passages(speech, 9, LONG))
        for number in (1, 2):
            await until(lambda number=number: len(speech.words) > 3 * number)  # type: ignore[misc]
            await relay.be_away(0.5)
            await until(lambda number=number: len(speech.restarts) == number)  # type: ignore[misc]
        await hearing
        first, second = speech.restarts
        assert 0 < first.text_start < second.text_start
        assert client.num_resumes == 0


async def test_another_server_in_its_place_goes_on() -> None:
    async with (
        serving("tone") as first,
        serving("tone") as second,
        Relay(first.port).running() as relay,
        client_of(relay, lead_ms=500) as client,
    ):
        speech = client.speak(LONG, seed=10)
        hearing = asyncio.create_task(heard_in_passages(speech, 10, LONG))
        await until(lambda: len(speech.words) > 3)
        relay.server_port = second.port
        relay.cut()
        await hearing
        assert len(speech.restarts) == 1
        later = client.speak(TEXT, seed=11, after=speech.utterance)
        await heard_in_passages(later, 11, TEXT)
        assert not later.restarts


async def test_a_server_that_leaves_is_followed_by_the_next() -> None:
    first = serving("tone")
    relay = Relay((await first.__aenter__()).port)
    async with serving("tone") as second, relay.running(), client_of(relay, lead_ms=500) as client:
        speech = client.speak(seed=12)
        await speech.write(LONG[:20])
        hearing = asyncio.create_task(heard_in_passages(speech, 12, LONG))
        await until(lambda: len(speech.words) > 0)
        relay.server_port = second.port
        leaving = asyncio.create_task(first.__aexit__(None, None, None))
        await speech.write(LONG[20:])
        speech.end()
        await hearing
        assert len(speech.restarts) == 1
        await leaving


@pytest.mark.parametrize("dice_seed", many(1, 12))
async def test_outages_of_any_length_leave_no_word_out(dice_seed: int) -> None:
    """Some are short enough to resume, some are not; the writer writes on, and two speak at once."""
    dice = Random(dice_seed)
    async with (
        serving("tone", resume_ms=150) as server,
        Relay(server.port).running() as relay,
        client_of(relay, lead_ms=300) as client,
    ):

        async def write(speech: Speech) -> None:
            at = 0
            while at < len(LONG):
                end = at + dice.randrange(1, 25)
                await speech.write(LONG[at:end])
                at = end
                await asyncio.sleep(dice.random() / 4)
            speech.end()

        async def interrupt() -> None:
            for _ in range(6):
                await asyncio.sleep(dice.random() / 2)
                if dice.random() < 0.3:
                    relay.cut_answer_after[relay.num_connections] = dice.randrange(20_000)
                await relay.be_away(dice.choice((0.0, 0.05, 0.4)))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(interrupt())
            for seed in (20, 21):
                speech = client.speak(seed=seed)
                tasks.create_task(write(speech))
                tasks.create_task(heard_in_passages(speech, seed, LONG))


# The link.


@pytest.mark.parametrize("num_bytes", [0, 100, 250, 700, 1500])
async def test_a_ready_that_is_lost_or_cut_is_asked_for_again(relay: Relay, num_bytes: int) -> None:
    async with client_of(relay, lead_ms=60_000) as client:
        speech = client.speak(TEXT, seed=13)
        relay.cut_answer_after |= {relay.num_connections + number: num_bytes for number in range(3)}
        relay.cut()
        await heard_whole(speech, 13, len(TEXT))
        assert relay.num_connections >= 5


async def test_a_link_that_goes_silent_is_left_for_another(relay: Relay) -> None:
    async with client_of(relay, lead_ms=500, silence_s=0.6) as client:
        speech = client.speak(TEXT, seed=14)
        hearing = asyncio.create_task(heard_whole(speech, 14, len(TEXT)))
        await asyncio.sleep(0.3)
        relay.freeze()
        await asyncio.sleep(1.0)
        relay.thaw()
        await hearing
        assert client.num_resumes


async def test_a_cancel_given_while_away_is_not_lost(relay: Relay) -> None:
    async with client_of(relay, lead_ms=500) as client:
        speech = client.speak(TEXT * 5, seed=15)
        taken = aiter(speech)
        chunk = await anext(taken)
        relay.is_shut = True
        relay.cut()
        await asyncio.sleep(0.1)
        speech.cancel(played=chunk.samples)
        relay.is_shut = False
        async with asyncio.timeout(20):
            done = await speech.finished()
        assert done.reason == "cancelled"
        assert done.spoken is not None
        assert done.spoken.pts == chunk.samples
