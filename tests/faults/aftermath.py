"""What must hold after every fault: nothing is left of it, and the next one who comes is spoken to at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from protocol.messages import Audio, AudioFormat, Cancel, Close, Error, Start
from tests.streaming_server.listener import Listener

from .victim import KEY, Holdings, Victim

SETTLED_S = 20.0
"""By then it all is as it was before: the longest time-out of the servers here, and what a busy machine adds."""
GONE_S = 0.3
"""So long the last connection of the warming-up may take to go."""
FIRST_AUDIO_S = 1.0
MEMORY_GROWTH = 1.10
TEXT = "The next one who comes."
SLOTS_EACH = 12
"""Utterances of one session, which may have more."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Looks at a server before, between and after faults."""

    server: Victim
    base: Holdings
    base_rss_bytes: dict[str, int]
    has_few_slots: bool = False
    """So few that all are filled after each fault."""

    @classmethod
    async def of(cls, server: Victim, num_listeners: int = 24, *, has_few_slots: bool = False) -> Witness:
        """Of one that has just been started, and is warm and empty from now on. So many have been spoken to at a time:
        as many as in most faults, so that its memory has been that large.
        """
        await _warm_up(server, num_listeners)
        if has_few_slots:
            await _fill_all_slots(server)
        await asyncio.sleep(GONE_S)
        return cls(server, await server.holdings(), server.rss_bytes(), has_few_slots)

    @asynccontextmanager
    async def aftermath(self, *counters: str, traceback: bool = False) -> AsyncIterator[None]:
        """Of the fault that is the block. Each of `counters` has moved by then; only a fault that is somebody's bug by
        design may leave a `traceback`."""
        before = await self.server.figures()
        self.server.new_log()
        yield
        await self._settles()
        await speaks_at_once(self.server)
        if self.has_few_slots:
            await _fill_all_slots(self.server)
        await self._settles()
        figures = await self.server.figures()
        still = [name for name in counters if figures.get(name, 0.0) <= before.get(name, 0.0)]
        assert not still, f"expected {still} to have counted it"
        self._read_log(traceback=traceback)
        for role, rss_bytes in self.server.rss_bytes().items():
            most = MEMORY_GROWTH * self.base_rss_bytes[role]
            assert rss_bytes <= most, f"{role}: expected at most {most:.0f} bytes of memory, got {rss_bytes}"

    async def _settles(self) -> None:
        ends_at = time.monotonic() + SETTLED_S
        while left := (await self.server.holdings()).more_than(self.base):
            assert time.monotonic() < ends_at, f"expected nothing to be left of it, there is more: {left}"
            await asyncio.sleep(0.02)

    def _read_log(self, *, traceback: bool) -> None:
        log = self.server.new_log()
        assert KEY not in log
        faults = [line for line in log.splitlines() if "Traceback" in line or "never retrieved" in line]
        assert traceback or not faults, f"expected no traceback, got {len(faults)}, first {faults[0]}"


async def metric(witness: Witness, name: str) -> float:
    return (await witness.server.figures()).get(name, 0.0)


async def until_metric(witness: Witness, name: str, enough: Callable[[float], bool]) -> None:
    async with asyncio.timeout(20):
        while not enough(await metric(witness, name)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def speaks_at_once(server: Victim) -> None:
    """The machine may be busy with something else: the best of five counts."""
    waits_s = [await _first_audio_s(server)]
    while min(waits_s) > FIRST_AUDIO_S and len(waits_s) < 5:
        waits_s.append(await _first_audio_s(server))
    assert min(waits_s) <= FIRST_AUDIO_S, f"expected the next one to hear something in time, got {waits_s}"


async def _fill_all_slots(server: Victim) -> None:
    """As many utterances as the engine has slots for are spoken at a time, and one more is refused."""
    num_slots = int((await server.figures())["voxwire_engine_slots"])
    ends_at = time.monotonic() + SETTLED_S
    listeners: list[Listener] = []
    for number in range(num_slots):
        if number % SLOTS_EACH == 0:
            listeners.append(await Listener(server, token=KEY, lead_ms=160).open())
        while not await _is_let_in(listeners[-1], number):  # an engine may be too busy for one more
            assert time.monotonic() < ends_at, f"expected {num_slots} slots, got {number}"
            await asyncio.sleep(0.1)
    assert not await _is_let_in(listeners[-1], num_slots)
    for listener in listeners:
        await listener.say(Cancel(utterance="*"))
        await listener.hear_out(*(name for name, num_samples in listener.num_heard.items() if num_samples))
        await listener.say(Close())
        assert await listener.close_code() == 1000


async def _is_let_in(listener: Listener, number: int) -> bool:
    """With an utterance that takes a while; the first of it has been heard by then."""
    name, num_before = f"slot {number}", len(listener.messages)

    def is_refused() -> bool:
        told = listener.messages[num_before:]
        return any(isinstance(each, Error) and each.utterance == name and each.code == "busy" for each in told)

    await listener.say(Start(utterance=name, seed=number, text=9 * TEXT, end=True))
    await listener.hear(lambda: listener.num_heard.get(name, 0) > 0 or is_refused())
    return listener.num_heard.get(name, 0) > 0


async def _first_audio_s(server: Victim) -> float:
    """From a new connection to the first sound; by the end all has been heard."""
    listener = Listener(server, token=KEY, lead_ms=None)
    began_at = time.monotonic()
    await listener.open()
    await listener.say(Start(utterance="next", seed=1, text=TEXT, end=True))
    await listener.hear(lambda: isinstance(listener.messages[-1], Audio))
    wait_s = time.monotonic() - began_at
    await listener.hear_out("next")
    assert listener.done["next"].reason == "end"
    await listener.say(Close())
    assert await listener.close_code() == 1000
    return wait_s


async def _warm_up(server: Victim, num_listeners: int) -> None:
    """What is made at first use is there: everything has been done once, and several things at a time."""
    listeners = [await Listener(server, token=KEY, lead_ms=None).open() for _ in range(num_listeners)]
    for number, listener in enumerate(listeners):
        await listener.say(Start(utterance="pcm", seed=number, text=TEXT, end=True))
        await listener.say(Start(utterance="opus", seed=number, text=TEXT, end=True, audio=AudioFormat(codec="opus")))
    for listener in listeners:
        await listener.hear_out("pcm", "opus")
        listener.cut()
        await listener.open()
        await listener.say(Close())
        await listener.close_code()
    await asyncio.to_thread(server.get, "/")
