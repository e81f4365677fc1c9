"""The client's journal: what it sent and what it got, so that it can check the server's order and resume.

It is to the client what the ledger is to the server (PROTOCOL.md, "Order and seq" and "Resume").
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from .errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from .messages import (
    Audio,
    Cancel,
    ClientMessage,
    Counted,
    Done,
    End,
    Error,
    Flush,
    Format,
    Limits,
    Playhead,
    Ready,
    ServerMessage,
    Start,
    Started,
    Text,
    UtteranceMessage,
)
from .register import Page, Register
from .state import OutputState


@dataclass(slots=True, kw_only=True)
class JournalPage(Page):
    """What the client keeps of an utterance."""

    beside: Counter[type] = field(default_factory=Counter)  # messages got with `next_seq` that were not audio
    repeated: Counter[type] = field(default_factory=Counter)  # those of them that a resume may bring again
    stopped: bool = False  # a resume has left out sound that will not be played
    resumed: bool = False
    was_refused: bool = False  # and then started again under the same id
    expects_old_refusal: bool = False  # which a resume will bring again
    gap: bool = False  # `replay_gap` was said: the next is a `done`, whatever its numbers


class Journal(Register[JournalPage]):
    """One session, as its client knows it. Not for several threads."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(JournalPage, limits)
        self._num_sent = 0  # counted messages since the last `ready`
        self._sent: list[tuple[int, Counted]] = []  # those whose utterance is not over

    @property
    def received(self) -> dict[str, int]:
        """`hello.resume.received`: for each utterance whose `done` is lacking, the next seq wanted."""
        return {name: page.next_seq for name, page in self._live.items()}

    def next_seq(self, utterance: str) -> int | None:
        """`playhead.received` for an utterance that is live or was finished lately; None for any other."""
        page = self._live.get(utterance) or self._finished.get(utterance)
        if page is None:
            return None
        return page.next_seq + (page.state.output is OutputState.DONE)

    def give(self, message: ClientMessage) -> None:
        """Note a message that is about to be sent. Raises LocalProtocolError; then nothing has changed."""
        means_something = True
        match message:
            case Start(utterance=name):
                was_refused = name in self._refused
                self.open(message, LocalProtocolError)
                self._live[name].was_refused = was_refused
            case Cancel(utterance="*"):
                self.cancel_all()
            case Playhead(utterance=name) if name in self._finished:
                pass  # what is left of it is being listened to
            case Text() | Flush() | End() | Cancel() | Playhead() | Format():
                means_something = self.say(self._page_of(message.utterance), message, LocalProtocolError)
            case _:
                pass
        if isinstance(message, Counted):
            self._num_sent += 1
            if means_something and not (isinstance(message, Text) and not message.text):
                self._keep(message)

    def take(self, message: ServerMessage) -> bool:
        """Check what the server says about an utterance. Returns whether it is news: a resume may repeat some.

        Raises RemoteProtocolError: `unknown_utterance`, or a fatal one when the order is broken.
        """
        if not isinstance(message, UtteranceMessage) or message.utterance is None:
            return True
        page = self._live.get(message.utterance)
        if page is None or (isinstance(message, Error) and message.seq is None):
            return self._take_aside(message, page)
        if page.gap and isinstance(message, Done):
            self._finish(page)
            return True
        if isinstance(message, Error) and message.code is ErrorCode.REPLAY_GAP:
            page.gap = True
            if page.preempt:  # its `started`, which did this, may be in the gap
                self.cancel_all(before=page.name)
            return True
        if not self._in_order(page, message):
            return False
        page.state.server_says(message, RemoteProtocolError, page.name)
        match message:
            case Audio():
                page.pts += message.samples
                page.next_seq += 1
                page.beside.clear()
                page.repeated.clear()
            case Done():
                self._finish(page)
            case _:
                page.beside[type(message)] += 1
                if isinstance(message, Started) and page.preempt:
                    self.cancel_all(before=page.name)
        return True

    def ready(self, ready: Ready) -> tuple[Counted, ...]:
        """Take the server's `ready`. Returns what is to be sent again, in order, before anything else."""
        self.set_limits(ready.limits)
        if not ready.resumed:
            return ()
        again = [message for number, message in self._sent if number > ready.client_messages]
        self._sent = list(enumerate(again, 1))
        self._num_sent = len(again)
        not_taken = {message.utterance for message in again if isinstance(message, Start)}
        for page in self._live.values():
            page.resumed = True
            page.repeated = page.beside.copy()
            page.expects_old_refusal = page.was_refused and page.name in not_taken
        return tuple(again)

    def _keep(self, message: Counted) -> None:
        """To be said again, if need be. Of wishes of which the last counts the first stays, too, since what was said
        after it may rely on it; so does each that stands before a `start`."""
        if isinstance(message, Cancel | Format):
            outdone: list[tuple[int, Counted]] = []
            for entry in reversed(self._sent):
                if isinstance(entry[1], Start):
                    break
                if _outdoes(message, entry[1]):
                    outdone.append(entry)
            for entry in outdone[:-1]:
                self._sent.remove(entry)
        self._sent.append((self._num_sent, message))

    def _page_of(self, name: str) -> JournalPage:
        page = self._live.get(name)
        if page is None:
            code = ErrorCode.BAD_STATE if self.knows(name) else ErrorCode.UNKNOWN_UTTERANCE
            raise LocalProtocolError(code, f"expected a live utterance, got {name}", utterance=name)
        return page

    def _take_aside(self, message: UtteranceMessage, page: JournalPage | None) -> bool:
        """What is no part of a live utterance's stream: an error that answers a message, or a mistake."""
        if not isinstance(message, Error):
            sentence = f"expected an utterance under way, got {message.utterance}"
            raise RemoteProtocolError(ErrorCode.UNKNOWN_UTTERANCE, sentence, utterance=message.utterance)
        if page is not None and page.expects_old_refusal:
            page.expects_old_refusal = False
            return False
        if page is not None and page.state.output is OutputState.REQUESTED:
            self.refuse(page.name, message)
            self._prune()
        return True

    def _in_order(self, page: JournalPage, message: UtteranceMessage) -> bool:
        """Whether the message is the next one; False if a resume has repeated it."""
        seq = message.seq or 0
        if page.resumed and seq < page.next_seq:
            return False
        if seq == page.next_seq and page.repeated[type(message)] > 0:
            page.repeated[type(message)] -= 1
            return False
        if page.resumed and seq > page.next_seq and _may_skip_sound(message):
            page.next_seq, page.stopped = seq, True
            page.beside.clear()
            page.repeated.clear()
        if seq != page.next_seq:
            self._broken(page, f"expected seq {page.next_seq}, got {seq}")
        if isinstance(message, Audio) and message.pts != page.pts:
            self._broken(page, f"expected pts {page.pts}, the sum of the samples before, got {message.pts}")
        if isinstance(message, Done) and message.samples != page.pts and not page.stopped:
            self._broken(page, f"expected samples {page.pts}, the sum of the audio, got {message.samples}")
        return True

    def _broken(self, page: JournalPage, sentence: str) -> NoReturn:
        raise RemoteProtocolError(ErrorCode.BAD_STATE, sentence, utterance=page.name, fatal=True)

    def _finish(self, page: JournalPage) -> None:
        self.finish(page)
        self._prune()

    def _prune(self) -> None:
        """Forget what need not be sent again: the messages of utterances that are over."""
        self._sent = [
            (number, message)
            for number, message in self._sent
            if message.utterance in self._live or (message.utterance == "*" and self._live)
        ]


def _outdoes(wish: Cancel | Format, earlier: Counted) -> bool:
    """Whether nothing is lost if only the later of two messages is heeded."""
    match wish, earlier:
        case Format(), Format():
            return wish.utterance == earlier.utterance
        case Cancel(), Cancel():
            is_as_soon = wish.at != "word" or earlier.at == "word"
            return wish.utterance == earlier.utterance and is_as_soon and _told(earlier) <= _told(wish)
        case _:
            return False


def _told(cancel: Cancel) -> frozenset[str]:
    """The utterances of which it says what was heard."""
    match cancel.played:
        case None:
            return frozenset()
        case int():
            return frozenset({cancel.utterance})
        case played:
            return frozenset(played)


def _may_skip_sound(message: UtteranceMessage) -> bool:
    """What may come of an utterance that was stopped while the client was away, without the sound before it."""
    return isinstance(message, Error) or (isinstance(message, Done) and message.reason != "end")
