"""One who comes to a server, has something spoken in some way, and goes: properly, or without a word."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from protocol.messages import Cancel, Close, End, Hello, Start, Text

from .texts import Texts
from .waiting_socket import WaitingSocket
from .websocket import Address, ConnectionFailed

SILENCE_S = 30.0
"""A server that says nothing for so long, to one who waits, is not going to."""

LEADS_MS = (320, 1000, None)


@dataclass(slots=True)
class Guestbook:
    """What all visitors together have met with."""

    visits: Counter[str] = field(default_factory=Counter)
    utterances: Counter[str] = field(default_factory=Counter)
    """`started`, and how they ended: by the reason of their `done`, `refused`, or `left` with the connection."""
    errors: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    num_faults: int = 0

    def fault(self, sentence: str) -> None:
        self.num_faults += 1
        if len(self.faults) < 8:
            self.faults.append(sentence)


class Visitor(WaitingSocket):
    """One connection. `visit` does what its habit is; it does not raise."""

    def __init__(self, address: Address, random: Random, buffer: bytearray, book: Guestbook) -> None:
        super().__init__(buffer)
        self.address = address
        self._random = random
        self._book = book
        self._texts = Texts("en", random.randrange(1 << 30))
        self._open: dict[str, bool] = {}  # utterances without an end -> whether any of it was heard
        self._is_greeted = False
        self._is_leaving = False

    async def visit(self) -> None:
        habit = self._random.choice(_HABITS)
        name = habit.__name__.removeprefix("_")
        self._book.visits[name] += 1
        try:
            await self.connect(self.address)
            await habit(self)
        except (ConnectionFailed, ConnectionError) as error:
            self._book.fault(f"{name}: {error}")
        except TimeoutError:
            self._book.fault(f"{name}: nothing came for {SILENCE_S:g} s of {', '.join(self._open) or 'ready'}")
        finally:
            self._is_leaving = True
            self._book.utterances["left"] += len(self._open)
            self.cut()

    async def greet(self, lead_ms: int | None) -> None:
        self.send(Hello(lead_ms=lead_ms))
        await self.until(lambda: self._is_greeted, silence_s=SILENCE_S)

    def start(self, name: str, *, end: bool, preempt: bool | None = None, after: str | None = None) -> None:
        self._open[name] = False
        self._book.utterances["started"] += 1
        text, seed = self._texts.clause(), self._random.randrange(1 << 30)
        self.send(Start(utterance=name, language="en", seed=seed, text=text, end=end, preempt=preempt, after=after))

    async def write(self, name: str, num_sentences: int) -> None:
        """As it is being thought of, and no more of it once the utterance is over."""
        for _ in range(num_sentences):
            await asyncio.sleep(self._random.uniform(0.0, 0.1))
            if name in self._open and not self.is_lost:
                self.send(Text(utterance=name, text=self._texts.sentence()))

    async def heard(self, name: str) -> None:
        """Until something of it is, or it is over."""
        await self.until(lambda: self._open.get(name, True), silence_s=SILENCE_S)

    async def over(self) -> None:
        """Until all that was started is."""
        await self.until(lambda: not self._open, silence_s=SILENCE_S)

    async def pause(self, most_s: float = 0.6) -> None:
        await asyncio.sleep(self._random.uniform(0.0, most_s))

    def lead_ms(self) -> int | None:
        return self._random.choice(LEADS_MS)

    def goodbye(self) -> None:
        self._is_leaving = True
        self.send(Close())
        self.close()

    def cut(self) -> None:
        """As a client that loses power."""
        self._is_leaving = True
        if self._transport is not None:
            self._transport.abort()

    def stop_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def received(self, message: dict[str, Any], at: float) -> None:
        name = message.get("utterance", "")
        match message["type"]:
            case "ready":
                self._is_greeted = True
            case "audio" if name in self._open:
                self._open[name] = True
            case "done":
                self._end(name, message["reason"])
            case "error":
                self._book.errors[message["code"]] += 1
                if "seq" not in message and name in self._open:
                    self._end(name, "refused")
            case _:
                return
        self.tell()

    def _end(self, name: str, reason: str) -> None:
        if self._open.pop(name, None) is None:
            self._book.fault(f"{name} ended ({reason}) though it was not open")
        else:
            self._book.utterances[reason] += 1


async def _hears_it_out(visitor: Visitor) -> None:
    await visitor.greet(None)
    for name in ("a", "b"):
        visitor.start(name, end=True)
        await visitor.over()
    visitor.goodbye()


async def _cancels(visitor: Visitor) -> None:
    await visitor.greet(visitor.lead_ms())
    visitor.start("a", end=False)
    await visitor.write("a", 2)
    await visitor.heard("a")
    await visitor.pause()
    visitor.send(Cancel(utterance="a"))
    await visitor.over()
    visitor.goodbye()


async def _cancels_all_at_once(visitor: Visitor) -> None:
    """Before anything can have been made."""
    await visitor.greet(visitor.lead_ms())
    for name in ("a", "b", "c"):
        visitor.start(name, end=False)
    visitor.send(Cancel(utterance="*"))
    await visitor.over()
    visitor.goodbye()


async def _interrupts(visitor: Visitor) -> None:
    await visitor.greet(visitor.lead_ms())
    visitor.start("a", end=False)
    await visitor.write("a", 1)
    await visitor.heard("a")
    for name in ("b", "c"):
        await visitor.pause(0.2)
        visitor.start(name, end=True, preempt=True)
    visitor.send(Cancel(utterance="*"))
    await visitor.over()
    visitor.goodbye()


async def _queues(visitor: Visitor) -> None:
    await visitor.greet(320)
    visitor.start("a", end=False)
    visitor.start("b", end=True, after="a")
    visitor.start("c", end=True, after="b")
    await visitor.heard("a")
    visitor.send(End(utterance="a"))
    await visitor.pause()
    visitor.send(Cancel(utterance="*"))
    await visitor.over()
    visitor.goodbye()


async def _vanishes_while_it_hears(visitor: Visitor) -> None:
    await visitor.greet(visitor.lead_ms())
    visitor.start("a", end=False)
    visitor.start("b", end=True)
    await visitor.write("a", 1)
    await visitor.heard("a")
    await visitor.pause()
    visitor.cut()


async def _vanishes_before_it_hears(visitor: Visitor) -> None:
    await visitor.greet(visitor.lead_ms())
    visitor.start("a", end=True)
    await visitor.pause(0.02)
    visitor.cut()


async def _vanishes_before_it_says_hello(visitor: Visitor) -> None:
    await visitor.pause(0.02)
    visitor.cut()


async def _goes_deaf_and_vanishes(visitor: Visitor) -> None:
    """Its socket fills."""
    await visitor.greet(None)
    visitor.start("a", end=False)
    await visitor.heard("a")
    visitor.stop_reading()
    await visitor.write("a", 4)
    await visitor.pause(1.0)
    visitor.cut()


async def _leaves_in_the_middle(visitor: Visitor) -> None:
    await visitor.greet(visitor.lead_ms())
    visitor.start("a", end=False)
    await visitor.heard("a")
    visitor.goodbye()


_HABITS = (
    _hears_it_out,
    _cancels,
    _cancels_all_at_once,
    _interrupts,
    _queues,
    _vanishes_while_it_hears,
    _vanishes_before_it_hears,
    _vanishes_before_it_says_hello,
    _goes_deaf_and_vanishes,
    _leaves_in_the_middle,
)
