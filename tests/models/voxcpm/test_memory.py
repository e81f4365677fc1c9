"""How many slots fit a device's memory."""

from __future__ import annotations

import pytest
import torch

from models.base import ModelError
from models.voxcpm.machinery import prefill_sizes, step_sizes
from models.voxcpm.memory import GIB, MAX_SLOTS, budget_bytes, most_slots, num_slots_within

H200 = 139 * GIB


@pytest.mark.parametrize(
    ("asked", "gib"), [(4.0, 4.0), (0.5, 69.5), (1.0, 139.0), (20.5, 20.5), (0.0, 139 - 0.04 * 139)]
)
def test_memory_is_asked_for_in_gib_or_as_a_share(asked: float, gib: float) -> None:
    assert budget_bytes(asked, H200, H200) / GIB == pytest.approx(gib)


def test_memory_that_others_hold_cannot_be_had() -> None:
    with pytest.raises(ModelError, match=r"69\.5 GiB of free device memory were expected, .* 60\.0 are free"):
        budget_bytes(0.5, H200, 60 * GIB)
    with pytest.raises(ModelError, match="expected for its memory, but -1 came"):
        budget_bytes(-1, H200, H200)


def test_eight_utterances_of_a_minute_fit_four_gib() -> None:
    """The 1.5 shape: 1.5 GiB of weights in bfloat16, 33 MiB a slot, half a GiB of work space for eight rows."""
    assert num_slots_within(4 * GIB, taken=int(1.5 * GIB), work=GIB // 2, slot=33 << 20, asked=0) >= 8


def test_what_is_asked_for_is_given_or_refused_never_cut() -> None:
    assert num_slots_within(8 * GIB, taken=GIB, work=0, slot=GIB // 10, asked=12) == 12
    with pytest.raises(ModelError, match=r"of 11\.5 GiB was expected for 100 utterances at once, but 8\.0"):
        num_slots_within(8 * GIB, taken=GIB, work=0, slot=GIB // 10, asked=100)
    assert num_slots_within(H200, taken=GIB, work=0, slot=1 << 20, asked=0) == MAX_SLOTS


def test_a_device_without_room_for_one_says_what_it_would_take() -> None:
    with pytest.raises(ModelError, match=r"3\.5 GiB was expected for 1 utterances at once, but 2\.0"):
        num_slots_within(2 * GIB, taken=2 * GIB, work=0, slot=GIB, asked=0)


@pytest.mark.parametrize(("gib", "slots"), [(60, 415), (24, 56), (12, 28), (6, 6), (4.8, 1)])
def test_a_small_device_makes_smaller_steps_rather_than_none(gib: float, slots: int) -> None:
    """A tenth of a GiB for each row of a step, and for each slot; the largest steps do not even run on most."""

    def work(rows: int) -> int:
        if rows * GIB // 10 > gib * GIB / 2:
            raise torch.OutOfMemoryError
        return rows * GIB // 10

    found = most_slots(
        int(gib * GIB), taken=4 * GIB, work=work, slot=GIB // 10, sizes=(1, 2, 4, 7, 14, 28, 56, 112), asked=0
    )
    assert found == slots
    steps = step_sizes(found, on_gpu=True, deterministic=False)
    assert 4 * GIB + work(steps[-1]) + found * GIB // 10 <= gib * GIB


def test_what_is_asked_for_has_steps_of_its_size_or_is_refused() -> None:
    sizes = step_sizes(20, on_gpu=True, deterministic=False)
    assert most_slots(9 * GIB, taken=GIB, work=lambda rows: rows << 26, slot=GIB // 10, sizes=sizes, asked=20) == 20
    with pytest.raises(ModelError, match="for 20 utterances at once"):
        most_slots(5 * GIB, taken=GIB, work=lambda rows: rows << 26, slot=GIB // 10, sizes=sizes, asked=20)


@pytest.mark.parametrize(("slots", "sizes"), [(1, (1,)), (3, (1, 2, 4)), (40, (1, 2, 4, 7, 14, 28, 56))])
def test_steps_are_made_for_no_more_rows_than_there_are_slots(slots: int, sizes: tuple[int, ...]) -> None:
    assert step_sizes(slots, on_gpu=True, deterministic=False) == sizes
    assert step_sizes(1000, on_gpu=True, deterministic=False)[-1] == 112
    assert step_sizes(slots, on_gpu=False, deterministic=False) == ()
    assert step_sizes(slots, on_gpu=True, deterministic=True) == (min(slots, 28),)


@pytest.mark.parametrize("on_gpu", [True, False])
@pytest.mark.parametrize("num_positions", [20, 512, 2048])
def test_the_longest_context_can_be_read(num_positions: int, on_gpu: bool) -> None:
    assert prefill_sizes(num_positions, on_gpu=on_gpu)[-1] >= num_positions
