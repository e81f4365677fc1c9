"""What is held for a resume, for how long, and what goes first when it is too much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from protocol.errors import ErrorCode
from protocol.held import OVERHEAD_BYTES
from protocol.ledger import Ledger
from protocol.messages import (
    Audio,
    Cancel,
    Error,
    FormatChanged,
    Limits,
    Playhead,
    Segment,
    Spoken,
    Start,
    Words,
    WordTiming,
)
from tests.protocol.pair import PCM, make_audio, make_done, make_started
from tests.protocol.test_ledger import PATCH_BYTES, kinds, opened, spoken


def heard(text: str = "", *, pts: int = 0, remaining: str = "") -> Spoken:
    return Spoken(text_end=len(text), pts=pts, mid_word=False, estimated=False, text=text, remaining=remaining)


def test_a_message_is_held_without_a_copy_of_its_sound() -> None:
    ledger = opened()
    audio = Audio(utterance="u", pts=0, samples=4, data=bytes(8))
    ledger.give(audio)
    (held,) = [message for message in ledger.replay({"u": 0}).messages if isinstance(message, Audio)]
    assert held.data is audio.data


@pytest.mark.parametrize(
    ("received", "left"),
    [
        (0, [("Started", 0), ("Segment", 0), ("Audio", 0), ("Audio", 1), ("Audio", 2), ("Done", 3)]),
        (1, [("Audio", 1), ("Audio", 2), ("Done", 3)]),
        (3, [("Done", 3)]),
        (4, []),
        (99, []),
    ],
)
def test_received_passes_all_with_a_lower_seq(received: int, left: list[tuple[str, int]]) -> None:
    ledger = spoken()
    ledger.give(make_done(samples=12))
    ledger.take(Playhead(utterance="u", received=received))
    assert kinds(ledger.replay({"u": received}).messages) == left


@pytest.mark.parametrize(
    ("played", "left"),
    [
        (0, [("Started", 0), ("Segment", 0), ("Audio", 0), ("Audio", 1), ("Audio", 2), ("Done", 3)]),
        (3, [("Started", 0), ("Segment", 0), ("Audio", 0), ("Audio", 1), ("Audio", 2), ("Done", 3)]),
        (4, [("Audio", 1), ("Audio", 2), ("Done", 3)]),
        (11, [("Audio", 2), ("Done", 3)]),
        (12, [("Done", 3)]),
        (99, [("Done", 3)]),
    ],
)
def test_played_passes_the_audio_before_it_but_never_done(played: int, left: list[tuple[str, int]]) -> None:
    ledger = spoken()
    ledger.give(make_done(samples=12))
    ledger.take(Playhead(utterance="u", played=played))
    assert kinds(ledger.replay({"u": ledger_gone(left)}).messages) == left


def ledger_gone(left: list[tuple[str, int]]) -> int:
    return left[0][1]


def test_a_playhead_that_only_pauses_passes_nothing() -> None:
    ledger = spoken()
    before = ledger.held_bytes
    ledger.take(Playhead(utterance="u", paused=True))
    assert ledger.held_bytes == before


def test_held_bytes_weigh_sound_and_text() -> None:
    ledger = Ledger()
    ledger.take(Start(utterance="u"))
    steps: list[tuple[Any, int]] = [
        (make_started(), 0),
        (Segment(utterance="u", index=0, text_start=0, text_end=1, spoken="abc", pts=0), 12),
        (Words(utterance="u", words=(WordTiming(0, 1, 0, 1),)), OVERHEAD_BYTES),
        (Audio(utterance="u", pts=0, samples=1, data=b"12345"), 5),
        (Audio(utterance="u", pts=1, samples=1, packets=(b"12", b"345678")), 8),
    ]
    for message, beside in steps:
        before = ledger.held_bytes
        ledger.give(message)
        assert ledger.held_bytes - before == OVERHEAD_BYTES + beside
    ledger.give(make_done(samples=2, reason="cancelled", spoken=heard("a", remaining="bc")))
    assert ledger.held_bytes == 2 * OVERHEAD_BYTES + 12  # `started` and `done`; see below


def test_a_client_with_playheads_makes_the_server_pause_at_the_bound() -> None:
    ledger = opened(limits=Limits(replay_bytes=2 * OVERHEAD_BYTES + 8 + 2 * PATCH_BYTES))
    ledger.take(Playhead(utterance="u", received=0))
    ledger.give(make_audio(pts=0))
    assert not ledger.full
    ledger.give(make_audio(pts=4))
    assert ledger.full
    ledger.give(make_audio(pts=8))
    assert len(ledger.replay({"u": 0}).messages) == 5
    ledger.take(Playhead(utterance="u", played=4))
    assert not ledger.full


def test_without_playheads_the_oldest_go() -> None:
    limits = Limits(replay_bytes=4 * PATCH_BYTES)
    ledger = spoken("a", patches=2, limits=limits)
    spoken("b", patches=1, ledger=ledger)
    ledger.give(make_audio("a", pts=8))
    assert not ledger.full
    assert ledger.held_bytes <= limits.replay_bytes
    replay = ledger.replay({"a": 2, "b": 0})
    assert kinds(replay.messages) == [("Started", 0), ("Segment", 0), ("Audio", 0), ("Audio", 2)]


def test_of_a_stopped_utterance_only_its_beginning_its_errors_and_its_end_are_held() -> None:
    ledger = spoken()
    ledger.give(Error(code=ErrorCode.TEXT_LIMIT, message="", utterance="u"))
    ledger.give(FormatChanged(utterance="u", audio=PCM))
    ledger.give(make_audio(pts=12))
    ledger.give(make_done(samples=16, reason="cancelled", spoken=heard(pts=5)))
    assert ledger.held_bytes == 3 * OVERHEAD_BYTES
    assert kinds(ledger.replay({"u": 0}).messages) == [("Started", 0), ("Error", 3), ("Done", 4)]
    replay = ledger.replay({"u": 2})
    assert kinds(replay.messages) == [("Error", 3), ("Done", 4)]
    assert replay.gaps == ()


@pytest.mark.parametrize("reason", ["end", "error"])
def test_what_is_heard_to_its_end_is_held_whole(reason: str) -> None:
    ledger = spoken()
    ledger.give(make_done(samples=12, reason=reason))
    assert len(ledger.replay({"u": 0}).messages) == 6


def test_barge_in_after_barge_in_never_fills_the_log_of_a_client_that_only_tells_what_it_played() -> None:
    limits = Limits(replay_bytes=16 * PATCH_BYTES)
    ledger = Ledger(limits)
    for index in range(200):
        name = f"u{index}"
        spoken(name, patches=10, ledger=ledger)
        ledger.take(Playhead(utterance=name, played=2))
        ledger.take(Cancel(utterance=name, played=2))
        ledger.give(make_done(name, samples=40, reason="cancelled", spoken=heard(pts=2)))
        assert not ledger.full
        assert ledger.held_bytes <= limits.replay_bytes
    assert ledger.replay({"u0": 1}).gaps == ("u0",)


def test_at_the_bound_the_finished_go_before_anybody_has_to_wait() -> None:
    limits = Limits(replay_bytes=10 * PATCH_BYTES)
    ledger = opened("live", limits=limits)
    for name in ("a", "b"):
        spoken(name, patches=1, ledger=ledger).give(make_done(name, samples=4))
    ledger.take(Playhead(utterance="live", received=0))
    for index in range(4):
        ledger.give(make_audio("live", pts=4 * index))
    assert not ledger.full
    replay = ledger.replay({"live": 0, "a": 1, "b": 0})
    assert replay.gaps == ("a",)
    assert kinds(replay.messages[2:])[:4] == [("Started", 0), ("Segment", 0), ("Started", 0), ("Segment", 0)]
    for index in range(4, 9):
        ledger.give(make_audio("live", pts=4 * index))
    assert ledger.full
    replay = ledger.replay({"live": 0, "b": 1})
    assert replay.gaps == ("b",)
    assert len(replay.messages) == 2 + 11


def test_an_utterance_at_the_bound_that_finishes_holds_nobody_up() -> None:
    ledger = opened(limits=Limits(replay_bytes=4 * PATCH_BYTES))
    ledger.take(Playhead(utterance="u", received=0))
    for index in range(4):
        ledger.give(make_audio(pts=4 * index))
    assert ledger.full
    ledger.give(make_done(samples=16))
    assert not ledger.full
    assert ledger.held_bytes <= ledger.limits.replay_bytes


@pytest.mark.parametrize("by", ["cancel", "cancel all", "a start that preempts"])
def test_what_is_cancelled_at_the_bound_holds_nobody_up(by: str) -> None:
    ledger = opened(limits=Limits(replay_bytes=4 * PATCH_BYTES))
    ledger.take(Playhead(utterance="u", received=0))
    for index in range(4):
        ledger.give(make_audio(pts=4 * index))
    assert ledger.full
    messages = {"cancel": Cancel(utterance="u"), "cancel all": Cancel(utterance="*")}
    ledger.take(messages.get(by, Start(utterance="next", preempt=True)))
    assert not ledger.full


def test_where_nothing_can_be_resumed_nothing_is_held() -> None:
    ledger = Ledger(Limits(resume_ms=0, replay_bytes=PATCH_BYTES))
    ledger.count(Start)
    spoken(ledger=ledger, patches=5)
    ledger.take(Playhead(utterance="u", received=0))
    given = ledger.give(make_audio(pts=20))
    assert given.seq == 5
    assert (ledger.held_bytes, ledger.full, ledger.client_messages) == (0, False, 1)
    assert ledger.give(make_done(samples=24)).seq == 6
    assert ledger.replay({"u": 3}).gaps == ("u",)
    assert ledger.held_bytes == 0


def test_letting_go_costs_the_same_however_many_have_finished() -> None:
    """What is at the bound already is counted in steps, not in seconds: each message lets go of about one."""
    limits = Limits(replay_bytes=1000 * PATCH_BYTES, ids=100_000)
    num_calls = []
    for num_finished in (10, 10_000):
        ledger = Ledger(limits)
        for index in range(num_finished):
            opened(f"f{index}", ledger=ledger).give(make_done(f"f{index}"))
        opened("u", ledger=ledger)
        pts = 0
        while ledger.held_bytes < limits.replay_bytes - PATCH_BYTES:
            ledger.give(make_audio(pts=pts))
            pts += 4
        num_calls.append(calls_of(lambda ledger=ledger, pts=pts: ledger.give(make_audio(pts=pts))))
    assert num_calls[1] <= num_calls[0] + 20


def calls_of(act: Callable[[], object]) -> int:
    """How many Python functions and generator steps it takes."""
    num_calls = 0

    def count(*_: object) -> None:
        nonlocal num_calls
        num_calls += 1

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return num_calls


def test_a_message_larger_than_the_bound_is_not_held() -> None:
    ledger = Ledger(Limits(replay_bytes=10))
    ledger.take(Start(utterance="u"))
    ledger.give(make_started())
    assert ledger.held_bytes == 0
    assert ledger.replay({"u": 0}).gaps == ("u",)
