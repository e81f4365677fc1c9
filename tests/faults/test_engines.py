"""Engines that are killed, stopped or broken, from outside or by a text: who is not the cause hears every sample."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals

import pytest

from protocol.messages import Close, Error, Start
from tests.streaming_server.listener import Listener

from .aftermath import Witness
from .victim import KEY, Victim, until_ready

TEXT = "Hello there. And a second."
RESTARTS, LOST, REOPENED = (f"voxwire_engine_{name}" for name in ("restarts", "lost_streams", "reopened_streams"))
FAILED = 'voxwire_errors_total{code="engine_failed"}'
BACK_S = 30.0
"""By then all is heard, on a busy machine, too."""


@asynccontextmanager
async def crowd(server: Victim, num_listeners: int = 8) -> AsyncIterator[Sequence[Listener]]:
    """Listeners who have heard the first of it, and hear all the rest afterwards."""
    listeners = [await Listener(server, token=KEY, lead_ms=800).open() for _ in range(num_listeners)]
    try:
        for number, listener in enumerate(listeners):
            await listener.say(Start(utterance="u", seed=100 + number, text=TEXT, end=True))
        for listener in listeners:
            await listener.hear_some("u")
        yield listeners
        began_at = time.monotonic()
        await asyncio.gather(*(hear_out(each) for each in listeners))
        assert time.monotonic() - began_at < BACK_S
    finally:
        for listener in listeners:
            listener.cut()


async def hear_out(listener: Listener) -> None:
    if "u" not in listener.done:
        await listener.hear_out("u")
    done = listener.done["u"]
    assert (done.reason, done.samples) == ("end", listener.num_heard["u"])
    await listener.say(Close())
    assert await listener.close_code() == 1000


async def hurt(server: Victim, number: Signals = SIGKILL) -> None:
    """And wait until it shows."""
    restarts = (await server.figures())[RESTARTS]
    server.signal("engine", number)
    async with asyncio.timeout(30):
        while (await server.figures())[RESTARTS] == restarts:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def faults(kind: str) -> str:
    return f'voxwire_engine_faults_total{{kind="{kind}"}}'


@pytest.mark.parametrize(("number", "kind"), [(SIGKILL, "killed"), (SIGSTOP, "hung")], ids=["is killed", "hangs"])
async def test_an_engine_that(troubled: Witness, number: Signals, kind: str) -> None:
    """Nobody loses a sample, and nobody's connection is touched; the server has another engine."""
    async with troubled.aftermath(RESTARTS, LOST, REOPENED, faults(kind)), crowd(troubled.server):
        await hurt(troubled.server, number)


async def test_an_engine_that_stands_still_for_a_moment(troubled: Witness) -> None:
    """It is left alone."""
    restarts = (await troubled.server.figures())[RESTARTS]
    async with troubled.aftermath("voxwire_engine_patches"), crowd(troubled.server):
        troubled.server.signal("engine", SIGSTOP)
        await asyncio.sleep(0.3)
        troubled.server.signal("engine", SIGCONT)
    assert (await troubled.server.figures())[RESTARTS] == restarts


async def test_an_engine_that_is_asked_to_end(troubled: Witness) -> None:
    """It ends with its server and not before: a supervisor may have signalled them all."""
    restarts = (await troubled.server.figures())[RESTARTS]
    async with troubled.aftermath("voxwire_engine_patches"), crowd(troubled.server):
        troubled.server.signal("engine", SIGTERM)
    assert (await troubled.server.figures())[RESTARTS] == restarts


@pytest.mark.full
async def test_an_engine_that_is_killed_three_times_in_a_row(troubled: Witness) -> None:
    """As soon as it is back."""
    async with troubled.aftermath(RESTARTS, LOST, REOPENED), crowd(troubled.server):
        for _ in range(3):
            await hurt(troubled.server)
            await until_ready(troubled.server)


async def test_an_engine_that_is_killed_while_its_listener_is_away(troubled: Witness) -> None:
    """The session waits for both, and goes on where the listener was."""
    async with troubled.aftermath(RESTARTS, "voxwire_sessions_resumed_total"), crowd(troubled.server, 1) as (listener,):
        listener.cut()
        await hurt(troubled.server)
        await until_ready(troubled.server)
        await listener.open()
        assert listener.ready.resumed


async def test_who_comes_while_there_is_no_engine(troubled: Witness) -> None:
    """Is let in, waits, and is spoken to."""
    async with troubled.aftermath(RESTARTS):
        await hurt(troubled.server)
        async with crowd(troubled.server, 3):
            pass


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("KILL", "killed"),
        pytest.param("EXIT", "exited", marks=pytest.mark.full),
        pytest.param("HANG", "hung", marks=pytest.mark.full),
        ("RAISE", "raised"),
        ("MEMORY", "out_of_memory"),
        ("UNSOUND", "unsound"),
    ],
)
async def test_a_text_that_breaks_the_engine(troubled: Witness, word: str, kind: str) -> None:
    """Whoever has it is told engine_failed and keeps the session; all others hear every sample."""
    async with troubled.aftermath(FAILED, faults(kind), traceback=True), crowd(troubled.server):
        poisoner = await Listener(troubled.server, token=KEY, lead_ms=800).open()
        await poisoner.say(Start(utterance="u", seed=666, text=f"This is a {word} here.", end=True))
        await poisoner.hear_out("u")
        assert poisoner.done["u"].reason == "error"
        assert [each.code for each in poisoner.messages if isinstance(each, Error)] == ["engine_failed"]
        await until_ready(troubled.server)
        await poisoner.say(Start(utterance="v", seed=667, text="And it goes on.", end=True))
        await poisoner.hear_out("v")
        assert poisoner.done["v"].reason == "end"
        await poisoner.say(Close())
        assert await poisoner.close_code() == 1000
