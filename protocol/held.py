"""The messages a session holds, so that a connection that resumes can be given them again (PROTOCOL.md, "Resume").

Letting go costs the same however many utterances there are: whose message is the oldest is never searched for.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .messages import Audio, Done, Error, Segment, Started, UtteranceMessage, Words
from .register import Page

OVERHEAD_BYTES: Final = 256
"""What a held message weighs beside its sound and text: itself, its strings, its place in the log."""


class Held(NamedTuple):
    """A message in the log. `serial` orders the whole session's; `end` is the tick after it, for audio."""

    serial: int
    seq: int
    end: int | None
    num_bytes: int
    message: UtteranceMessage


@dataclass(slots=True, kw_only=True)
class LedgerPage(Page):
    """What the server keeps of an utterance."""

    held: deque[Held] = field(default_factory=deque)
    held_bytes: int = 0
    gone: int = -1  # the last seq that is no longer held


class HeldLog:
    """What all pages of one session hold."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._serial = 0
        self._live: OrderedDict[int, LedgerPage] = OrderedDict()  # by serial: who holds it
        self._over: OrderedDict[str, LedgerPage] = OrderedDict()  # finished pages that hold something

    def hold(self, page: LedgerPage, message: UtteranceMessage, end: int | None) -> None:
        """Hold a live utterance's message."""
        self._serial += 1
        held = Held(self._serial, message.seq or 0, end, _num_bytes(message), message)
        page.held.append(held)
        self._live[held.serial] = page
        self._weigh(page, held.num_bytes)

    def let_go(self, page: LedgerPage, last_seq: int) -> None:
        """Let go of the messages up to that seq: asked for, they are a gap."""
        while page.held and page.held[0].seq <= last_seq:
            held = page.held.popleft()
            page.gone = held.seq
            self._live.pop(held.serial, None)
            self._weigh(page, -held.num_bytes)
        if not page.held:
            self._over.pop(page.name, None)

    def finish(self, page: LedgerPage) -> None:
        """The utterance is over. Of one that was stopped nothing is wanted but the beginning, the errors and the end.

        That leaves no gap: the sound between them would not be played.
        """
        for held in page.held:
            del self._live[held.serial]
        if page.held and _was_stopped(page.held[-1].message):
            page.held = deque(held for held in page.held if isinstance(held.message, Started | Error | Done))
            self._weigh(page, sum(held.num_bytes for held in page.held) - page.held_bytes)
        if page.held:
            self._over[page.name] = page

    def shrink(self, most_bytes: int, *, spare_live: bool) -> None:
        """Let go until no more than so much is held: of the finished first, then, unless spared, of the live."""
        while self.num_bytes > most_bytes:
            if self._over:
                page = next(iter(self._over.values()))
            elif spare_live:
                return
            else:
                page = next(iter(self._live.values()))
            self.let_go(page, page.held[0].seq)

    def _weigh(self, page: LedgerPage, num_bytes: int) -> None:
        page.held_bytes += num_bytes
        self.num_bytes += num_bytes


def _was_stopped(last: UtteranceMessage) -> bool:
    """By a cancel or a failure that tells where the listener stops; a failure that does not is heard out."""
    return isinstance(last, Done) and last.reason != "end" and last.spoken is not None


def _num_bytes(message: UtteranceMessage) -> int:
    match message:
        case Audio(data=bytes() as data):
            return OVERHEAD_BYTES + len(data)
        case Audio():
            return OVERHEAD_BYTES + sum(map(len, message.packets or ()))
        case Segment():
            return OVERHEAD_BYTES + 4 * len(message.spoken)
        case Words():
            return OVERHEAD_BYTES * (1 + len(message.words))
        case Done(spoken=spoken) if spoken is not None:
            return OVERHEAD_BYTES + 4 * (len(spoken.text) + len(spoken.remaining))
        case _:
            return OVERHEAD_BYTES
