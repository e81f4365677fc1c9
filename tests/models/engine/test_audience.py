"""Who counts as a listener, and who is let in."""

from __future__ import annotations

import pytest

from models.engine import FULL, SLOW, Audience, Ear

LISTENS, WAITS, ABSENT = Ear.LISTENS, Ear.WAITS, Ear.ABSENT


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
    assert made.refusal(session, ear, is_slow=False, capacity=2, frees_others=frees_others) == refusal
    assert made.refusal(session, ear, is_slow=False, capacity=3, frees_others=frees_others) is None


def test_a_slow_machine_takes_one_session_whatever_it_asks_for() -> None:
    made = audience(a=[LISTENS])
    for ear in Ear:
        assert made.refusal("a", ear, is_slow=True, capacity=1) is None
        assert made.refusal("b", ear, is_slow=True, capacity=9) == SLOW
