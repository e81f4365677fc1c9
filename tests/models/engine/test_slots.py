from __future__ import annotations

from models.engine.slots import Slots


def test_slots_are_handed_out_until_none_is_left() -> None:
    slots = Slots(3)
    assert [slots.take() for _ in range(4)] == [(0, 1), (1, 1), (2, 1), None]
    assert len(slots) == 3
    assert slots.num_free == 0


def test_slot_that_rested_longest_comes_first_under_a_new_generation() -> None:
    slots = Slots(3)
    for _ in range(3):
        slots.take()
    slots.give_back(1)
    slots.give_back(0)
    assert [slots.take(), slots.take(), slots.take()] == [(1, 2), (0, 2), None]
    assert len(slots) == 3
