"""The server's ledger: numbering, holding, letting go, and what a resumed client gets."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.held import OVERHEAD_BYTES
from protocol.ledger import Ledger
from protocol.messages import (
    Cancel,
    Done,
    End,
    Error,
    Flush,
    Hello,
    Limits,
    Ping,
    Playhead,
    Start,
    Text,
    Words,
)
from protocol.state import InputState, OutputState
from tests.protocol.pair import make_audio, make_done, make_segment, make_started

PATCH_BYTES = OVERHEAD_BYTES + 8


def opened(name: str = "u", *, limits: Limits | None = None, ledger: Ledger | None = None, **start: Any) -> Ledger:
    """A ledger with an utterance that is started and has its first segment."""
    ledger = ledger or Ledger(limits)
    ledger.take(Start(utterance=name, **start))
    ledger.give(make_started(name))
    ledger.give(make_segment(name))
    return ledger


def spoken(name: str = "u", *, patches: int = 3, **more: Any) -> Ledger:
    ledger = opened(name, **more)
    for index in range(patches):
        ledger.give(make_audio(name, pts=4 * index))
    return ledger


def kinds(messages: Any) -> list[tuple[str, int | None]]:
    return [(type(message).__name__, message.seq) for message in messages]


def refuses(ledger: Ledger, message: Any, code: ErrorCode) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        ledger.take(message)
    assert caught.value.code is code
    assert not caught.value.fatal
    return caught.value


# Numbering.


def test_audio_counts_done_follows_and_all_else_announces() -> None:
    ledger = opened()
    given = [
        ledger.give(message)
        for message in (
            Words(utterance="u", words=()),
            make_audio(pts=0),
            make_audio(pts=4),
            make_segment(index=1, pts=8),
            make_audio(pts=8),
            make_done(samples=12),
        )
    ]
    assert [message.seq for message in given] == [0, 0, 1, 2, 2, 3]


def test_audio_must_begin_where_the_last_ended() -> None:
    ledger = spoken()
    with pytest.raises(LocalProtocolError, match="expected pts 12, the sum of the samples before, got 11") as caught:
        ledger.give(make_audio(pts=11))
    assert caught.value.code is ErrorCode.BAD_VALUE
    assert ledger.give(make_audio(pts=12)).seq == 3


def test_done_must_count_the_samples() -> None:
    ledger = spoken()
    with pytest.raises(LocalProtocolError, match="expected samples 12"):
        ledger.give(make_done(samples=0))
    assert ledger.live == ("u",)


@pytest.mark.parametrize(
    "message", [make_audio("x"), make_done("x"), make_started("x")], ids=lambda m: type(m).__name__
)
def test_nothing_is_said_about_an_utterance_that_is_not_under_way(message: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Ledger().give(message)
    assert caught.value.code is ErrorCode.BAD_STATE


def test_an_error_belongs_to_the_stream_only_while_that_runs() -> None:
    ledger = spoken()
    error = Error(code=ErrorCode.TEXT_LIMIT, message="", utterance="u")
    assert ledger.give(error).seq == 3
    ledger.give(make_done(samples=12))
    assert ledger.give(error).seq is None
    assert ledger.give(Error(code=ErrorCode.BUSY, message="")).seq is None


# What the client says.


def test_an_error_before_started_refuses_the_start_and_frees_its_id() -> None:
    ledger = Ledger()
    ledger.take(Start(utterance="u"))
    assert ledger.give(Error(code=ErrorCode.UNKNOWN_VOICE, message="", utterance="u")).seq is None
    assert ledger.live == ()
    assert ledger.take(Text(utterance="u", text="a")) is False
    assert ledger.take(Playhead(utterance="u", played=0)) is False
    assert ledger.num_ignored == 2
    assert opened(ledger=ledger).live == ("u",)


def test_messages_for_a_finished_utterance_are_ignored_but_playheads() -> None:
    ledger = spoken()
    ledger.give(make_done(samples=12))
    assert [ledger.take(kind(utterance="u")) for kind in (Flush, End, Cancel)] == [False] * 3
    assert ledger.num_ignored == 3
    assert ledger.take(Playhead(utterance="u", received=4)) is True
    assert ledger.held_bytes == 0


def test_an_utterance_that_never_was_is_unknown() -> None:
    for message in (Text(utterance="x", text=""), Flush(utterance="x"), Cancel(utterance="x"), Playhead(utterance="x")):
        assert refuses(Ledger(), message, ErrorCode.UNKNOWN_UTTERANCE).utterance == "x"


def test_a_known_id_is_refused_and_its_utterance_untouched() -> None:
    ledger = spoken()
    refuses(ledger, Start(utterance="u"), ErrorCode.DUPLICATE_UTTERANCE)
    assert ledger.live == ("u",)
    ledger.give(make_done(samples=12))
    refuses(ledger, Start(utterance="u"), ErrorCode.DUPLICATE_UTTERANCE)
    assert ledger.take(Playhead(utterance="u", played=4))


def test_an_id_is_free_again_when_it_is_forgotten() -> None:
    ledger = Ledger(Limits(ids=2))
    for name in ("a", "b", "c"):
        opened(name, ledger=ledger).give(make_done(name))
    assert not ledger.knows("a")
    assert ledger.held_bytes == 2 * (3 * OVERHEAD_BYTES + 8)
    assert opened("a", ledger=ledger).live == ("a",)


def test_a_refused_start_changes_nothing() -> None:
    ledger = opened("a", limits=Limits(utterances=1, text_chars=3))
    refuses(ledger, Start(utterance="b"), ErrorCode.TOO_MANY_UTTERANCES)
    refuses(ledger, Start(utterance="b", preempt=True, text="four"), ErrorCode.TEXT_LIMIT)
    refuses(ledger, Start(utterance="b", preempt=True, after="never"), ErrorCode.UNKNOWN_UTTERANCE)
    assert ledger.pages["a"].state.input is InputState.OPEN
    assert ledger.take(Text(utterance="b", text="sent on trust")) is False
    assert opened("b", ledger=ledger, preempt=True, text="abc").live == ("a", "b")


@pytest.mark.parametrize("earlier", ["live", "finished", "refused"])
def test_an_utterance_may_follow_any_that_was_heard_of(earlier: str) -> None:
    ledger = Ledger()
    ledger.take(Start(utterance="a"))
    if earlier == "refused":
        ledger.give(Error(code=ErrorCode.BUSY, message="", utterance="a"))
    if earlier == "finished":
        ledger.give(make_started("a"))
        ledger.give(make_done("a"))
    assert ledger.take(Start(utterance="b", after="a"))


def test_cancelled_utterances_make_room_up_to_a_bound() -> None:
    ledger = Ledger(Limits(utterances=1))
    ledger.take(Start(utterance="a"))
    ledger.take(Cancel(utterance="*"))
    ledger.take(Start(utterance="b"))
    refuses(ledger, Start(utterance="c", preempt=True), ErrorCode.TOO_MANY_UTTERANCES)


def test_preempt_cancels_those_before_when_it_is_accepted() -> None:
    ledger = opened("a")
    ledger.take(Start(utterance="b", preempt=True))
    ledger.take(Start(utterance="c"))
    assert ledger.pages["a"].state.input is InputState.OPEN
    ledger.give(make_started("b"))
    inputs = {name: page.state.input for name, page in ledger.pages.items()}
    assert inputs == {"a": InputState.CANCELLED, "b": InputState.OPEN, "c": InputState.OPEN}
    assert ledger.take(Text(utterance="a", text="late")) is False


def test_text_is_counted_over_all_its_deltas() -> None:
    ledger = opened(limits=Limits(text_chars=5), text="ab")
    ledger.take(Text(utterance="u", text="\N{GRINNING FACE}d"))
    assert refuses(ledger, Text(utterance="u", text="ef"), ErrorCode.TEXT_LIMIT).utterance == "u"
    assert ledger.take(Text(utterance="u", text="e"))
    assert ledger.pages["u"].text_chars == 5


def test_text_that_is_refused_after_all_does_not_count() -> None:
    ledger = opened(limits=Limits(text_chars=5), text="ab")
    ledger.take(Text(utterance="u", text="cd"))
    ledger.untake(Text(utterance="u", text="cd"))
    assert ledger.pages["u"].text_chars == 2
    assert ledger.take(Text(utterance="u", text="cde"))


def test_a_refusal_that_names_nobody_or_a_live_utterance_refuses_none() -> None:
    ledger = opened()
    ledger.refuse_start(RemoteProtocolError(ErrorCode.BAD_VALUE, ""))
    ledger.refuse_start(RemoteProtocolError(ErrorCode.BAD_VALUE, "", utterance="u"))
    assert ledger.live == ("u",)


# Counting.


def test_counted_messages_are_counted_until_the_next_ready_is_proven() -> None:
    ledger = Ledger()
    for kind in (Hello, Start, Text, Ping, Playhead, Flush):
        ledger.count(kind)
    assert ledger.client_messages == 3
    ledger.resumed()
    assert not ledger.is_proven
    assert ledger.client_messages == 3  # the ready may be lost: the old token still counts from before
    ledger.count(Text)
    assert ledger.is_proven
    assert ledger.client_messages == 1


def test_a_presented_token_proves_its_ready() -> None:
    ledger = Ledger()
    ledger.count(Text)
    ledger.resumed()
    ledger.prove()
    assert ledger.client_messages == 0
    ledger.count(Text)
    ledger.prove()
    assert ledger.client_messages == 1


# Replaying.


def test_replay_interleaves_as_it_was_sent() -> None:
    ledger = spoken("a", patches=1)
    spoken("b", patches=1, ledger=ledger)
    ledger.give(make_audio("a", pts=4))
    replay = ledger.replay({"a": 1, "b": 0})
    assert [(message.utterance, message.seq) for message in replay.messages] == [("b", 0), ("b", 0), ("b", 0), ("a", 1)]
    assert replay.gaps == replay.abandoned == ()


def test_what_was_not_asked_for_is_over() -> None:
    ledger = spoken("a")
    spoken("b", ledger=ledger)
    ledger.give(make_done("b", samples=12))
    ledger.take(Start(utterance="c"))
    replay = ledger.replay({})
    assert replay.messages == ()
    assert replay.abandoned == ("a", "c")
    assert ledger.live == ()
    assert ledger.held_bytes == 0
    assert ledger.take(Text(utterance="c", text="")) is False
    with pytest.raises(LocalProtocolError):
        ledger.give(make_audio("a", pts=12))


def test_what_is_no_longer_held_ends_that_utterance_alone() -> None:
    ledger = spoken("a")
    spoken("b", ledger=ledger)
    ledger.take(Playhead(utterance="a", played=8))
    replay = ledger.replay({"a": 1, "b": 2})
    error, done, audio = replay.messages
    assert (error.code, error.utterance, error.seq) == (ErrorCode.REPLAY_GAP, "a", 3)
    assert done == Done(utterance="a", seq=3, reason="error", samples=12, text_chars=0)
    assert audio.utterance == "b"
    assert replay.gaps == ("a",)
    assert ledger.live == ("b",)
    assert kinds(ledger.replay({"a": 1, "b": 3}).messages) == [("Error", 3), ("Done", 3)]


def test_a_gap_in_a_finished_utterance_keeps_what_its_done_said() -> None:
    ledger = spoken()
    done = ledger.give(Done(utterance="u", reason="end", samples=12, text_chars=9))
    ledger.take(Playhead(utterance="u", played=8))
    _, last = ledger.replay({"u": 0}).messages
    assert isinstance(last, Done)
    assert (last.reason, last.text_chars, last.seq) == ("error", 9, done.seq)


def test_a_start_that_never_came_is_not_missed() -> None:
    assert Ledger().replay({"u": 0}).messages == ()


def test_an_utterance_forgotten_long_ago_is_a_gap() -> None:
    replay = Ledger().replay({"u": 7})
    assert kinds(replay.messages) == [("Error", 7), ("Done", 7)]
    assert replay.gaps == ()


def test_a_refusal_is_told_again() -> None:
    ledger = Ledger()
    ledger.take(Start(utterance="u"))
    refusal = Error(code=ErrorCode.UNKNOWN_VOICE, message="no", utterance="u")
    ledger.give(refusal)
    assert ledger.replay({"u": 0}).messages == (refusal,)


def test_a_refusal_at_reading_is_told_again() -> None:
    ledger = Ledger(Limits(utterances=0))
    refuses(ledger, Start(utterance="u"), ErrorCode.TOO_MANY_UTTERANCES)
    (refusal,) = ledger.replay({"u": 0}).messages
    assert (refusal.code, refusal.seq) == (ErrorCode.TOO_MANY_UTTERANCES, None)


def test_an_id_may_be_started_again_before_its_refusals_are_told() -> None:
    ledger = Ledger(Limits(text_chars=3))
    refusals = []
    for _ in range(2):
        refuses(ledger, Start(utterance="u", text="four"), ErrorCode.TEXT_LIMIT)
        refusals.append(Error(code=ErrorCode.TEXT_LIMIT, message="no", utterance="u"))
    ledger.take(Start(utterance="u", text="one"))
    for refusal in refusals:
        assert ledger.give(refusal) is refusal
    assert ledger.live == ("u",)
    assert ledger.pages["u"].state.output is OutputState.REQUESTED


def test_speech_goes_on_while_the_client_is_away() -> None:
    ledger = spoken(patches=1)
    replay = ledger.replay({"u": 0})
    ledger.give(make_audio(pts=4))
    assert len(ledger.replay({"u": 0}).messages) == len(replay.messages) + 1
    assert ledger.pages["u"].state.output is OutputState.SPEAKING
