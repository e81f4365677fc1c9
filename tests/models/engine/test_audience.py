"""Who counts as a listener, and who is let in."""

from __future__ import annotations

import pytest

from models.engine import CROWDED, FULL, SLOW, Audience, Busy, Ear, Prospects

LISTENS, WAITS, ABSENT = Ear.LISTENS, Ear.WAITS, Ear.ABSENT


def prospects(
    *,
    is_slow: bool = False,
    capacity: float = 9,
    first_audio_s: float = 0.01,
    alone_s: float = 0.01,
    vacancy_s: float = 1.0,
) -> Prospects:
    return Prospects(0.1, is_slow, capacity, first_audio_s, alone_s, vacancy_s)


def audience(**sessions: list[Ear]) -> Audience:
    made = Audience()
    for session, ears in sessions.items():
        for ear in ears:
            made.join(session, ear)
    return made


def test_an_ear_is_known_by_how_its_stream_is_opened() -> None:
    assert [Ear.of(*opened) for opened in ((0, False), (9, True), (None, False), (None, True))] == [
        LISTENS,
        WAITS,
        ABSENT,
        ABSENT,
    ]


@pytest.mark.parametrize(
    ("ears", "num_listeners"),
    [([LISTENS], 1), ([LISTENS, LISTENS], 2), ([LISTENS, WAITS, WAITS], 1), ([WAITS, WAITS], 1), ([ABSENT], 0)],
)
def test_those_who_wait_for_another_are_one_listener_together(ears: list[Ear], num_listeners: int) -> None:
    made = audience(a=ears, b=[LISTENS])
    assert made.num_listeners == num_listeners + 1
    assert made.num_sessions == 2
    for ear in ears:
        made.leave("a", ear)
    assert (made.num_listeners, made.num_sessions) == (1, 1)


@pytest.mark.parametrize(
    ("session", "ear", "frees_others", "refusal"),
    [
        ("new", LISTENS, False, FULL),
        ("new", WAITS, False, FULL),
        ("new", ABSENT, False, None),
        ("a", LISTENS, False, FULL),
        ("a", WAITS, False, None),
        ("a", LISTENS, True, None),
        ("idle", LISTENS, False, FULL),
        ("idle", LISTENS, True, FULL),
    ],
)
def test_a_full_machine_takes_what_is_no_listener_more(
    session: str, ear: Ear, frees_others: bool, refusal: str | None
) -> None:
    made = audience(a=[LISTENS], b=[LISTENS], idle=[ABSENT])
    busy = made.refusal(session, ear, prospects(capacity=2), frees_others=frees_others)
    assert (None if busy is None else busy.message.partition(";")[0]) == refusal
    assert made.refusal(session, ear, prospects(capacity=3), frees_others=frees_others) is None


def test_a_slow_machine_takes_one_session_whatever_it_asks_for() -> None:
    made = audience(a=[LISTENS])
    for ear in Ear:
        assert made.refusal("a", ear, prospects(is_slow=True, capacity=1)) is None
        busy = made.refusal("b", ear, prospects(is_slow=True, vacancy_s=4.0, alone_s=0.5))
        assert busy == Busy(f"{SLOW}; first audio is expected in about 4.5 s", 4000)


@pytest.mark.parametrize(
    ("num_listeners", "vacancy_s", "retry_after_ms", "expected"),
    [(10, 0.5, 500, "0.5 s"), (12, 0.5, 1500, "1.5 s"), (10, 0.001, 250, "0.0 s"), (40, 2.0, 30_000, "62 s")],
)
def test_who_finds_it_full_is_told_when_enough_listeners_will_be_over(
    num_listeners: int, vacancy_s: float, retry_after_ms: int, expected: str
) -> None:
    made = audience(a=[LISTENS] * num_listeners)
    busy = made.refusal("new", LISTENS, prospects(capacity=10, vacancy_s=vacancy_s))
    assert busy == Busy(f"{FULL}; first audio is expected in about {expected}", retry_after_ms)


def test_who_would_wait_long_for_the_first_words_is_refused_though_there_is_room() -> None:
    made = audience(a=[LISTENS])
    assert made.refusal("new", LISTENS, prospects(first_audio_s=0.99)) is None
    busy = made.refusal("new", LISTENS, prospects(first_audio_s=1.6))
    assert busy == Busy(f"{CROWDED}; first audio is expected in about 1.6 s", 600)
    assert made.refusal("new", ABSENT, prospects(first_audio_s=1.6)) is None


def test_a_machine_that_needs_as_long_for_one_alone_refuses_nobody_for_that() -> None:
    made = audience(a=[LISTENS])
    assert made.refusal("new", LISTENS, prospects(first_audio_s=3.0, alone_s=1.5)) is None
    assert made.refusal("new", LISTENS, prospects(first_audio_s=3.1, alone_s=1.5)) is not None
