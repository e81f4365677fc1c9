"""Who chooses a form, keeps it, and lets go of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.kernels.choices import PLAIN, TOLERANCES, Choices, difference

KEY = "doubled|3 float32"
PLACE = {"device": "a", "torch": "1", "triton": "1"}


class Clock:
    """Each form's time is what the form itself says."""

    def __init__(self) -> None:
        self.num_timed = 0

    def __call__(self, work: Callable[[], object]) -> float:
        self.num_timed += 1
        assert isinstance(work, Doubled)
        return work.time_us


class Doubled:
    """2 x, in so many microseconds, off by so much."""

    def __init__(self, time_us: float, *, off: float = 0.0) -> None:
        self.time_us = time_us
        self._off = off

    def __call__(self) -> Sequence[Tensor]:
        return [torch.tensor([2.0, 4.0, 6.0]) + self._off]


class Broken(Doubled):
    def __call__(self) -> Sequence[Tensor]:
        raise RuntimeError("out of resources: shared memory\nand a long trace")


def test_the_fastest_form_is_chosen() -> None:
    choices = Choices(Clock())
    assert choices.get(KEY) is None
    choices.measure(KEY, Doubled(9.0), {"16x16": Doubled(5.0), "32x32": Doubled(4.0)})
    assert choices.described() == {KEY: "fused 32x32; 4.0 us, plain 9.0 us"}


def test_the_plain_form_stays_where_it_is_faster() -> None:
    choices = Choices(Clock())
    choices.measure(KEY, Doubled(3.0), {"16x16": Doubled(5.0)})
    assert choices.described() == {KEY: "plain; 3.0 us, plain 3.0 us"}


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (Broken(1.0), "RuntimeError: out of resources: shared memory"),
        (Doubled(1.0, off=0.1), "differs from the plain form by"),
        (Doubled(1.0, off=float("nan")), "differs from the plain form by"),
    ],
)
def test_a_form_that_fails_is_left_out_and_named(form: Doubled, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    choices = Choices(clock)
    with caplog.at_level(logging.WARNING):
        choices.measure(KEY, Doubled(3.0), {"16x16": form})
    assert clock.num_timed == 1, "what fails is not timed"
    assert choices.described()[KEY].startswith("plain; ")
    assert f"16x16 failed: {reason}" in choices.described()[KEY]
    assert [record.getMessage() for record in caplog.records if reason in record.getMessage()] != []


def test_a_form_that_fails_in_use_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    choices = Choices(Clock())
    choices.measure(KEY, Doubled(9.0), {"16x16": Doubled(5.0)})
    with caplog.at_level(logging.WARNING):
        choices.give_up(KEY, RuntimeError("no kernel image"))
    choice = choices.get(KEY)
    assert choice is not None
    assert choice.form == PLAIN
    assert "16x16 failed: RuntimeError: no kernel image" in choices.described()[KEY]
    assert len(caplog.records) == 1


def test_choices_outlive_the_process_at_the_same_place(tmp_path: Path) -> None:
    choices, later = Choices(Clock()), Choices(Clock())
    choices.measure(KEY, Doubled(9.0), {"16x16": Doubled(5.0), "32x32": Broken(1.0)})
    choices.save(tmp_path / "kernels.json", PLACE)
    assert later.load(tmp_path / "kernels.json", PLACE)
    assert later.described() == choices.described()


def test_choices_of_another_place_are_ignored(tmp_path: Path) -> None:
    choices, later = Choices(Clock()), Choices(Clock())
    choices.measure(KEY, Doubled(9.0), {"16x16": Doubled(5.0)})
    choices.save(tmp_path / "kernels.json", PLACE)
    assert not later.load(tmp_path / "kernels.json", {**PLACE, "device": "b"})
    assert later.described() == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"place": PLACE, "choices": {KEY: {"shape": 1}}}), '{"place": 1'], ids=range(5)
)
def test_a_file_that_says_nothing_is_ignored(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    path.write_text(text)
    choices = Choices(Clock())
    assert not choices.load(path, PLACE)
    assert not choices.load(tmp_path / "none.json", PLACE)
    assert choices.described() == {}


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_difference_is_told_from_the_type_s_own_rounding(dtype: torch.dtype) -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    once = x.to(dtype)
    assert not difference([once], [(once * 1.5 / 1.5).to(dtype)])
    assert difference([once], [(once.float() + 3 * TOLERANCES[dtype]).to(dtype)])
    assert "was due" in difference([once], [once[:-1]])
    assert "was due" in difference([once], [once.double()])
    assert not difference([once[:0]], [once[:0]])
