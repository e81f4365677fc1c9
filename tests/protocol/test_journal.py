"""The client's journal: what it may say, what it believes, and what it says again after a resume."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from protocol.journal import Journal
from protocol.messages import (
    AudioFormat,
    Cancel,
    Drain,
    End,
    Error,
    Flush,
    Format,
    Limits,
    Ping,
    Playhead,
    Pong,
    Start,
    Text,
    Words,
)
from protocol.state import InputState
from tests.protocol.pair import PCM, make_audio, make_done, make_ready, make_segment, make_started
from tests.protocol.test_ledger import spoken as ledger_spoken


def numbered(make: Any, utterance: str = "u", seq: int = 0, **values: Any) -> Any:
    """A server's message as it comes: with its seq."""
    message = make(utterance, **values)
    fields = {name: getattr(message, name) for name in message.__slots__} | {"seq": seq}
    return type(message)(**fields)


def spoken(name: str = "u", *, patches: int = 2, journal: Journal | None = None, **start: Any) -> Journal:
    """A journal with an utterance of so many patches."""
    journal = journal or Journal()
    journal.give(Start(utterance=name, **start))
    journal.take(make_started(name))
    journal.take(make_segment(name))
    for index in range(patches):
        journal.take(numbered(make_audio, name, index, pts=4 * index))
    return journal


def refuses(journal: Journal, message: Any, code: ErrorCode) -> LocalProtocolError:
    with pytest.raises(LocalProtocolError) as caught:
        journal.give(message)
    assert caught.value.code is code
    return caught.value


def distrusts(journal: Journal, message: Any, *, fatal: bool = True) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        journal.take(message)
    assert caught.value.fatal is fatal
    return caught.value


# What the client may say.


def test_an_utterance_must_be_started_first() -> None:
    refuses(Journal(), Text(utterance="u", text=""), ErrorCode.UNKNOWN_UTTERANCE)


def test_nothing_but_playheads_follows_done() -> None:
    journal = spoken()
    journal.take(numbered(make_done, seq=2, samples=8))
    for message in (Text(utterance="u", text=""), Flush(utterance="u"), End(utterance="u"), Cancel(utterance="u")):
        refuses(journal, message, ErrorCode.BAD_STATE)
    journal.give(Playhead(utterance="u", played=8, received=3))


def test_a_refused_utterance_may_be_started_again() -> None:
    journal = Journal()
    journal.give(Start(utterance="u"))
    assert journal.take(Error(code=ErrorCode.UNKNOWN_VOICE, message="", utterance="u"))
    refuses(journal, Text(utterance="u", text=""), ErrorCode.BAD_STATE)
    journal.give(Start(utterance="u"))
    assert journal.live == ("u",)


def test_the_clients_own_limits_are_those_of_the_server() -> None:
    journal = Journal()
    journal.ready(make_ready(limits=Limits(utterances=1, text_chars=2, ids=1)))
    journal.give(Start(utterance="a", text="ab"))
    refuses(journal, Text(utterance="a", text="c"), ErrorCode.TEXT_LIMIT)
    refuses(journal, Start(utterance="b"), ErrorCode.TOO_MANY_UTTERANCES)
    refuses(journal, Start(utterance="a"), ErrorCode.DUPLICATE_UTTERANCE)
    journal.give(Cancel(utterance="*"))
    journal.give(Start(utterance="b"))
    for name in ("a", "b"):
        journal.take(make_started(name))
        journal.take(make_done(name))
    journal.give(Start(utterance="a"))


def test_other_messages_are_none_of_its_business() -> None:
    journal = Journal()
    journal.give(Ping())
    assert journal.take(Pong(server_ms=1.0))
    assert journal.take(Drain(deadline_ms=1))
    assert journal.take(Error(code=ErrorCode.BUSY, message=""))


# What the client believes.


def test_audio_without_a_gap_is_believed() -> None:
    journal = spoken(patches=3)
    assert journal.received == {"u": 3}
    assert journal.next_seq("u") == 3
    journal.take(numbered(make_done, seq=3, samples=12))
    assert journal.received == {}
    assert journal.next_seq("u") == 4
    assert journal.next_seq("x") is None


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (numbered(make_audio, seq=3, pts=8), "expected seq 2, got 3"),
        (numbered(make_audio, seq=1, pts=8), "expected seq 2, got 1"),
        (numbered(make_audio, seq=2, pts=9), "expected pts 8, the sum of the samples before, got 9"),
        (numbered(make_segment, seq=1), "expected seq 2, got 1"),
        (numbered(make_done, seq=3, samples=8), "expected seq 2, got 3"),
        (numbered(make_done, seq=2, samples=9), "expected samples 8, the sum of the audio, got 9"),
    ],
    ids=["audio missing", "audio twice", "audio elsewhere", "segment late", "done early", "done miscounts"],
)
def test_a_server_that_breaks_its_order_is_not_believed(message: Any, sentence: str) -> None:
    assert distrusts(spoken(), message).message == sentence


def test_words_before_a_segment_are_out_of_place() -> None:
    journal = Journal()
    journal.give(Start(utterance="u"))
    journal.take(make_started())
    assert distrusts(journal, Words(utterance="u", words=()), fatal=False).code is ErrorCode.BAD_STATE


def test_sound_for_an_utterance_that_is_over_is_out_of_place() -> None:
    journal = spoken()
    journal.take(numbered(make_done, seq=2, samples=8))
    error = distrusts(journal, numbered(make_audio, seq=2, pts=8), fatal=False)
    assert error.code is ErrorCode.UNKNOWN_UTTERANCE


