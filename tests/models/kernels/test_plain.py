"""The plain forms against the functions that the model's parity rests on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from models.kernels import plain
from models.kernels.choices import difference
from models.voxcpm.rotation import rotation_tables
from tests.models.attention_reference import attend, attend_all

SIZES = [(4, 2, 16), (3, 3, 8), (16, 2, 64), (4, 1, 2)]  # heads, kv heads, dim


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def tables(num_tokens: int, dim: int) -> tuple[Tensor, Tensor]:
    return rotation_tables(torch.rand(num_tokens, dim // 2) * 100)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norm_and_gate_are_their_definitions(dtype: torch.dtype) -> None:
    x, weight = torch.randn(3, 5, 48).to(dtype), torch.randn(48).to(dtype)
    wide = x.double()
    normed = wide / (wide.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight.double()
    assert not difference([normed.to(dtype)], [plain.rms_norm(x, weight, 1e-5)])
    gate, up = wide[..., :24], wide[..., 24:]
    assert not difference([(gate * gate.sigmoid() * up).to(dtype)], [plain.swiglu(x)])


def test_linear_layers_are_made_of_their_parts() -> None:
    x, residual = torch.randn(2, 9, 32)[:, 4:], torch.randn(2, 9, 24)[:, 4:]
    norm, weight, bias = torch.randn(32), torch.randn(24, 32), torch.randn(24)
    product = F.linear(x, weight)
    normed = F.linear(plain.rms_norm(x, norm, 1e-5), weight)
    torch.testing.assert_close(plain.linear(x, weight, bias), product + bias)
    torch.testing.assert_close(plain.linear_plus(x, weight, residual), product + residual)
    torch.testing.assert_close(plain.norm_linear(x, norm, 1e-5, weight), normed)
    torch.testing.assert_close(plain.norm_swiglu(x, norm, 1e-5, weight), plain.swiglu(normed))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("num_tokens", "first", "last"), [(9, 0, 9), (9, 5, 9), (5, 0, 1), (3, 1, 3)])
def test_a_patch_is_attended_as_before(num_tokens: int, first: int, last: int, size: tuple[int, int, int]) -> None:
    num_heads, num_kv_heads, dim = size
    qkv = torch.randn(2, num_tokens, num_heads + 2 * num_kv_heads, dim)
    cos, sin = tables(num_tokens, dim)
    rotated = plain.rotate(qkv[..., : num_heads + num_kv_heads, :], cos, sin)
    q, k, v = rotated[:, first:last, :num_heads], rotated[..., num_heads:, :], qkv[..., num_heads + num_kv_heads :, :]
    assert torch.equal(plain.attend_patch(qkv, cos, sin, first, last, num_kv_heads), attend(q, k, v))


@pytest.mark.parametrize("size", SIZES)
def test_a_context_is_stored_and_attended_as_before(size: tuple[int, int, int]) -> None:
    """A prefill of 21 tokens in two blocks, whose last tokens are padding, then one token more."""
    num_heads, num_kv_heads, dim = size
    keys, values = (torch.full((4, num_kv_heads, 40, dim), torch.nan) for _ in range(2))
    qkv = torch.randn(22, num_heads + 2 * num_kv_heads, dim)
    cos, sin = tables(22, dim)
    rotated = plain.rotate(qkv[:, : num_heads + num_kv_heads], cos, sin)
    q, k, v = rotated[:, :num_heads], rotated[:, num_heads:], qkv[:, num_heads + num_kv_heads :]
    whole = attend(q[None], k[None], v[None], causal=True)[0]

    padded = [*range(21), *[20] * 11]
    slots, positions = torch.full((32,), 2), torch.tensor(padded)
    stored = plain.rope_store(qkv[padded], cos[padded], sin[padded], keys, values, slots, positions)
    assert torch.equal(stored[:21], q[:21])
    assert torch.equal(keys[2, :, :21], k[:21].transpose(0, 1))
    assert torch.equal(values[2, :, :21], v[:21].transpose(0, 1))
    torch.testing.assert_close(plain.attend_slots(stored, keys, values, slots, positions, 16)[:21], whole[:21])

    slots, positions = torch.tensor([2]), torch.tensor([21])
    one = plain.rope_store(qkv[21:], cos[21:], sin[21:], keys, values, slots, positions)
    seen = plain.attend_slots(one, keys, values, slots, positions, 1)
    assert torch.equal(seen, attend_all(one[None], keys[None, 2, :, :22], values[None, 2, :, :22])[0])
    torch.testing.assert_close(seen, whole[21:])


def test_a_prefill_is_bitwise_what_it_was() -> None:
    q, k, v = torch.randn(16, 4, 16), torch.randn(16, 2, 16), torch.randn(16, 2, 16)
    keys, values = (torch.zeros(3, 2, 40, 16) for _ in range(2))
    keys[1, :, :16], values[1, :, :16] = k.transpose(0, 1), v.transpose(0, 1)
    seen = plain.attend_slots(q, keys, values, torch.full((16,), 1), torch.arange(16), 16)
    assert torch.equal(seen, attend(q[None], k[None], v[None], causal=True)[0])


@given(
    starts=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 280), st.integers(1, 16)), min_size=1, max_size=4),
    block=st.sampled_from([1, 16]),
    gathered_bytes=st.sampled_from([1, 1 << 28]),
)
@settings(max_examples=40)
def test_the_form_for_a_graph_agrees_with_the_form_for_a_cpu(
    starts: list[tuple[int, int, int]], block: int, gathered_bytes: int
) -> None:
    """Of fixed shape, with its slices at their smallest and largest, over caches in which the rest is no number."""
    keys, values = (torch.full((6, 2, 300, 16), torch.nan) for _ in range(2))
    slots, positions = [], []
    for slot, start, num_tokens in starts:
        for cache in keys, values:
            cache[slot, :, : start + block] = torch.randn(2, start + block, 16)
        slots += [slot] + [slot if token < num_tokens else 5 for token in range(1, block)]
        positions += [start + token if token < num_tokens else 0 for token in range(block)]
    q = torch.randn(len(slots), 4, 16)
    args = q, keys, values, torch.tensor(slots), torch.tensor(positions), block
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain, "GATHERED_BYTES", gathered_bytes)
        torch.testing.assert_close(plain.attend_gathered(*args), plain.attend_slots(*args))
