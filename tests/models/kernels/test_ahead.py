"""What is to be compiled ahead: each program of the compiler once, whatever it is called with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from models.kernels import Kernels
from models.kernels.fused import forms
from models.kernels.fused.ahead import Plan


def shaped(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.bfloat16, device="meta")


def planned(*num_rows: int) -> Plan:
    plan = Plan()
    norm, weight = shaped(1024), shaped(1280, 1024)
    for rows in num_rows:
        for form in forms.norm_linear(shaped(rows, 1024), norm, 1e-5, weight, start=plan.add).values():
            form(shaped(rows, 1024), norm, 1e-5, weight)
    return plan


def test_numbers_of_rows_that_share_a_tile_share_a_program() -> None:
    few, more = planned(18), planned(18, 20, 31)
    assert len(few.launches) > 2
    assert len(more.launches) == len(few.launches)
    assert len(planned(18, 2016).launches) > len(few.launches)


def test_nothing_that_is_planned_holds_memory() -> None:
    for launch in planned(18).launches:
        tensors = [each for each in launch.arguments.values() if isinstance(each, Tensor)]
        assert tensors
        assert all(each.device.type == "meta" and each.numel() == 1 for each in tensors)


def test_planning_computes_in_the_plain_form_and_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    monkeypatch.setattr(Plan, "compile", lambda plan, device: compiled.append(len(plan.launches)))
    kernels = Kernels(torch.device("cpu"))
    kernels._fused = forms
    x, weight = torch.ones(2, 32), torch.ones(32)
    with kernels.planning():
        for _ in range(2):
            assert kernels.rms_norm(x, weight, 0.0).tolist() == x.tolist()
    assert compiled == [1]
    assert kernels.choices() == {}
