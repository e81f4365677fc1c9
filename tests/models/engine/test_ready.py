from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.ready import Background, Live
from models.engine.sequence import Sequence

from .test_agenda import make_sequence


def fill(live: Live, streams: Iterable[tuple[int, int, float]]) -> dict[int, Sequence]:
    """(key, session, deadline) of each."""
    sequences = {}
    for key, session, deadline in streams:
        sequences[key] = make_sequence(key, session)
        live.join(sequences[key])
        live.push(deadline, sequences[key])
    return sequences


def keys(rows: list[Sequence]) -> list[object]:
    return [row.key for row in rows]


def test_earliest_deadline_goes_first_whatever_its_session() -> None:
    live = Live()
    fill(live, [(1, 1, 5.0), (2, 1, 3.0), (3, 2, 4.0), (4, 1, 3.5)])
    assert keys(live.take(3, pressed_by=0.0)) == [2, 4, 3]
    assert keys(live.take(3, pressed_by=0.0)) == [1]
    assert not live


def test_pressed_sessions_get_one_row_each_before_any_gets_a_second() -> None:
    live = Live()
    fill(live, [*((key, 1, key / 1000) for key in range(100)), (200, 2, 0.5), (300, 3, 0.6), (301, 3, 0.7)])
    assert keys(live.take(6, pressed_by=1.0)) == [0, 200, 300, 1, 301, 2]
    assert keys(live.take(2, pressed_by=1.0)) == [3, 4]


def test_comfortable_streams_wait_for_all_that_are_pressed() -> None:
    live = Live()
    fill(live, [(1, 1, 0.1), (2, 1, 0.2), (3, 1, 0.3), (4, 2, 5.0), (5, 3, 6.0)])
    assert keys(live.take(4, pressed_by=1.0)) == [1, 2, 3, 4]


def test_stream_placed_anew_counts_once() -> None:
    live = Live()
    sequences = fill(live, [(1, 1, 5.0), (2, 2, 4.0)])
    sequences[1].version += 1
    live.push(3.0, sequences[1])
    sequences[1].version += 1
    live.push(4.5, sequences[1])
    assert keys(live.take(9, pressed_by=0.0)) == [2, 1]
    assert not live


def test_stream_that_left_is_gone() -> None:
    live = Live()
    sequences = fill(live, [(1, 1, 1.0), (2, 2, 2.0)])
    sequences[1].version += 1
    live.leave(sequences[1])
    assert keys(live.take(9, pressed_by=9.0)) == [2]


STREAMS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=40, unique_by=lambda stream: stream[1]
)


@given(streams=STREAMS, max_rows=st.integers(1, 12), pressed_by=st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_live_takes_as_the_rule_says(streams: list[tuple[int, int]], max_rows: int, pressed_by: int) -> None:
    """The rule, written out. A stream is (session, deadline), and deadlines name streams."""
    live = Live()
    fill(live, [(deadline, session, deadline) for session, deadline in streams])
    left = sorted(streams, key=lambda stream: stream[1])
    while left:
        expected: list[int] = []
        served: set[int] = set()
        while left and len(expected) < max_rows:
            pressed = [stream for stream in left if stream[1] <= pressed_by]
            turn = [stream for stream in pressed if stream[0] not in served]
            if pressed and not turn:
                served.clear()
                continue
            stream = (turn or left)[0]
            served.add(stream[0])
            left.remove(stream)
            expected.append(stream[1])
        assert keys(live.take(max_rows, pressed_by)) == expected
    assert not live


def test_background_sessions_take_turns_and_their_streams_do() -> None:
    background = Background()
    first = [make_sequence(key, session=1, lead=None) for key in range(3)]
    second = [make_sequence(10, session=2, lead=None)]
    for sequence in first + second:
        background.push(sequence)
    seen = []
    for _ in range(4):
        rows = background.take(2)
        seen += keys(rows)
        for row in rows:
            background.push(row)
    assert seen == [0, 10, 1, 10, 2, 10, 0, 10]


def test_background_stream_that_was_discarded_is_gone() -> None:
    background = Background()
    sequences = [make_sequence(key, session=key // 2, lead=None) for key in range(4)]
    for sequence in sequences:
        background.push(sequence)
        background.push(sequence)
    for number in (0, 2, 3, 3):
        background.discard(sequences[number])
    assert keys(background.take(9)) == [1]
    assert not background
