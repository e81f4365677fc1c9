"""What layers get on a CPU: the plain forms, whatever is asked for around them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.kernels import Kernels, plain

NEVER = "a CPU measures nothing"


def never(_: object) -> float:
    raise AssertionError(NEVER)


@pytest.fixture
def kernels() -> Kernels:
    torch.manual_seed(0)
    return Kernels(torch.device("cpu"), timer=never)


def test_each_operation_is_its_plain_form(kernels: Kernels) -> None:
    x, norm, weight, bias = torch.randn(2, 5, 32), torch.randn(32), torch.randn(48, 32), torch.randn(48)
    residual = torch.randn(2, 5, 48)
    with kernels.measuring():
        assert torch.equal(kernels.rms_norm(x, norm, 1e-5), plain.rms_norm(x, norm, 1e-5))
        assert torch.equal(kernels.swiglu(x), plain.swiglu(x))
        assert torch.equal(kernels.linear(x, weight), plain.linear(x, weight))
        assert torch.equal(kernels.linear(x, weight, bias), plain.linear(x, weight, bias))
        assert torch.equal(kernels.norm_linear(x, norm, 1e-5, weight), plain.norm_linear(x, norm, 1e-5, weight))
        assert torch.equal(kernels.norm_swiglu(x, norm, 1e-5, weight), plain.norm_swiglu(x, norm, 1e-5, weight))
        assert torch.equal(kernels.linear_plus(x, weight, residual), plain.linear_plus(x, weight, residual))
    assert kernels.choices() == {}


def test_attention_is_its_plain_form(kernels: Kernels) -> None:
    patches, tables = torch.randn(3, 9, 8, 16), (torch.randn(9, 16), torch.randn(9, 16))
    seen = kernels.attend_patch(patches, *tables, 5, 9, num_kv_heads=2)
    assert torch.equal(seen, plain.attend_patch(patches, *tables, 5, 9, 2))

    caches = [torch.zeros(4, 2, 20, 16) for _ in range(4)]
    slots, positions = torch.tensor([2, 0, 3]), torch.tensor([0, 7, 19])
    table = torch.randn(3, 16), torch.randn(3, 16)
    q = kernels.rope_store(patches[0, :3], *table, *caches[:2], slots, positions)
    assert torch.equal(q, plain.rope_store(patches[0, :3], *table, *caches[2:], slots, positions))
    assert torch.equal(caches[0], caches[2])
    assert torch.equal(caches[1], caches[3])
    seen = kernels.attend_slots(q, *caches[:2], slots, positions, block=1)
    assert torch.equal(seen, plain.attend_slots(q, *caches[:2], slots, positions, 1))
    both = kernels.rope_attend(patches[0, :3], *table, *caches[:2], slots, positions, block=1)
    assert torch.equal(both, seen)


def test_choices_are_saved_and_loaded_though_there_are_none(kernels: Kernels, tmp_path: Path) -> None:
    kernels.save(tmp_path / "kernels.json")
    assert kernels.load(tmp_path / "kernels.json")
    assert not kernels.load(tmp_path / "other.json")


def test_a_cpu_needs_no_triton() -> None:
    """It may be installed and yet must not be imported: importing it takes seconds, and elsewhere it is missing."""
    code = "import sys; sys.modules['triton'] = None; import torch; from models.kernels import Kernels\n"
    code += "x = torch.ones(2, 4); print(Kernels(torch.device('cpu')).rms_norm(x, x[0], 0.0).sum().item())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "8.0\n"
