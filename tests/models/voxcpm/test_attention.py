"""Attention and rotation against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.kernels.plain import rotate
from models.voxcpm.rotation import rotation_tables
from tests.models.attention_reference import attend, attend_all

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
SIZES = [(16, 2, 64), (4, 2, 16), (3, 3, 8), (4, 1, 2)]  # heads, kv heads, dim


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


def defined(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """One head and one token after the other, in float64."""
    q, k, v = q.double(), k.double(), v.double()
    group = q.shape[2] // k.shape[2]
    out = torch.empty(q.shape, dtype=torch.float64)
    for batch in range(q.shape[0]):
        for token in range(q.shape[1]):
            num_seen = token + 1 if causal else k.shape[1]
            for head in range(q.shape[2]):
                keys, values = k[batch, :num_seen, head // group], v[batch, :num_seen, head // group]
                weights = torch.softmax(keys @ q[batch, token, head] / math.sqrt(q.shape[3]), dim=0)
                out[batch, token, head] = weights @ values
    return out.flatten(-2)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("num_queries", "num_keys", "causal"), [(9, 9, False), (4, 9, False), (1, 30, False), (7, 7, True)]
)
def test_attention_is_what_it_is_defined_as(
    dtype: torch.dtype, size: tuple[int, int, int], num_queries: int, num_keys: int, causal: bool
) -> None:
    num_heads, num_kv_heads, dim = size
    q = torch.randn(2, num_queries, num_heads, dim).to(dtype)
    k, v = (torch.randn(2, num_keys, num_kv_heads, dim).to(dtype) for _ in range(2))
    ours = attend(q, k, v, causal=causal)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.double(), defined(q, k, v, causal=causal), atol=TOLERANCES[dtype], rtol=0)


def test_attention_takes_parts_of_larger_tensors_as_they_are() -> None:
    qkv = torch.randn(2, 9, 20, 64)
    q, k, v = qkv[:, 5:, :16], qkv[:, :, 16:18], qkv[:, :, 18:]
    assert torch.equal(attend(q, k, v), attend(q.contiguous(), k.contiguous(), v.contiguous()))
    cache = torch.randn(2, 2, 50, 64)  # [kv, heads, positions, dim]
    cached = attend_all(q[:1, :1], cache[0, None, :, :30], cache[1, None, :, :30])
    assert torch.equal(cached, attend(q[:1, :1], *(each[None, :, :30].transpose(1, 2) for each in cache)))


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_rotation_turns_the_two_halves_as_one_complex_number(dtype: torch.dtype) -> None:
    angles = torch.rand(5, 8) * 100
    x = torch.randn(2, 5, 3, 16).to(dtype)
    turned = torch.view_as_complex(torch.stack(x.float().chunk(2, dim=-1), dim=-1)) * torch.polar(
        torch.full_like(angles, 1.5), angles
    ).unsqueeze(-2)
    ours = rotate(x, *rotation_tables(angles, 1.5))
    assert ours.dtype == dtype
    expected = torch.cat([turned.real, turned.imag], dim=-1)
    torch.testing.assert_close(
        ours.float(), expected, atol=TOLERANCES[dtype], rtol=1e-2 if dtype != torch.float32 else 0
    )
