"""What the user of `SpeechClient` sees of faults: nothing, or where speech was begun anew. Every sample is checked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from bench.fault_proxy import Conditions, FaultProxy
from models.tone import tone_samples
from protocol.client import SpeechClient
from protocol.errors import ConnectionLost, SpeechError
from protocol.messages import AudioFormat
from protocol.reconnect import LinkReport
from protocol.speech import Speech
from tests.streaming_server.test_drain import until_all_serve

from .aftermath import Witness, until_metric
from .conftest import SHORT
from .test_engines import RESTARTS, hurt
from .test_links import EXPIRED, LOST, REFUSED, RESUMED, TEXT
from .victim import KEY, Victim, Way, victim

SEED = 0xC11E


@dataclass(slots=True)
class User:
    """Of a client behind a bad link, who listens to one speech."""

    proxy: FaultProxy
    client: SpeechClient
    reports: list[LinkReport]
    speech: Speech = field(init=False)
    num_samples: int = 0

    def begin(self, text: str | AsyncIterator[str] = TEXT) -> asyncio.Task[None]:
        """To listen to it; the task ends with it."""
        self.speech = self.client.speak(text, seed=SEED)
        return asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for chunk in self.speech:
            assert chunk.pts == self.num_samples, "expected no sample lost or repeated"
            assert chunk.pcm is not None
            begun = max((each.pts for each in self.speech.restarts if each.pts <= chunk.pts), default=0)
            oracle = tone_samples(SEED, chunk.pts - begun, chunk.samples)
            np.testing.assert_array_equal(np.frombuffer(chunk.pcm, "<i2"), oracle)
            self.num_samples += chunk.samples

    async def heard(self, num_samples: int = 1) -> None:
        await until(lambda: self.num_samples >= num_samples)

    async def hear_out(self, listening: asyncio.Task[None], text: str = TEXT) -> None:
        async with asyncio.timeout(30):
            await listening
        done = await self.speech.finished()
        assert (done.reason, done.text_chars, done.samples) == ("end", len(text), self.num_samples)
        assert len(self.speech.words) == len(text.split())


@asynccontextmanager
async def user(server: Victim, **options: Any) -> AsyncIterator[User]:
    reports: list[LinkReport] = []
    options = {"lead_ms": 800, "silence_s": 0.5, **options}
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        url = Way(proxy.port).stream_url
        async with SpeechClient(url, token=KEY, proxy=None, on_link=reports.append, **options) as client:
            yield User(proxy, client, reports)


async def until(condition: Callable[[], bool], patience_s: float = 10.0) -> None:
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def words() -> AsyncIterator[str]:
    """As somebody writes them."""
    for word in TEXT.split(" "):
        yield word if word == "Hello" else f" {word}"
        await asyncio.sleep(0.15)


async def test_a_reset(hasty: Witness) -> None:
    """The speech goes on as if nothing had been."""
    async with hasty.aftermath(LOST, RESUMED), user(hasty.server) as one:
        listening = one.begin()
        await one.heard()
        one.proxy.reset_all()
        await one.hear_out(listening)
        assert one.client.num_resumes == 1
        assert one.speech.restarts == ()


async def test_resets_while_opus_is_spoken(hasty: Witness) -> None:
    """The packets are those that an undisturbed listener gets, to the byte."""
    async with hasty.aftermath(LOST, RESUMED), user(hasty.server, audio=AudioFormat(codec="opus")) as one:

        async def packets() -> list[bytes]:
            speech = one.client.speak(TEXT, seed=SEED)
            got: list[bytes] = []
            async for chunk in speech:
                got += chunk.packets or ()
                if disturbed and len(got) % 3 == 0:
                    one.proxy.reset_all()
            return got

        disturbed = False
        undisturbed = await packets()
        disturbed = True
        assert await packets() == undisturbed
        assert one.client.num_resumes


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_link_that_falls_silent(hasty: Witness, way: str) -> None:
    """The client notices by itself, and comes back on another."""
    async with hasty.aftermath(RESUMED), user(hasty.server) as one:
        listening = one.begin(words())
        await one.heard()
        setattr(one.proxy, way, Conditions(is_black_hole=True))
        await until(lambda: one.reports[-1].state != "ready")
        setattr(one.proxy, way, Conditions())
        await one.hear_out(listening)
        assert one.client.num_resumes >= 1
        assert one.speech.restarts == ()


async def test_a_link_that_stands_still_and_another_address(hasty: Witness) -> None:
    """As when a telephone leaves the house: both ends of the old one are alive, and dumb."""
    async with hasty.aftermath(RESUMED), user(hasty.server) as one:
        listening = one.begin(words())
        await one.heard()
        one.proxy.hold()
        one.proxy.source = "127.0.0.88"
        await until(lambda: one.reports[-1].state != "ready")
        one.proxy.release()
        await one.hear_out(listening)
        assert one.speech.restarts == ()


async def test_resets_while_the_text_is_written(hasty: Witness) -> None:
    """Every word is spoken once, whichever were on their way."""
    async with hasty.aftermath(LOST, RESUMED), user(hasty.server) as one:
        listening = one.begin(words())
        while not listening.done():
            await asyncio.sleep(0.12)
            one.proxy.reset_all()
            if one.num_samples and one.client.num_resumes > 5:
                break
        await one.hear_out(listening)
        assert one.speech.restarts == ()


async def test_a_server_that_cannot_be_reached_for_less_than_it_remembers(hasty: Witness) -> None:
    """The client tries again and again, and resumes."""
    async with hasty.aftermath(LOST, RESUMED), user(hasty.server) as one:
        listening = one.begin(words())
        await one.heard()
        one.proxy.refuse()
        one.proxy.reset_all()
        await asyncio.sleep(0.2)
        await one.proxy.admit()
        await one.hear_out(listening)
        assert one.reports[-1].state == "resumed"
        assert one.speech.restarts == ()


async def test_a_server_that_cannot_be_reached_for_longer(hasty: Witness) -> None:
    """What was not heard is begun anew at a word, and the user is told where."""
    async with hasty.aftermath(EXPIRED, REFUSED), user(hasty.server) as one:
        listening = one.begin()
        await one.heard()
        one.proxy.hold()
        await asyncio.sleep(0.1)
        one.proxy.refuse()
        one.proxy.reset_all()
        one.proxy.release()
        await until_metric(hasty, "voxwire_sessions", lambda value: value == 0)
        await one.proxy.admit()
        await one.hear_out(listening)
        assert len(one.speech.restarts) == 1
        assert one.reports[-1].state == "restarted"


async def test_a_server_that_does_not_come_back(hasty: Witness) -> None:
    """The client gives up in time, and says so."""
    async with hasty.aftermath(EXPIRED):
        with pytest.raises(SpeechError):
            await hear_of_a_reset(hasty.server, is_gone=True, give_up_s=0.3)


async def test_a_client_that_shall_not_resume(hasty: Witness) -> None:
    """It ends with ConnectionLost at once."""
    async with hasty.aftermath(LOST, EXPIRED):
        with pytest.raises(ConnectionLost):
            await hear_of_a_reset(hasty.server, resume=False)


async def hear_of_a_reset(server: Victim, *, is_gone: bool = False, **options: Any) -> None:
    async with user(server, **options) as one:
        listening = one.begin()
        await one.heard()
        if is_gone:
            one.proxy.refuse()
        one.proxy.reset_all()
        async with asyncio.timeout(30):
            await listening


async def test_an_engine_that_is_killed(troubled: Witness) -> None:
    """The speech pauses; the connection does not even change."""
    async with troubled.aftermath(RESTARTS), user(troubled.server) as one:
        listening = one.begin(words())
        await one.heard()
        await hurt(troubled.server)
        await one.hear_out(listening)
        assert one.client.num_resumes == 0
        assert one.speech.restarts == ()


async def test_a_web_process_that_is_killed(pair: Witness) -> None:
    """Whoever it served goes on with another, anew where a word was not heard."""
    server = pair.server
    async with pair.aftermath():
        await until_all_serve(server.process, server.port, 2)
        async with AsyncExitStack() as stack:
            users = [await stack.enter_async_context(user(server)) for _ in range(6)]
            speeches = [each.begin(words()) for each in users]
            for each in users:
                await each.heard()
            os.kill(server.pids["web"][1], signal.SIGKILL)
            for each, listening in zip(users, speeches, strict=True):
                await each.hear_out(listening)
            assert 0 < sum(len(each.speech.restarts) for each in users) < 6


async def test_a_server_that_drains_and_another_in_its_place(hasty: Witness) -> None:
    """What is being said ends there; what is said next is said here. The user hears both."""
    with victim(*SHORT) as leaving:
        async with hasty.aftermath(REFUSED), user(leaving) as one:
            listening = one.begin()
            await one.heard()
            leaving.process.terminate()
            one.proxy.target = ("127.0.0.1", hasty.server.port)
            await one.hear_out(listening)
            await until(lambda: one.reports[-1].state == "restarted")
            one.num_samples = 0
            await one.hear_out(one.begin())
            assert await asyncio.to_thread(leaving.process.wait, 10) == 0
