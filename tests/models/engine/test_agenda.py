from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine import PlaybackClock
from models.engine.agenda import Agenda
from models.engine.sequence import Sequence


def make_sequence(key: int, session: int = 0, lead: int | None = 1600) -> Sequence:
    return Sequence(key, session, key, 1, PlaybackClock(1000), lead)


def test_agenda_is_first_come_first_served_among_equals() -> None:
    agenda = Agenda()
    for key in range(5):
        agenda.push(1.0, make_sequence(key))
    keys = []
    while agenda.first_at() is not None:
        keys.append(agenda.pop().key)
    assert keys == [0, 1, 2, 3, 4]


def test_agenda_keeps_no_trace_of_streams_placed_anew() -> None:
    agenda = Agenda()
    sequences = [make_sequence(key) for key in range(100)]
    for number in range(20_000):
        sequence = sequences[number % 100]
        sequence.version += 1
        agenda.push(1e6 + number, sequence)
    assert len(agenda) <= 300


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.floats(0, 10)), max_size=300))
@settings(max_examples=100, deadline=None)
def test_agenda_yields_each_streams_last_place_in_order(places: list[tuple[int, float | None]]) -> None:
    """None: it is taken out."""
    agenda = Agenda()
    sequences = [make_sequence(key) for key in range(10)]
    last: dict[int, float] = {}
    for key, at in places:
        sequences[key].version += 1
        last.pop(key, None)
        if at is not None:
            agenda.push(at, sequences[key])
            last[key] = at
    found = []
    while (at := agenda.first_at()) is not None:
        found.append((at, agenda.pop().key))
    assert [at for at, _ in found] == sorted(last.values())
    assert {key: at for at, key in found} == last
    assert len(found) == len(last)
