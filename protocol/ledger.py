"""The server's ledger: what outlives a connection, so that a session can be resumed (PROTOCOL.md, "Resume").

For each utterance its state, its `seq` and `pts`, and the messages sent that no playhead has passed. A connection
writes into it while there is one; the session goes on writing through `give` while the client is away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args

from .errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from .held import Held, HeldLog, LedgerPage
from .messages import (
    AboutUtterance,
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
    Start,
    Started,
    Text,
    UtteranceMessage,
)
from .register import Register
from .state import InputState, OutputState, UtteranceState

_COUNTED: Final = frozenset(get_args(Counted))


@dataclass(frozen=True, slots=True)
class Replay:
    """What a resumed connection gets. `gaps` and `abandoned` are over: their speech is not wanted any more."""

    messages: tuple[UtteranceMessage, ...]
    gaps: tuple[str, ...]  # asked for, no longer held; the messages say so
    abandoned: tuple[str, ...]  # alive, but the client did not ask for them


class Ledger(Register[LedgerPage]):
    """One session's pages. Not for several threads."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(LedgerPage, limits)
        self.num_ignored = 0  # client messages that came too late to mean anything
        self._log = HeldLog()
        self._untold: Counter[str] = Counter()  # starts that were refused where they were read, before anyone is told
        self._client_messages = 0
        self._proven = True  # the client has shown that the last `ready` reached it
        self._saw_playhead = False

    @property
    def client_messages(self) -> int:
        """What `ready.client_messages` says on a resume: the counted messages taken since the client's last `ready`."""
        return self._client_messages

    @property
    def held_bytes(self) -> int:
        """What is held for a resume, all utterances."""
        return self._log.num_bytes

    @property
    def full(self) -> bool:
        """Whether generation is to pause: what is being listened to is at the bound, and will be passed in time."""
        most = self.limits.replay_bytes
        return self._saw_playhead and self._log.num_bytes >= most and self._listened_bytes() >= most

    @property
    def is_proven(self) -> bool:
        """Whether the client is known to have the last `ready`; for a fresh session's it makes no difference."""
        return self._proven

    def resumed(self) -> None:
        """A `ready` with `resumed` was sent: counting starts anew once the client proves that it arrived."""
        self._proven = False

    def prove(self) -> None:
        """The client has shown that the last `ready` arrived: it presented its token, or sent a message after it."""
        if not self._proven:
            self._proven = True
            self._client_messages = 0

    def count(self, message_type: type[ClientMessage]) -> None:
        """A client message has come, whatever becomes of it. Call once for each, before `take`."""
        self.prove()
        if message_type in _COUNTED:
            self._client_messages += 1

    def take(self, message: ClientMessage) -> bool:
        """Note what the client said about its utterances. Returns whether it still means anything.

        Raises RemoteProtocolError, not fatal; then nothing has changed, save that a `start` is refused.
        """
        match message:
            case Playhead():  # first: most are
                return self._take_about_one(message)
            case Start():
                try:
                    self.open(message, RemoteProtocolError)
                except RemoteProtocolError as error:
                    self.refuse_start(error)
                    raise
            case Cancel(utterance="*"):
                self.cancel_all()
            case Text() | Flush() | End() | Cancel() | Format():
                return self._take_about_one(message)
            case _:
                pass
        return True

    def untake(self, text: Text) -> None:
        """The text that was taken last is refused after all, and does not count; as a message it does."""
        self._live[text.utterance].text_chars -= len(text.text)

    def refuse_start(self, error: RemoteProtocolError) -> None:
        """A `start` was refused where it was read. One that repeats a known id refuses nothing."""
        name = error.utterance
        if name is not None and name not in self._live and name not in self._finished:
            self.refuse(name, Error(code=error.code, message=error.message, utterance=name))
            self._untold[name] += 1

    def give(self, message: UtteranceMessage) -> UtteranceMessage:
        """Number a message of an utterance and hold it; returns it with its `seq`.

        An error for an utterance that is not under way comes back as it is; one for an utterance that is not yet
        started refuses the start. Raises LocalProtocolError (`bad_state`, `bad_value`); then nothing has changed.
        """
        name = message.utterance
        page = self._live.get(name) if name is not None else None
        if isinstance(message, Error) and name is not None and self._tells_old_refusal(name, page):
            return message
        if page is None:
            if isinstance(message, Error):
                return message
            sentence = f"expected an utterance under way, got {name}"
            raise LocalProtocolError(ErrorCode.BAD_STATE, sentence, utterance=name)
        end = None
        if isinstance(message, Audio):
            _expect_ticks(page, "pts", message.pts)
            end = page.pts + message.samples
        elif isinstance(message, Done):
            _expect_ticks(page, "samples", message.samples)
        page.state.server_says(message, LocalProtocolError, page.name)
        if isinstance(message, Error) and page.state.output is OutputState.REFUSED:
            self.refuse(page.name, message)
            return message
        numbered = _numbered(message, page.next_seq)
        if end is not None:
            page.pts = end
            page.next_seq += 1
        if self.limits.resume_ms > 0:
            self._log.hold(page, numbered, end)
        else:
            page.gone = numbered.seq or 0  # nobody will ask for it
        if isinstance(message, Started) and page.preempt:
            self.cancel_all(before=page.name)
        elif isinstance(message, Done):
            self._finish(page)
        self._log.shrink(self.limits.replay_bytes, spare_live=self._saw_playhead)
        return numbered

    def replay(self, received: Mapping[str, int]) -> Replay:
        """What a client that wants these seqs next has not got, in the order of sending. What it leaves out is over."""
        self._untold.clear()  # whoever lists them is told here
        wanted: list[Held] = []
        told: list[UtteranceMessage] = []
        gaps: list[str] = []
        abandoned = tuple(name for name in self._live if name not in received)
        for page in [*self._live.values(), *self._finished.values()]:
            if page.name not in received:
                self._log.let_go(page, page.next_seq)
            elif received[page.name] <= page.gone:
                gaps.append(page.name)
                told += self._gap(page)
            else:
                wanted += [held for held in page.held if held.seq >= received[page.name]]
        for name, seq in received.items():
            refusal = self._refused.get(name)
            if refusal is not None:
                told.append(refusal)
            elif seq > 0 and not self.knows(name):  # long finished and forgotten
                state = UtteranceState(Start(utterance=name))
                told += self._gap(LedgerPage(name=name, state=state, preempt=False, next_seq=seq))
        for name in (*abandoned, *gaps):
            if name in self._live:
                self._finish(self._live[name])
        wanted.sort()
        return Replay((*told, *(held.message for held in wanted)), tuple(gaps), abandoned)

    def _take_about_one(self, message: AboutUtterance) -> bool:
        name = message.utterance
        page = self._live.get(name)
        if page is not None:
            effective = self.say(page, message, RemoteProtocolError)
        elif not self.knows(name):
            sentence = f"expected an utterance that was started, got {name}"
            raise RemoteProtocolError(ErrorCode.UNKNOWN_UTTERANCE, sentence, utterance=name)
        else:
            page = self._finished.get(name)
            effective = page is not None and isinstance(message, Playhead)  # what is left is being listened to
        if page is not None and isinstance(message, Playhead):
            self._pass(page, message)
        self.num_ignored += not effective
        return effective

    def _pass(self, page: LedgerPage, playhead: Playhead) -> None:
        """Let go of what the listener has. A `done` goes only when it was received: having heard all is no proof."""
        self._saw_playhead = True
        passed = -1 if playhead.received is None else playhead.received - 1
        for held in page.held if playhead.played is not None else ():
            if held.end is not None:
                if held.end > (playhead.played or 0):
                    break
                passed = max(passed, held.seq)
        self._log.let_go(page, passed)

    def _listened_bytes(self) -> int:
        """What the utterances hold that are under way: neither cancelled nor about to be, by one that preempts."""
        num_bytes = 0
        for page in reversed(self._live.values()):
            if page.state.input is not InputState.CANCELLED:
                num_bytes += page.held_bytes
            if page.preempt:
                break
        return num_bytes

    def _tells_old_refusal(self, name: str, page: LedgerPage | None) -> bool:
        """Whether an error is about an earlier start of that id; it may have been started again before it went out."""
        num_untold = self._untold.pop(name, 0)
        if num_untold > 1:
            self._untold[name] = num_untold - 1
        return num_untold > 0 and (page is None or page.state.output is OutputState.REQUESTED)

    def _gap(self, page: LedgerPage) -> tuple[UtteranceMessage, UtteranceMessage]:
        """The end of an utterance that cannot be replayed."""
        name, seq = page.name, page.next_seq
        sentence = f"expected to replay {name}, but what was asked for is no longer held"
        last = page.held[-1].message if page.held else None
        self._log.let_go(page, seq)
        page.gone = seq
        error = Error(code=ErrorCode.REPLAY_GAP, message=sentence, utterance=name, seq=seq)
        if isinstance(last, Done):
            return error, replace(last, reason="error")
        return error, Done(utterance=name, seq=seq, reason="error", samples=page.pts, text_chars=page.text_chars)

    def _finish(self, page: LedgerPage) -> None:
        self._log.finish(page)
        forgotten = self.finish(page)
        if forgotten is not None:
            self._log.let_go(forgotten, forgotten.next_seq)


def _numbered(message: UtteranceMessage, seq: int) -> UtteranceMessage:
    if not isinstance(message, Audio):
        return replace(message, seq=seq)
    return Audio(  # by hand in half the time, and nearly all are
        utterance=message.utterance,
        seq=seq,
        pts=message.pts,
        samples=message.samples,
        data=message.data,
        packets=message.packets,
    )


def _expect_ticks(page: LedgerPage, what: str, got: int) -> None:
    if got != page.pts:
        sentence = f"expected {what} {page.pts}, the sum of the samples before, got {got}"
        raise LocalProtocolError(ErrorCode.BAD_VALUE, sentence, utterance=page.name)
