"""Device, precision and threads, as asked or as suits the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from models.base import ModelError
from models.voxcpm import placement
from models.voxcpm.placement import num_cores, placed, precision

CPU = torch.device("cpu")


def test_auto_takes_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert placed("auto") == CPU


def test_a_gpu_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert placed("auto") == placed("cuda") == torch.device("cuda", 0)
    assert placed("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ModelError, match="this machine shows 2"):
        placed("cuda:2")


def test_auto_takes_the_checkpoints_precision_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "can_pack", lambda dtype: dtype == torch.bfloat16)
    assert precision("auto", "bfloat16", CPU) == torch.bfloat16
    monkeypatch.setattr(placement, "can_pack", lambda dtype: False)
    assert precision("auto", "bfloat16", CPU) == torch.float32
    assert precision("bfloat16", "float32", CPU) == torch.bfloat16, "what is asked for is done"


@pytest.mark.parametrize(
    ("quota", "most"), [("max 100000", 1 << 20), ("150000 100000", 2), ("50000 100000", 1), ("", 1 << 20)]
)
def test_a_containers_quota_bounds_the_cores(tmp_path: Path, quota: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert num_cores(tmp_path / "cpu.max") == min(most, len(os.sched_getaffinity(0)))


def test_without_a_quota_all_cores_are_used(tmp_path: Path) -> None:
    assert num_cores(tmp_path / "nothing") == len(os.sched_getaffinity(0))
