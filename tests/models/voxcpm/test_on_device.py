"""Every program as a GPU would run and record it, on one that is not there: no host memory, no read of a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.checkpoint_shapes import PUBLISHED_15, TINY_MUP, CheckpointShape, LocalShape
from models.base import ModelOptions
from models.engine.batch import Batch
from models.engine.runner import Program
from models.kernels.kernels import Kernels
from models.voxcpm.machinery import Machinery
from models.voxcpm.network import VoxCPM
from models.voxcpm.vae_precision import CANDIDATES

from .no_device import DEVICE, NoDevice, NoGraphs, NoWeights, Spelled, write_no_checkpoint

NARROW = LocalShape(hidden=1024, ffn=4096, heads=16, layers=2)
SHAPES = {
    "tiny": TINY_MUP,
    "1.5": replace(PUBLISHED_15, vocab_size=1024, layers=2, residual_layers=1, encoder=NARROW, dit=NARROW),
}
"""One with scaled branches, and v1.5 with its widths and fewer layers, which are all alike."""

FEWEST, MOST = 1, 112


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[NoDevice]:
    monkeypatch.setattr("models.voxcpm.network.Weights", NoWeights)
    monkeypatch.setattr("models.engine.runner.Graphs", NoGraphs)
    with NoDevice() as mode, Spelled(), torch.inference_mode():
        yield mode


def programs(shape: CheckpointShape, folder: Path, *, fused: bool) -> list[Program]:
    write_no_checkpoint(folder, shape)
    network = VoxCPM(folder, device=DEVICE, dtype=torch.bfloat16, num_slots=3, num_positions=2048)
    if fused:
        network.decoder = network.decoder.cast(CANDIDATES[0])
    made = Machinery.of(network, ModelOptions(), on_gpu=True, buckets=(FEWEST, MOST))
    return list(made.runner._programs.values())


def run(program: Program, size: int) -> Batch:
    given, told = (Batch(columns, size, DEVICE) for columns in (program.given, program.told))
    program.run(given, told, lambda: None)
    return told


@pytest.mark.parametrize("shape", SHAPES)
def test_every_program_can_be_recorded(shape: str, tmp_path: Path, device: NoDevice) -> None:
    ran = []
    for program in programs(SHAPES[shape], tmp_path, fused=False):
        for size in {program.sizes[0], program.sizes[-1]}:
            with device.watched():
                run(program, size)
            ran.append(program.name)
    assert {*ran} == {"decode", "begin", "turn", "finish", "prefill", "encode", "warm"}


def test_every_kernel_is_given_whole_tensors_of_the_device(
    tmp_path: Path, device: NoDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its form: here all of them are started and none computes."""
    pytest.importorskip("triton")
    from models.kernels.fused import forms
    from models.kernels.fused.launch import Launch

    started: set[str] = set()

    def start(launch: Launch) -> None:
        for name, each in launch.arguments.items():
            if isinstance(each, Tensor):
                assert each.device == DEVICE, (launch.kernel.__name__, name)
                assert each.is_contiguous(), (launch.kernel.__name__, name)
        started.add(launch.kernel.__name__)

    def run_all(kernels: Kernels, operation: Callable[..., Tensor], *args: object) -> Tensor:
        plain = operation(*args)
        for form in getattr(forms, operation.__name__)(*args, start=start).values():
            result = form(*args)
            assert (result.shape, result.dtype) == (plain.shape, plain.dtype)
        return plain

    monkeypatch.setattr(Launch, "run", start)
    monkeypatch.setattr(Kernels, "_run", run_all)
    for program in programs(SHAPES["1.5"], tmp_path, fused=True):
        for size in {program.sizes[0], program.sizes[-1]}:
            with device.watched():
                run(program, size)
    assert {name.removesuffix("_kernel") for name in started} >= {
        *("linear", "rms_norm", "swiglu", "attend_slots", "attend_patch", "join_splits", "rope_store"),
        *("depthwise", "convolution", "residual", "mono", "pcm"),
    }


def test_what_no_graph_can_record_is_noticed(device: NoDevice) -> None:
    there = torch.ones(3, device=DEVICE)
    with device.watched():
        with pytest.raises(AssertionError, match="waits for the device"):
            float(there.sum())
        with pytest.raises(AssertionError, match="where only cuda:0 was expected"):
            there.cpu()
        with pytest.raises(AssertionError, match="cpu"):
            torch.tensor([1, 2])
        with pytest.raises(AssertionError, match="draws numbers"):
            torch.rand(3, device=DEVICE)
