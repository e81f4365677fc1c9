"""The waits between the tries to connect."""

from __future__ import annotations

from random import Random

import pytest

from protocol.reconnect import FIRST_WAIT_S, MAX_WAIT_S, Backoff


class Highest(Random):
    """Always the top of the range."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_first_try_is_made_at_once_and_the_waits_double_up_to_a_bound() -> None:
    waits = [Backoff(Highest()).wait_s(tried) for tried in range(9)]
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_WAIT_S, MAX_WAIT_S]
    assert Backoff(Highest()).wait_s(10**9) == MAX_WAIT_S


def test_the_jitter_is_full() -> None:
    backoff = Backoff(Random(1))
    waits = [backoff.wait_s(7) for _ in range(1000)]
    assert min(waits) < 0.1
    assert max(waits) > MAX_WAIT_S - 0.1
    assert sum(waits) / 1000 == pytest.approx(MAX_WAIT_S / 2, rel=0.05)


def test_the_servers_wish_is_kept_but_not_by_all_at_the_same_moment() -> None:
    assert Backoff(Highest()).wait_s(0, retry_after_ms=3000) == 3.0 + FIRST_WAIT_S
    backoff = Backoff(Random(1))
    waits = [backoff.wait_s(4, retry_after_ms=3000) for _ in range(100)]
    assert 3.0 <= min(waits) < max(waits) <= 3.8
