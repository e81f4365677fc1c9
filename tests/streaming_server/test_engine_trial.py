"""How suspects are tried, simulated with a virtual clock: how often the engine dies, and how long it is silent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from streaming_server.engine_trial import NUM_DEATHS, Courtroom, group_size, next_group

Rule = Callable[[Sequence[int]], Sequence[int]]

COSTS = [(0.4, 0.04), (0.1, 0.1), (6.0, 0.15), (0.0, 0.02)]
"""Seconds of a restart and of a trial: the tone, a warm standby, a neural voice that is loaded again, a step that
raises."""


@dataclass(frozen=True)
class Search:
    num_deaths: int
    silent_s: float  # of the innocent who waits longest


def search(num_suspects: int, killer: int | None, rule: Rule, restart_s: float, trial_s: float) -> Search:
    """From the first death on; `killer` None: it was chance, and nobody kills."""
    waiting = dict.fromkeys(range(num_suspects), 1)  # -> deaths it may be blamed for
    now, num_deaths, freed_at = restart_s, 1, 0.0
    while waiting:
        suspects = list(waiting)
        group = [suspects[place] for place in rule(list(waiting.values()))]
        assert group
        now += trial_s
        if killer in group:
            assert killer is not None
            num_deaths += 1
            now += restart_s
            num_blamed = waiting[killer] + 1
            if len(waiting) > len(group):
                freed_at = now + trial_s
            if len(group) == 1 and num_blamed >= NUM_DEATHS:
                break
            waiting = dict.fromkeys(group, num_blamed)
        else:
            freed_at = now
            for suspect in group:
                del waiting[suspect]
    return Search(num_deaths, freed_at)


def ours(restart_s: float, trial_s: float) -> Rule:
    return lambda nums_blamed: next_group(nums_blamed, restart_s, trial_s)


def halves(nums_blamed: Sequence[int]) -> Sequence[int]:
    return range(len(nums_blamed) if 1 in nums_blamed else max(1, len(nums_blamed) // 2))


def one_by_one(nums_blamed: Sequence[int]) -> Sequence[int]:
    return range(len(nums_blamed) if 1 in nums_blamed else 1)


@pytest.mark.parametrize(("restart_s", "trial_s"), COSTS)
def test_a_killer_is_found_with_few_deaths_and_hardly_later_than_by_the_better_of_two_plain_ways(
    restart_s: float, trial_s: float
) -> None:
    for num_suspects in (*range(1, 33), *range(40, 113, 8)):
        outcomes = [
            [search(num_suspects, killer, rule, restart_s, trial_s) for killer in range(num_suspects)]
            for rule in (ours(restart_s, trial_s), halves, one_by_one)
        ]
        silent_s, *others = [mean(outcome.silent_s for outcome in each) for each in outcomes]
        assert silent_s <= 1.05 * min(others)
        assert max(outcome.num_deaths for outcome in outcomes[0]) <= NUM_DEATHS + math.log2(num_suspects)


@pytest.mark.parametrize("num_suspects", range(1, 113))
def test_after_a_death_by_chance_all_speak_again_after_one_trial(num_suspects: int) -> None:
    assert search(num_suspects, None, ours(0.4, 0.04), 0.4, 0.04) == Search(1, pytest.approx(0.44))


def test_the_dearer_a_death_the_smaller_the_group() -> None:
    assert group_size(112, 0.0, 0.1) == 56
    sizes = [group_size(112, restart_s, 0.1) for restart_s in (0.1, 1.0, 10.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (43, 1)
    assert group_size(1, 0.4, 0.04) == 1


def test_the_courtroom_has_room_for_one_web_process(tmp_path: Path) -> None:
    first, second = Courtroom(tmp_path / "trial"), Courtroom(tmp_path / "trial")
    assert first.enter()
    assert first.enter()
    assert not second.enter()
    first.leave()
    assert second.enter()
    second.leave()


def test_no_court_is_held_where_no_file_can_be_opened(tmp_path: Path) -> None:
    court = Courtroom(tmp_path / "later" / "trial")
    assert not court.enter()
    (tmp_path / "later").mkdir()
    assert court.enter()
    court.leave()
