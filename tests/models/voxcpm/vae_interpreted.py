"""The codec's kernels under Triton's interpreter against their plain forms, in float32 at tiny and odd shapes.

The interpreter is chosen by the environment before triton is imported, so `test_vae_kernels.py` runs this module in a
process of its own; by hand: TRITON_INTERPRET=1 pytest tests/models/voxcpm/vae_interpreted.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from models.voxcpm import vae_kernels
from models.voxcpm.config import AudioVaeConfig
from models.voxcpm.vae import AudioVaeDecoder, Precision
from models.voxcpm.vae_kernels import VaeKernels
from models.voxcpm.vae_layers import Next
from models.voxcpm.vae_memory import Memory
from models.voxcpm.vae_stream import StreamingDecoder

from .vae_reference import random_codec, reference_decode

pytestmark = pytest.mark.usefixtures("interpreter")

KERNELS = {"depthwise", "convolution", "residual", "mono", "pcm"}
EXACT = Precision(name="split", factors=torch.float32)
CONFIG = AudioVaeConfig(
    encoder_dim=2,
    encoder_rates=(2,),
    latent_dim=5,
    decoder_dim=12,
    decoder_rates=(3, 2),
    sample_rate=8000,
    depthwise=True,
)
OFFSET, NEXT_OFFSET, NUM_VALUES = 7, 500, 640  # places in a memory that no layer shares


def longer(*values: Any) -> Any:
    """A case that only the long run takes."""
    return pytest.param(*values, marks=pytest.mark.full)


@pytest.fixture(scope="module")
def decoder() -> AudioVaeDecoder:
    return AudioVaeDecoder(CONFIG, random_codec(CONFIG), packed=False).cast(EXACT)


def agree(decoder: AudioVaeDecoder, run: Callable[[VaeKernels, Memory], Tensor]) -> None:
    """Both forms of one operation, from the same memory, make the same and remember the same."""
    values = torch.randn(6, NUM_VALUES)
    found = []
    for failed in (set(), KERNELS):
        kernels = VaeKernels(decoder, failed=set(failed))
        memory = Memory(values=values.clone(), read=torch.tensor([4, 0]), write=torch.tensor([1, 3]))
        made = run(kernels, memory)
        assert kernels.failed == failed
        found.append((made, memory.values))
    (made, after), (expected, remembered) = found
    assert not torch.equal(remembered, values)
    torch.testing.assert_close(made, expected, atol=3e-6, rtol=3e-6)
    torch.testing.assert_close(after, remembered, atol=3e-6, rtol=3e-6)


@pytest.mark.parametrize(("unit", "num_rows"), [(0, 21), (2, 2), longer(1, 40), longer(2, 11)])
def test_depthwise_convolution_between_snakes(decoder: AudioVaeDecoder, unit: int, num_rows: int) -> None:
    """With signals longer than the memory, and shorter."""
    layer = decoder.blocks[0].units[unit]
    x = 2 * torch.randn(2, num_rows, 6)
    around = (layer.first, layer.second)
    agree(decoder, lambda kernels, memory: kernels.depthwise(layer.depthwise, around, x, memory, OFFSET))


def test_depthwise_convolution_alone(decoder: AudioVaeDecoder) -> None:
    x = torch.randn(2, 4, 5)
    agree(decoder, lambda kernels, memory: kernels.depthwise(decoder.first, None, x, memory, OFFSET))


@pytest.mark.parametrize("num_rows", [1, 45])
def test_product_that_hands_on_to_the_next_layer(decoder: AudioVaeDecoder, num_rows: int) -> None:
    x = torch.randn(2, num_rows, 5)
    then = Next(snake=decoder.blocks[0].snake, offset=NEXT_OFFSET)
    agree(decoder, lambda kernels, memory: kernels.convolution(decoder.widen, x, x.dtype, then=then, memory=memory))


@pytest.mark.parametrize("unit", [1, longer(0)])
def test_residual_unit_in_two_kernels(decoder: AudioVaeDecoder, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the blocks that have too many channels for one, here with windows of two rows before."""
    monkeypatch.setattr(vae_kernels, "MAX_WHOLE_CHANNELS", 4)
    block = decoder.blocks[0]
    joined = torch.randn(2, 1 + 9, 12)
    then = Next(snake=decoder.blocks[1].snake, offset=NEXT_OFFSET) if unit else None

    def run(kernels: VaeKernels, memory: Memory) -> Tensor:
        x = kernels.convolution(block.up, joined, torch.float32, memory=memory)
        return kernels.residual(block.units[unit], x, memory, OFFSET, then=then)

    agree(decoder, run)


@pytest.mark.parametrize(("unit", "num_rows", "is_last"), [(0, 20, False), (1, 7, True), longer(2, 50, True)])
def test_residual_unit_in_one_kernel(decoder: AudioVaeDecoder, unit: int, num_rows: int, is_last: bool) -> None:
    x = torch.randn(2, num_rows, 6)
    then = Next(snake=decoder.blocks[1].snake, offset=NEXT_OFFSET) if is_last else None
    layer = decoder.blocks[0].units[unit]
    agree(decoder, lambda kernels, memory: kernels.residual(layer, x, memory, OFFSET, then=then))


@pytest.mark.parametrize("num_rows", [3, 20])
def test_convolution_to_mono(decoder: AudioVaeDecoder, num_rows: int) -> None:
    x = torch.randn(2, num_rows, 3)
    agree(decoder, lambda kernels, memory: kernels.mono(decoder.last, decoder.snake, x, memory, OFFSET))


def test_samples_as_whole_numbers(decoder: AudioVaeDecoder) -> None:
    audio = torch.cat([1.5 * torch.randn(1, 3000), torch.arange(-1500.5, 1499.5)[None] / 32767, torch.zeros(2, 3000)])
    audio[2, 5], audio[3, 2999] = torch.nan, -torch.inf
    volume = torch.tensor([0.7, 1.0, 1.0, 1.0])
    kernels, plain = VaeKernels(decoder), VaeKernels(decoder, failed=set(KERNELS))
    pcm, is_sound = kernels.to_pcm(audio, volume)
    assert not kernels.failed
    expected, are_sound = plain.to_pcm(audio, volume)
    assert torch.equal(pcm, expected)
    assert is_sound.tolist() == are_sound.tolist() == [True, True, False, False]


@pytest.mark.full
def test_streams_sound_as_decoded_in_one_piece_with_scratch_rows_among_them(decoder: AudioVaeDecoder) -> None:
    latents = torch.randn(2, 4, 5)
    expected = reference_decode(random_codec(CONFIG), CONFIG, latents)
    stream = StreamingDecoder(decoder, num_slots=2)
    rows = torch.stack([latents[0], 9 * torch.randn(4, 5), latents[1], torch.randn(4, 5)])
    slots = torch.tensor([1, 2, 0, 2])
    audio = torch.cat([stream.step(slots, piece) for piece in (rows[:, :1], rows[:, 1:])], 1)
    assert not decoder.failed_kernels
    torch.testing.assert_close(audio[[0, 2]], expected, atol=1e-5, rtol=0)
