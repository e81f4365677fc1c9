"""The arithmetic of a step, from a checkpoint's configuration: what a device that wastes nothing would compute."""

from __future__ import annotations

from models.voxcpm.config import AudioVaeConfig, Stack, VoxCPMConfig

GUIDED = 2
"""Classifier-free guidance: every evaluation is of two rows."""


def stack_parameters(stack: Stack) -> int:
    """Weights of a stack's matrices."""
    attention = stack.hidden_size * stack.qkv_size + stack.num_heads * stack.head_dim * stack.hidden_size
    return stack.num_layers * (attention + 3 * stack.hidden_size * stack.ffn_size)


def vae_flops(config: AudioVaeConfig, num_latents: int) -> int:
    """Of decoding so many latents, layer by layer; activations are left out."""
    kernel = 7
    rows, channels = num_latents, config.decoder_dim
    flops = 2 * rows * config.latent_dim * (kernel + channels)
    for rate in config.decoder_rates:
        flops += 2 * rows * channels * (channels // 2) * 2 * rate  # the transposed convolution has 2 * rate taps
        rows, channels = rows * rate, channels // 2
        flops += 3 * 2 * rows * channels * (kernel + channels)  # three units: depthwise, then 1x1
    return flops + 2 * rows * channels * kernel


def step_flops(config: VoxCPMConfig, num_steps: int = 10) -> dict[str, int]:
    """Floating point operations of one patch of one stream, by part, and `all`.

    The first of the Euler steps costs no evaluation. Attention's own products, a few thousandths, are left out; what
    an implementation saves (rows that nobody reads, terms that do not change) is not taken off.
    """
    patch, hidden = config.patch_size, config.lm.hidden_size
    joins = config.encoder.hidden_size * hidden + 2 * hidden * config.dit.hidden_size
    joins += 2 * hidden * config.fsq_dim + hidden * hidden
    parts = {
        "base LM": 2 * stack_parameters(config.lm),
        "residual LM": 2 * stack_parameters(config.residual_lm),
        "LocEnc": 2 * stack_parameters(config.encoder) * (patch + 1),
        "DiT": 2 * stack_parameters(config.dit) * (2 * patch + 1) * GUIDED * (num_steps - 1),
        "VAE": vae_flops(config.vae, patch),
        "projections": 2 * joins,
    }
    return parts | {"all": sum(parts.values())}


def utilisation(flops: int, num_rows: int, seconds: float, peak_flops_per_s: float) -> float:
    """The share of a device's peak that a step of so many rows reaches."""
    return flops * num_rows / seconds / peak_flops_per_s
