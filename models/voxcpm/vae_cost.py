"""What one step of the decoder costs by arithmetic: operations, and bytes that pass between memory and chip."""

from __future__ import annotations

from dataclasses import dataclass

from .config import AudioVaeConfig
from .vae_kernels import MAX_WHOLE_CHANNELS
from .vae_layers import DILATIONS

TAPS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """One launch, for one stream and patch. Weights are read once a step, by however many streams."""

    name: str
    flops: int  # of products and convolutions; a multiply and an add are two
    num_bytes: int  # of signals and memory
    weight_bytes: int


def vae_cost(config: AudioVaeConfig, num_latents: int = 4, *, narrow_blocks: int = 0) -> list[LayerCost]:
    """The launches of a step in float16 factors, in order; signals of all but the last `narrow_blocks` in float32.

    Counted as the kernels are written: each reads what it takes and writes what it makes once, and its memory both
    ways. What else a cache misses is not in it, nor what it saves.
    """
    rows, channels = num_latents, config.decoder_dim
    feat, num_blocks = config.latent_dim, len(config.decoder_rates)
    past = 4 * 2  # of one value that is remembered
    found = [
        LayerCost(
            name="first",
            flops=2 * TAPS * rows * feat,
            num_bytes=rows * feat * (4 + 2) + (TAPS - 1) * feat * past,
            weight_bytes=4 * TAPS * feat,
        ),
        LayerCost(
            name="widen",
            flops=2 * rows * feat * channels,
            num_bytes=2 * rows * (feat + channels) + channels * past,
            weight_bytes=2 * feat * channels,
        ),
    ]
    for index, rate in enumerate(config.decoder_rates):
        signal = 2 if index >= num_blocks - narrow_blocks else 4
        outs = channels // 2
        found.append(
            LayerCost(
                name=f"{index + 1}.up",
                flops=2 * rows * 2 * channels * rate * outs,
                num_bytes=2 * (rows + 1) * channels + signal * rows * rate * outs,
                weight_bytes=2 * 2 * channels * rate * outs,
            )
        )
        rows, channels = rows * rate, outs
        values = rows * channels
        for number, dilation in enumerate(DILATIONS, 1):
            is_joined = number == len(DILATIONS) and index + 1 < num_blocks
            made = 2 * values + channels * past if is_joined else signal * values
            remembered = (TAPS - 1) * dilation * channels * past
            by_itself = 0 if channels <= MAX_WHOLE_CHANNELS else (signal + 2 + 2) * values
            found.append(
                LayerCost(
                    name=f"{index + 1}.unit{number}",
                    flops=2 * values * (TAPS + channels),
                    num_bytes=signal * values + made + remembered + by_itself,
                    weight_bytes=2 * channels * channels + 4 * TAPS * channels,
                )
            )
    signal = 2 if narrow_blocks else 4
    found.append(
        LayerCost(
            name="mono",
            flops=2 * TAPS * rows * channels,
            num_bytes=signal * rows * channels + 4 * rows + (TAPS - 1) * channels * past,
            weight_bytes=4 * TAPS * channels,
        )
    )
    found.append(LayerCost(name="pcm", flops=rows, num_bytes=(4 + 2) * rows, weight_bytes=0))
    return found