def test_an_error_aside_does_not_end_what_runs() -> None:
    journal = spoken()
    assert journal.take(Error(code=ErrorCode.DUPLICATE_UTTERANCE, message="", utterance="u"))
    assert journal.take(Error(code=ErrorCode.TEXT_LIMIT, message="", utterance="u", seq=2))
    assert journal.live == ("u",)


def test_preemption_shows_when_it_is_accepted() -> None:
    journal = spoken("a")
    journal.give(Start(utterance="b", preempt=True))
    assert journal.pages["a"].state.input is InputState.OPEN
    journal.take(make_started("b"))
    assert journal.pages["a"].state.input is InputState.CANCELLED
    journal.give(Text(utterance="a", text="the server will ignore it"))


# Resuming.


def test_what_was_not_taken_is_said_again_and_counted_anew() -> None:
    journal = Journal()
    sent = [
        Start(utterance="u"),
        Text(utterance="u", text="a"),
        Flush(utterance="u"),
        Format(utterance="u", audio=PCM),
        End(utterance="u"),
    ]
    for message in sent:
        journal.give(message)
        journal.give(Playhead(utterance="u", received=0))  # playheads are not counted
    assert journal.ready(make_ready(resumed=True, client_messages=2)) == tuple(sent[2:])
    journal.give(Cancel(utterance="u"))
    assert journal.ready(make_ready(resumed=True, client_messages=1)) == (*sent[3:], Cancel(utterance="u"))
    assert journal.ready(make_ready(resumed=True, client_messages=3)) == ()


def test_of_a_thousand_changes_of_mind_a_few_are_kept() -> None:
    journal = spoken(end=None)
    for number in range(1000):
        journal.give(Format(utterance="u", audio=AudioFormat(codec="opus", bitrate=6000 + number)))
        journal.give(Text(utterance="u", text=""))
    for number in range(1000):
        journal.give(Cancel(utterance="u", at="word" if number % 3 else "now", played=number if number % 2 else None))
        journal.give(Cancel(utterance="*", played={"u": number}))
        journal.give(End(utterance="u"))
    again = journal.ready(make_ready(resumed=True, client_messages=1))
    assert len(again) <= 12
    assert Format(utterance="u", audio=AudioFormat(codec="opus", bitrate=6999)) in again
    assert again[-1] == Cancel(utterance="*", played={"u": 999})


def test_what_concerns_an_utterance_that_is_over_is_not_said_again() -> None:
    journal = Journal()
    journal.give(Start(utterance="a", end=True))
    journal.give(Start(utterance="b"))
    journal.give(Cancel(utterance="*"))
    journal.take(make_started("a"))
    journal.take(make_done("a"))
    assert journal.ready(make_ready(resumed=True, client_messages=0)) == (
        Start(utterance="b"),
        Cancel(utterance="*"),
    )
    journal.take(make_started("b"))
    journal.take(make_done("b"))
    assert journal.ready(make_ready(resumed=True, client_messages=0)) == ()


def test_a_fresh_session_has_nothing_to_say_again() -> None:
    journal = Journal()
    journal.give(Start(utterance="u"))
    assert journal.ready(make_ready()) == ()


def test_a_resume_repeats_what_stands_before_the_wanted_audio_and_is_not_believed_twice() -> None:
    journal = spoken(patches=1)
    segment = numbered(make_segment, seq=1, index=1)
    words = Words(utterance="u", seq=1, words=())
    journal.take(segment)
    journal.ready(make_ready(resumed=True))
    assert journal.take(segment) is False
    assert journal.take(words) is True
    assert journal.take(numbered(make_audio, seq=1, pts=4)) is True
    assert journal.take(numbered(make_audio, seq=2, pts=8)) is True


def test_after_a_resume_older_audio_is_dropped_but_never_before() -> None:
    journal = spoken()
    journal.ready(make_ready(resumed=True))
    assert journal.take(numbered(make_audio, seq=0, pts=0)) is False
    assert journal.take(numbered(make_done, seq=2, samples=8)) is True


def test_a_gap_is_followed_by_a_done_with_any_numbers() -> None:
    journal = spoken("a")
    journal.give(Start(utterance="b", preempt=True))
    journal.ready(make_ready(resumed=True))
    assert journal.take(Error(code=ErrorCode.REPLAY_GAP, message="", utterance="b", seq=5))
    assert journal.pages["a"].state.input is InputState.CANCELLED
    assert journal.take(numbered(make_done, "b", 5, samples=20, reason="error"))
    assert journal.live == ("a",)
    assert journal.take(Error(code=ErrorCode.REPLAY_GAP, message="", utterance="a", seq=9))
    assert journal.take(numbered(make_done, "a", 9, samples=36, reason="error"))
    assert journal.live == ()


def test_an_old_refusal_does_not_answer_a_new_start() -> None:
    journal = Journal()
    refusal = Error(code=ErrorCode.UNKNOWN_VOICE, message="", utterance="u")
    journal.give(Start(utterance="u", voice="nobody"))
    journal.take(refusal)
    journal.give(Start(utterance="u"))
    assert journal.ready(make_ready(resumed=True, client_messages=1)) == (Start(utterance="u"),)
    assert journal.take(refusal) is False
    assert journal.live == ("u",)
    assert journal.take(refusal) is True
    assert journal.live == ()


def test_both_sides_number_alike() -> None:
    ledger, journal = ledger_spoken(), Journal()
    journal.give(Start(utterance="u"))
    for message in ledger.replay({"u": 0}).messages:
        assert journal.take(message)
    assert journal.pages["u"].pts == ledger.pages["u"].pts == 12
