"""Packed and int8 linear layers against the plain one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.voxcpm.linear import Int8Linear, Linear, PackedLinear, can_pack, can_quantize, make_linear

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
SHAPES = [(1, 1), (7, 5), (2, 1024), (1280, 1024), (33, 4096)]  # out, in
LEADING = [(), (1,), (3,), (2, 9), (2, 3, 4)]

needs_packing = pytest.mark.skipif(not can_pack(torch.float32), reason="this torch has no packed linear layers")
needs_int8 = pytest.mark.skipif(not can_quantize(), reason="this torch has no int8 linear layers")


@pytest.fixture(autouse=True)
def _plain_numbers() -> None:
    torch.manual_seed(0)


def difference(ours: Tensor, expected: Tensor) -> float:
    """Relative to what is expected, as a whole."""
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype
    return float((ours.double() - expected.double()).norm() / expected.double().norm())


def weights(shape: tuple[int, int], dtype: torch.dtype, *, bias: bool) -> tuple[Tensor, Tensor | None]:
    num_out, num_in = shape
    return (torch.randn(shape) / num_in**0.5).to(dtype), torch.randn(num_out).to(dtype) if bias else None


def results(linear: Callable[[Tensor], Tensor], x: Tensor, other: Tensor) -> dict[str, Tensor]:
    y = linear(x)
    if isinstance(linear, Linear):
        return {"plain": y, "silu": linear.silu(x), "times": linear.times(x, other), "plus": linear.plus(x, other)}
    return {"plain": y, "silu": F.silu(y), "times": other * y, "plus": other + y}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_layer_gives_what_torch_gives(shape: tuple[int, int], dtype: torch.dtype, bias: bool) -> None:
    weight, added = weights(shape, dtype, bias=bias)
    linear = make_linear(weight, added, device="cpu", dtype=dtype)
    assert (linear.out_features, linear.in_features) == shape
    for leading in LEADING:
        x, other = torch.randn(*leading, shape[1]).to(dtype), torch.randn(*leading, shape[0]).to(dtype)
        with torch.inference_mode():
            ours = results(linear, x, other)
            expected = results(lambda x: F.linear(x, weight, added), x, other)
        for name in expected:
            assert difference(ours[name], expected[name]) < TOLERANCES[dtype], name


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_linear_layer_of_no_rows_gives_no_rows(dtype: torch.dtype, quantize: bool) -> None:
    weight, _ = weights((7, 5), dtype, bias=False)
    linear = make_linear(weight, device="cpu", dtype=dtype, quantize=quantize)
    for leading in [(0,), (0, 4), (4, 0)]:
        other = torch.empty(*leading, 7, dtype=dtype)
        for y in results(linear, torch.empty(*leading, 5, dtype=dtype), other).values():
            assert (y.shape, y.dtype) == (other.shape, dtype)


@pytest.mark.parametrize("quantize", [False, True])
def test_a_linear_layer_takes_rows_that_are_not_contiguous(quantize: bool) -> None:
    weight, _ = weights((24, 16), torch.float32, bias=False)
    linear = make_linear(weight, device="cpu", dtype=torch.float32, quantize=quantize)
    wide = torch.randn(9, 2, 32)
    for x in (wide[..., ::2], wide.transpose(0, 1)[..., 8:24], wide[:1, :, :16].expand(9, 2, 16)):
        assert torch.equal(linear(x), linear(x.contiguous()))


def test_the_residual_and_the_factor_stay_as_they_are() -> None:
    weight, _ = weights((24, 16), torch.float32, bias=False)
    x, other = torch.randn(3, 16), torch.randn(3, 24)
    kept = other.clone()
    for quantize in (False, True):
        linear = make_linear(weight, device="cpu", dtype=torch.float32, quantize=quantize)
        results(linear, x, other)
        results(Linear(weight, None), x, other)
    assert torch.equal(other, kept)


@needs_packing
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_packing_holds_the_weight_once(dtype: torch.dtype) -> None:
    weight, _ = weights((256, 512), dtype, bias=False)
    original = weakref.ref(weight.untyped_storage())
    linear = make_linear(weight, device="cpu", dtype=dtype)
    assert isinstance(linear, PackedLinear)
    assert linear.num_bytes == weight.nbytes
    del weight
    gc.collect()
    assert original() is None


@needs_int8
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", [(1280, 1024), (1024, 4096)])
def test_int8_is_off_by_about_one_per_cent(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight, _ = weights(shape, dtype, bias=False)
    linear = make_linear(weight, device="cpu", dtype=dtype, quantize=True)
    assert isinstance(linear, Int8Linear)
    assert linear.num_bytes == weight.numel()
    for leading in LEADING:
        x, other = torch.randn(*leading, shape[1]).to(dtype), torch.randn(*leading, shape[0]).to(dtype)
        ours, expected = results(linear, x, other), results(lambda x: F.linear(x, weight), x, other)
        for name in expected:
            assert difference(ours[name], expected[name]) < 0.02, name


@needs_int8
def test_int8_rows_do_not_depend_on_their_batch() -> None:
    weight, bias = weights((96, 64), torch.float32, bias=True)
    linear = make_linear(weight, bias, device="cpu", dtype=torch.float32, quantize=True)
    x = torch.randn(7, 64) * torch.logspace(-3, 3, 7)[:, None]
    assert torch.equal(linear(x), torch.cat([linear(row[None]) for row in x]))


@needs_int8
def test_int8_keeps_silence_and_the_largest_values() -> None:
    weight = torch.full((4, 32), 0.5)
    linear = make_linear(weight, device="cpu", dtype=torch.float32, quantize=True)
    assert torch.equal(linear(torch.zeros(2, 32)), torch.zeros(2, 4))
    largest = torch.full((2, 32), 3e4) * torch.tensor([[1.0], [-1.0]])
    assert difference(linear(largest), F.linear(largest, weight)) < 1e-5
