from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from models.words.letter_sounds import GAP, NUM_KINDS, PAUSE, spell
from models.words.sound_score import Costs, Outline, Score
from models.words.time_warp import IMPOSSIBLE, TimeWarps

TEXT = "Ships pass, and nobody knows."


def heard(kinds: NDArray[np.int64]) -> Costs:
    """Speech that is nothing but these sounds."""
    costs = np.full((len(kinds), NUM_KINDS), 5, np.float32)
    costs[np.arange(len(kinds)), kinds] = 0
    costs[kinds >= PAUSE, PAUSE:] = 0
    return costs


def way(score: Score, kinds: NDArray[np.int64], patch: int = 16) -> NDArray[np.int64]:
    return ways([score], kinds, patch)[0]


def ways(scores: Sequence[Score], kinds: NDArray[np.int64], patch: int = 16) -> list[NDArray[np.int64]]:
    """Through each of them, followed together."""
    warps = TimeWarps(scores, [0.0] * len(scores))
    costs = heard(kinds)
    for start in range(0, len(costs), patch):
        warps.advance(costs[start : start + patch])
    paths = []
    for which in range(len(scores)):
        cost, place = warps.end(which)
        assert cost < IMPOSSIBLE
        paths.append(warps.path(which, place, len(kinds)))
    return paths


@pytest.fixture
def score() -> Score:
    return Score(Outline(spell(TEXT)))


def test_speech_that_is_the_score_is_followed_frame_by_frame(score: Score) -> None:
    np.testing.assert_array_equal(way(score, score.kinds)[:-1], np.arange(len(score) - 1))  # silence, or the last sound


def test_patches_make_no_difference(score: Score) -> None:
    slow = np.repeat(score.kinds, 2)
    np.testing.assert_array_equal(way(score, slow, patch=1), way(score, slow, patch=500))


def test_slow_speech_stays_and_fast_speech_leaves_out(score: Score) -> None:
    slow, fast = way(score, np.repeat(score.kinds, 2)), way(score, score.kinds[::2])
    for number, first in enumerate(score.first):
        assert np.searchsorted(slow, first) == pytest.approx(2 * first, abs=2), number
        assert np.searchsorted(fast, first) == pytest.approx(first / 2, abs=2), number
    assert set(np.diff(slow)) | set(np.diff(fast)) <= {0, 1, 2}


def test_pause_may_last_and_a_gap_may_be_missing(score: Score) -> None:
    comma = int(score.last[1]) + 1
    kinds = score.kinds[score.kinds != GAP]
    after = int(np.count_nonzero(score.kinds[:comma] != GAP))
    kinds = np.concatenate((kinds[:after], np.full(300, PAUSE), kinds[after:]))
    path = way(score, kinds)
    assert np.searchsorted(path, score.last[1]) < after
    assert np.searchsorted(path, score.first[2]) == pytest.approx(after + 306, abs=2)


def test_speech_too_short_for_the_score_does_not_end_it(score: Score) -> None:
    warps = TimeWarps([score], [0.0])
    warps.advance(heard(score.kinds[: len(score) // 3]))
    assert warps.end(0)[0] > IMPOSSIBLE
    assert warps.place(0) == pytest.approx(len(score) // 3 - 1, abs=1)


def test_scores_followed_together_do_not_hear_each_other(score: Score) -> None:
    """Short and long ones, whose windows move at different times."""
    outlines = [Outline(spell(text)) for text in (TEXT, f"{TEXT} " * 20)]
    scores = [Score(outline, pace) for outline in outlines for pace in (0.8, 1.2)]
    kinds = np.tile(score.kinds, 20)
    for each, alone in zip(ways(scores, kinds), scores, strict=True):
        np.testing.assert_array_equal(each, way(alone, kinds))


def test_likeliest_score_is_found_and_followed_alone() -> None:
    outline = Outline(spell(f"{TEXT} " * 20))
    scores = [Score(outline, pace) for pace in (0.6, 1.0, 1.6)]
    costs = heard(np.repeat(scores[2].kinds, 2))
    warps = TimeWarps(scores, [0.0, 0.0, 0.0])
    warps.advance(costs[:900])
    assert warps.likeliest == 2
    before = warps.path(2, warps.place(2), 900)
    warps.keep(2)
    assert warps.num_scores == 1
    np.testing.assert_array_equal(warps.path(0, warps.place(0), 900), before)
    warps.advance(costs[900:])
    assert warps.end(warps.likeliest_at_end)[0] < IMPOSSIBLE


@pytest.mark.parametrize("patch", [16, 5_000])
def test_long_score_is_followed_through_its_window(patch: int) -> None:
    score = Score(Outline(spell(f"{TEXT} " * 20)))
    assert len(score) > 3_000
    np.testing.assert_array_equal(way(score, score.kinds, patch)[:-1], np.arange(len(score) - 1))


@pytest.mark.parametrize("pace", [0.05, 0.3, 1.0, 4.0])
def test_every_word_has_its_frames_at_any_pace(pace: float) -> None:
    words = spell(TEXT)
    score = Score(Outline(words), pace)
    assert (score.first <= score.last).all()
    assert (score.last[:-1] < score.first[1:]).all()
    assert len(score.first) == len(words)
