"""The map that remembers the latest few keys."""

from __future__ import annotations

from protocol.recent import Recent


def test_the_oldest_goes_first_and_is_handed_back() -> None:
    recent: Recent[int] = Recent(2)
    assert recent.keep("a", 1) is None
    assert recent.keep("b", 2) is None
    assert recent.keep("c", 3) == 1
    assert "a" not in recent
    assert recent.get("b") == 2
    assert list(recent.values()) == [2, 3]


def test_what_is_kept_again_is_young_again() -> None:
    recent: Recent[int] = Recent(2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    recent.keep("a", 4)
    assert recent.keep("c", 3) == 2
    assert recent.get("a") == 4


def test_what_is_forgotten_makes_room() -> None:
    recent: Recent[int] = Recent(1)
    recent.keep("a", 1)
    recent.forget("a")
    recent.forget("never there")
    assert recent.keep("b", 2) is None
    assert recent.get("a") is None
