"""The decoder's cost by arithmetic, against the fact sheet's."""

from __future__ import annotations

import dataclasses

import pytest

from models.voxcpm.vae_cost import vae_cost

from .vae_reference import V15

FULL = dataclasses.replace(V15, decoder_dim=2048, latent_dim=64)


def test_a_patch_takes_the_operations_of_the_fact_sheet() -> None:
    assert sum(layer.flops for layer in vae_cost(FULL)) == pytest.approx(2 * 1.743e9, rel=0.001)


def test_weights_are_those_of_the_checkpoint() -> None:
    """42.9 million in all, two bytes each but for the taps."""
    assert sum(layer.weight_bytes for layer in vae_cost(FULL)) == pytest.approx(2 * 42_916_162, rel=0.001)


def test_narrow_signals_move_less() -> None:
    moved = [sum(layer.num_bytes for layer in vae_cost(FULL, narrow_blocks=blocks)) for blocks in range(6)]
    assert moved == sorted(moved, reverse=True)
    assert 45e6 < moved[0] < 55e6
    assert 25e6 < moved[-1] < 35e6


def test_signals_grow_with_the_latents_and_memory_does_not() -> None:
    one, two = (sum(layer.num_bytes for layer in vae_cost(FULL, num_latents)) for num_latents in (4, 8))
    assert 1.9 < two / one < 2
