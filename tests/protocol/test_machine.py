"""Two machines joined by a wire that delays and breaks, driven at random against a restatement of the tables.

Whatever happens: neither side ever blames the other, text arrives once and in order, and so do segments and audio.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from protocol.connection import Connection, Side
from protocol.errors import ErrorCode, LocalProtocolError
from protocol.messages import (
    Audio,
    Cancel,
    Done,
    End,
    Error,
    Flush,
    Format,
    FormatChanged,
    Hello,
    Limits,
    Playhead,
    Ready,
    Resume,
    Segment,
    Spoken,
    Start,
    Text,
    Words,
)
from protocol.state import SessionState
from tests.protocol.pair import PCM, make_audio, make_done, make_ready, make_started

NOTHING_HEARD = Spoken(text_end=0, pts=0, mid_word=False, estimated=True, text="", remaining="")
names = st.sampled_from(["a", "b", "c"])


@dataclass
class ClientView:
    """What the test expects of an utterance, from where the client stands."""

    live: bool = True
    ended: bool = False
    cancelled: bool = False
    preempt: bool = False
    text: str = ""
    audio: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    gap: bool = False
    stopped: bool = False
    codes: list[str] = field(default_factory=list)


@dataclass
class ServerView:
    """And from where the server stands."""

    started: bool = False
    speaking: bool = False
    live: bool = True
    cancelled: bool = False
    preempt: bool = False
    text: str = ""
    num_audio: int = 0
    num_segments: int = 0
    codes: list[str] = field(default_factory=list)


class TwoMachines(RuleBasedStateMachine):
    @initialize(replay_bytes=st.sampled_from([3_000, 1 << 24]), tells_playheads=st.booleans())
    def connect(self, replay_bytes: int, tells_playheads: bool) -> None:
        limits = Limits(utterances=2, replay_bytes=replay_bytes)
        self.tells_playheads = tells_playheads
        self.client = Connection(Side.CLIENT, limits=limits)
        self.server = Connection(Side.SERVER, limits=limits)
        self.up: deque[bytes | str] = deque([self.client.send(Hello())])
        self.down: deque[bytes | str] = deque()
        self.sent: dict[str, ClientView] = {}
        self.taken: dict[str, ServerView] = {}
        self.num_readies = 0
        self.valid_tokens: set[int] = set()
        self.token = 0  # the newest that the client has got
        self.num_texts = 0

    # The client.

    def client_tries(self, message: Any, expected: ErrorCode | None) -> bool:
        if self.client.state in (SessionState.RESUMING, SessionState.OPENING):
            expected = ErrorCode.BAD_STATE
        if expected is None:
            self.up.append(self.client.send(message))
            return True
        with pytest.raises(LocalProtocolError) as caught:
            self.client.send(message)
        assert caught.value.code is expected
        return False

    @rule(name=names, end=st.booleans(), preempt=st.booleans())
    def client_starts(self, name: str, end: bool, preempt: bool) -> None:
        live = [view for view in self.sent.values() if view.live]
        expected = None
        if name in self.sent:
            expected = ErrorCode.DUPLICATE_UTTERANCE
        elif len(live) >= 4 or (not preempt and sum(not view.cancelled for view in live) >= 2):
            expected = ErrorCode.TOO_MANY_UTTERANCES
        if self.client_tries(Start(utterance=name, end=end, preempt=preempt), expected):
            self.sent[name] = ClientView(ended=end, preempt=preempt)

    @rule(name=names, kind=st.sampled_from([Text, Flush, End, Cancel, Format, Playhead]))
    def client_says(self, name: str, kind: type) -> None:
        if kind is Playhead and not self.tells_playheads:
            return
        view = self.sent.get(name)
        expected = None
        if view is None:
            expected = ErrorCode.BAD_STATE if self.client.journal.knows(name) else ErrorCode.UNKNOWN_UTTERANCE
        elif not view.live:
            expected = None if kind is Playhead else ErrorCode.BAD_STATE
        elif view.ended and not view.cancelled and kind in (Text, Flush, End):
            expected = ErrorCode.BAD_STATE
        self.num_texts += 1
        more = f"<{self.num_texts}>"
        extra: dict[type, dict[str, Any]] = {
            Text: {"text": more},
            Format: {"audio": PCM},
            Playhead: {"received": self.client.journal.next_seq(name)},
        }
        if self.client_tries(kind(utterance=name, **extra.get(kind, {})), expected) and view is not None:
            if kind is Text and not view.cancelled:
                view.text += more
            view.ended = view.ended or kind is End
            view.cancelled = view.cancelled or kind is Cancel

    @rule()
    def client_cancels_all(self) -> None:
        if self.client_tries(Cancel(utterance="*"), None):
            for view in self.sent.values():
                view.cancelled = True

    # The server.

    @rule(name=names, kind=st.sampled_from(["started", Segment, Words, Audio, FormatChanged, Done, "stopped", Error]))
    def server_says(self, name: str, kind: Any) -> None:
        view = self.taken.get(name)
        if view is None and kind is Error:
            return  # about what would it be?
        live = view is not None and view.live
        allowed = {
            "started": live and not view.started,
            Segment: live and view.started,
            Words: live and view.speaking,
            Audio: live and view.speaking,
            FormatChanged: live and view.started,
            Done: live and view.started,
            "stopped": live and view.started,
            Error: True,
        }[kind]
        view = view or ServerView()
        message: Any = {
            "started": make_started(name),
            Segment: Segment(utterance=name, index=view.num_segments, text_start=0, text_end=0, spoken="", pts=0),
            Words: Words(utterance=name, words=()),
            Audio: make_audio(name, pts=4 * view.num_audio),
            FormatChanged: FormatChanged(utterance=name, audio=PCM),
            Done: Done(utterance=name, reason="end", samples=4 * view.num_audio, text_chars=0),
            "stopped": make_done(name, 4 * view.num_audio, "cancelled", NOTHING_HEARD),
            Error: Error(code=ErrorCode.TEXT_LIMIT, message=f"<{len(view.codes)}>", utterance=name),
        }[kind]
        if self.server.state is not SessionState.READY:
            allowed = False
        if not allowed:
            with pytest.raises(LocalProtocolError) as caught:
                self.server.send(message)
            assert caught.value.code is ErrorCode.BAD_STATE
            return
        self.down.append(self.server.send(message))
        self.server_has_said(name, kind)

    def server_has_said(self, name: str, kind: Any) -> None:
        view = self.taken.get(name)
        if view is None:
            return
        match kind:
            case "started":
                view.started = True
                if view.preempt:
                    for earlier in self.taken.values():
                        if earlier is view:
                            break
                        earlier.cancelled = True
            case _ if kind is Segment:
                view.speaking = True
                view.num_segments += 1
            case _ if kind is Audio:
                view.num_audio += 1
            case _ if kind in (Done, "stopped"):
                view.live = False
            case _ if kind is Error and view.live and not view.started:
                del self.taken[name]
            case _ if kind is Error and view.live:
                view.codes.append(f"<{len(view.codes)}>")
            case _:
                pass

    @precondition(lambda self: self.server.state is SessionState.READY)
    @rule(name=names, num_patches=st.integers(1, 4))
    def server_speaks(self, name: str, num_patches: int) -> None:
        view = self.taken.get(name)
        if view is None or not view.live:
            return
        if not view.started:
            self.server_says(name, "started")
        self.server_says(name, Segment)
        for _ in range(num_patches):
            self.server_says(name, Audio)

    # The wire.

    @precondition(lambda self: self.up)
    @rule()
    def deliver_up(self) -> None:
        received = self.server.receive(self.up.popleft())
        message = received and received.message
        match message:
            case Hello(resume=Resume() as resume):
                self.server.resume(self.ledger)
                if int(resume.token) == self.num_readies:
                    self.ledger.prove()
                assert int(resume.token) in self.valid_tokens
                self.valid_tokens = {int(resume.token)}
                self.greet(client_messages=self.ledger.client_messages, resumed=True)
                replay = self.ledger.replay(resume.received)
                assert replay.abandoned == ()
                for name in replay.gaps:
                    self.taken[name].live = False
                self.down.extend(self.server.resend(replay.messages))
            case Hello():
                self.greet()
            case Start():
                self.taken[message.utterance] = ServerView(preempt=bool(message.preempt))
            case Text() if not self.taken[message.utterance].cancelled:
                self.taken[message.utterance].text += message.text
            case Cancel(utterance="*"):
                for view in self.taken.values():
                    view.cancelled = True
            case Cancel():
                self.taken[message.utterance].cancelled = True
            case _:
                pass

    def greet(self, **ready: Any) -> None:
        self.num_readies += 1
        self.valid_tokens.add(self.num_readies)
        values = {"resume_token": str(self.num_readies), "limits": self.server.limits} | ready
        self.down.append(self.server.send(make_ready(**values)))

    @precondition(lambda self: self.down)
    @rule()
    def deliver_down(self) -> None:
        received = self.client.receive(self.down.popleft())
        message = received and received.message
        match message:
            case Ready():
                self.token = int(message.resume_token)
                self.up.extend(self.client.resend(self.client.unsettled))
            case Error(utterance=str(name), seq=None) if name in self.sent and name not in self.client.journal.live:
                if self.sent[name].live:
                    del self.sent[name]
            case Error(utterance=str(name), code=ErrorCode.REPLAY_GAP):
                self.sent[name].gap = True
                self.client_sees_preemption(name)
            case Segment():
                self.sent[message.utterance].segments.append(message.index)
            case Audio():
                self.sent[message.utterance].audio.append(message.seq)
            case Error(utterance=str(name), message=code) if name in self.sent and self.sent[name].live:
                self.sent[name].codes.append(code)
            case Done():
                self.sent[message.utterance].live = False
                self.sent[message.utterance].stopped = message.reason == "cancelled"
            case message if message is not None and type(message).__name__ == "Started":
                self.client_sees_preemption(message.utterance)
            case _:
                pass

    def client_sees_preemption(self, name: str) -> None:
        for earlier, view in self.sent.items():
            if earlier == name:
                break
            view.cancelled = view.cancelled or self.sent[name].preempt

    @rule()
    def deliver_all(self) -> None:
        while self.up or self.down:
            if self.up:
                self.deliver_up()
            if self.down:
                self.deliver_down()

    @precondition(lambda self: self.token > 0 and self.client.state is not SessionState.OPENING)
    @rule()
    def the_wire_breaks(self) -> None:
        self.ledger = self.server.ledger if self.server.state is not SessionState.OPENING else self.ledger
        journal = self.client.journal
        self.up.clear()
        self.down.clear()
        self.client = Connection(Side.CLIENT, ledger=journal)
        self.server = Connection(Side.SERVER, limits=self.server.limits)
        resume = Resume(session="session-1", token=str(self.token), received=journal.received)
        self.up.append(self.client.send(Hello(resume=resume)))

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        self.deliver_all()
        assert self.client.journal.live == self.server.ledger.live
        for name in self.client.journal.live:
            journal, ledger = self.client.journal.pages[name], self.server.ledger.pages[name]
            assert (journal.state.input, journal.state.output) == (ledger.state.input, ledger.state.output)
            assert (journal.next_seq, journal.pts) == (ledger.next_seq, ledger.pts)
        for name, view in self.sent.items():
            taken = self.taken[name]
            assert view.audio == list(range(len(view.audio)))
            assert view.segments == list(range(len(view.segments)))
            if not view.gap:
                assert view.codes == taken.codes
            if not view.gap and not view.stopped:
                assert len(view.audio) == taken.num_audio
                assert len(view.segments) == taken.num_segments
            if taken.live and not taken.cancelled:
                assert taken.text == view.text


TwoMachines.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestTwoMachines = TwoMachines.TestCase
