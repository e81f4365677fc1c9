"""The codec's kernels: as their plain forms compute, for devices that are not there, and replaced where they fail."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from models.voxcpm.config import AudioVaeConfig
from models.voxcpm.vae import AudioVaeDecoder, Precision
from models.voxcpm.vae_compile import planned
from models.voxcpm.vae_precision import CANDIDATES
from models.voxcpm.vae_stream import StreamingDecoder

from .vae_reference import V1, V15, random_codec, reference_decode

if TYPE_CHECKING:
    from models.kernels.fused.launch import Launch

SHARED_BYTES = 96 * 1024
DEVICES = (80, 86, 89, 90)
TYPES = {
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.int64: "*i64",
    torch.int16: "*i16",
    torch.bool: "*i1",
}
EXACT = Precision(name="split", factors=torch.float32)
V15_FULL = dataclasses.replace(V15, decoder_dim=2048, latent_dim=64)
V1_FULL = dataclasses.replace(V1, decoder_dim=1536, latent_dim=64)


@functools.cache
def shaped(config: AudioVaeConfig) -> AudioVaeDecoder:
    """A decoder of which only the shapes are there."""
    return AudioVaeDecoder(config, random_codec(config), device="meta")


def launches(decoder: AudioVaeDecoder, precision: Precision, num_streams: int) -> Iterator[Launch]:
    """What a step of so many streams starts, each different program once."""
    seen = set()
    for launch in planned(decoder.cast(precision), [num_streams], 4).launches:
        key = (launch.kernel, *launch.constants.items(), *signature(launch).values())
        if key not in seen:
            seen.add(key)
            yield launch


def signature(launch: Launch) -> dict[str, str]:
    return {
        name: "constexpr"
        if name in launch.constants
        else TYPES[argument.dtype]
        if isinstance(argument := launch.arguments[name], Tensor)
        else "i32"
        for name in launch.kernel.arg_names
    }


def shared_bytes(launch: Launch, capability: int) -> int:
    """Of the launch compiled for a device of that capability, down to machine code."""
    types = signature(launch)
    aligned = {
        (index,): [["tt.divisibility", 16]]
        for index, (name, kind) in enumerate(types.items())
        if kind.startswith("*") or (kind == "i32" and name in ("per_place", "offset", "num_channels", "num_outs"))
    }
    source = ASTSource(launch.kernel, types, launch.constants, aligned)
    options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert compiled.asm["cubin"]
    return int(compiled.metadata.shared)


def test_the_kernels_of_a_full_step_fit_the_devices_that_are_meant() -> None:
    """Each kernel in the form that most rows pass through, for two devices in turn: the long run takes all for all."""
    forms = {
        (launch.kernel, launch.constants.get("JOIN")): launch
        for launch in launches(shaped(V15_FULL), CANDIDATES[1], 112)
    }
    assert len(forms) == 7
    for index, launch in enumerate(forms.values()):
        assert shared_bytes(launch, DEVICES[-1] if index % 2 else DEVICES[index // 2 % 3]) <= SHARED_BYTES, launch


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("capability", DEVICES)
@pytest.mark.parametrize(("config", "num_streams"), [(V15_FULL, 1), (V15_FULL, 112), (V1_FULL, 14)])
def test_every_kernel_fits_every_device(config: AudioVaeConfig, num_streams: int, capability: int) -> None:
    for precision in CANDIDATES[1], CANDIDATES[3], CANDIDATES[4]:
        for launch in launches(shaped(config), precision, num_streams):
            assert shared_bytes(launch, capability) <= SHARED_BYTES, launch


def interpreted(marks: str) -> subprocess.CompletedProcess[str]:
    module = Path(__file__).with_name("vae_interpreted.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks, str(module)]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False
    )


def test_every_kernel_agrees_with_its_plain_form_under_the_interpreter() -> None:
    run = interpreted("not full")
    assert run.returncode == 0, run.stdout


@pytest.mark.full
@pytest.mark.timeout(300)
def test_streams_through_the_kernels_sound_as_decoded_in_one_piece_under_the_interpreter() -> None:
    run = interpreted("full")
    assert run.returncode == 0, run.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="triton runs its kernels here")
def test_where_no_kernel_runs_plain_forms_do_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    config = dataclasses.replace(V15, decoder_dim=32, latent_dim=8)
    latents = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(5))
    stream = StreamingDecoder(AudioVaeDecoder(config, random_codec(config), packed=False).cast(EXACT), num_slots=2)
    slots = torch.tensor([1, 0])
    audio = torch.cat([stream.step(slots, piece) for piece in torch.split(latents, 4, dim=1)], 1)
    torch.testing.assert_close(audio, reference_decode(random_codec(config), config, latents), atol=1e-5, rtol=0)
    for kernel in ("depthwise", "convolution", "residual", "mono"):
        assert len([record for record in caplog.records if f"kernel for {kernel} " in record.getMessage()]) == 1


def test_a_step_on_a_device_reads_nothing_back() -> None:
    """Here on one that has nothing to read."""
    decoder = shaped(V15_FULL)
    kernels = {"depthwise", "convolution", "residual", "mono", "pcm"}
    for precision in (decoder.precision, CANDIDATES[2]):
        cast = decoder.cast(precision)
        cast.failed_kernels |= kernels
        stream = StreamingDecoder(cast, num_slots=8)
        audio = stream.step(torch.empty(5, dtype=torch.int64, device="meta"), torch.empty(5, 4, 64, device="meta"))
        pcm, is_sound = stream.to_pcm(audio, torch.empty(5, device="meta"))
        assert (pcm.shape, is_sound.shape) == ((5, 7056), (5,))
