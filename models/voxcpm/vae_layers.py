"""The layers of AudioVAE, causal and with explicit memory, channels last.

A signal is [B, T, C]: then a 1x1 convolution is a matrix product, and so is every other dense one once its windows lie
side by side in memory. What looks back takes its input `joined`: with the last rows it saw before in front of it. These
are its memory, `past` [B, rows, C], zeros at the start; so a signal may be cut anywhere and gives the same samples.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..base import ModelError
from .linear import make_linear
from .vae_form import Form

NUMPY_SINE_THREADS = 2
"""With more threads than this torch's sine is the faster one: numpy's, as exact, is quicker on one, but has no more."""


class TakesTensors(Protocol):
    """An open checkpoint."""

    def take(self, name: str) -> Tensor: ...


def fold_weight_norm(weights: TakesTensors, name: str) -> Tensor:
    """A convolution's weight, float32, from `name.weight_g` and `name.weight_v`.

    The norm is over all dimensions but the first, which is the input channel in a transposed convolution
    (Salimans and Kingma 2016, arXiv 1602.07868; `torch.nn.utils.weight_norm` with dim 0).
    """
    gain = weights.take(f"{name}.weight_g").float()
    direction = weights.take(f"{name}.weight_v").float()
    norm = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
    if not bool((norm > 0).all()):
        raise ModelError(f"{name}.weight_v: a direction other than zero was expected in every row, but one is zero.")
    folded: Tensor = direction * (gain / norm)
    return folded


def windows(signal: Tensor, size: int, stride: int) -> Tensor:
    """Every window of `size` rows, rows side by side: [B, T, C] -> [B, (T - size) // stride + 1, size * C]."""
    if size == 1 and stride == 1:
        return signal
    num_rows, num_channels = signal.shape[1:]
    shape = (signal.shape[0], (num_rows - size) // stride + 1, size * num_channels)
    return signal.as_strided(shape, (num_rows * num_channels, stride * num_channels, 1)).contiguous()


def remember(past: Tensor, x: Tensor) -> Tensor:
    """`past` and `x` in one piece [B, rows + T, C]; `past` then holds the last of it."""
    joined = torch.cat((past, x), 1)
    past.copy_(joined[:, x.shape[1] :])
    return joined


class Snake:
    """x + sin^2(a x) / a, one `a` for each channel (Liu et al. 2020, arXiv 2006.08195)."""

    def __init__(self, weights: TakesTensors, name: str, form: Form) -> None:
        self.alpha = weights.take(f"{name}.alpha").float().flatten().to(form.device)  # [C]
        self.inverse = (self.alpha + 1e-9).reciprocal()

    def __call__(self, x: Tensor) -> Tensor:
        return self._into(torch.empty_like(x), x)

    def remember(self, past: Tensor, x: Tensor) -> Tensor:
        """`remember(past, self(x))`, without the copy."""
        num_past, num_rows = past.shape[1], x.shape[1]
        joined = x.new_empty(x.shape[0], num_past + num_rows, x.shape[2])
        joined[:, :num_past] = past
        self._into(joined[:, num_past:], x)
        past.copy_(joined[:, num_rows:])
        return joined

    def _into(self, y: Tensor, x: Tensor) -> Tensor:
        torch.mul(x, self.alpha, out=y)
        if y.device.type == "cpu" and torch.get_num_threads() <= NUMPY_SINE_THREADS:
            np.sin(y.numpy(), out=y.numpy())
        else:
            y.sin_()
        return torch.addcmul(x, y.square_(), self.inverse, out=y)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The layer that takes through a snake what a product makes, and where its rows begin in a memory."""

    snake: Snake
    offset: int


class Dense:
    """A causal convolution as one matrix product over windows of `size` rows, `stride` apart.

    `upsample` > 1: each window makes that many rows (a transposed convolution).
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        form: Form,
        *,
        size: int = 1,
        stride: int = 1,
        num_past: int = 0,
        upsample: int = 1,
    ) -> None:
        """`weight` [upsample * C_out, size * C_in], `bias` [upsample * C_out]."""
        self._dtype = form.dtype
        self._linear = make_linear(weight, bias, device=form.device, dtype=form.dtype) if form.packed else None
        self._weight = None if form.packed else weight.to(form.device, form.dtype).contiguous()
        self._bias = bias.to(form.device)
        self.size, self.upsample = size, upsample
        self._stride = stride
        self.past = (num_past, weight.shape[1] // size)  # shape of one stream's memory

    def __call__(self, joined: Tensor) -> Tensor:
        y = self._product(windows(joined.to(self._dtype), self.size, self._stride))
        return y.view(y.shape[0], y.shape[1] * self.upsample, -1)

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """residual + y, of a convolution that looks at no row but its own."""
        if self._linear is not None and self._dtype is torch.float32:
            return self._linear.plus(x, residual)
        return self._product(x.to(self._dtype)).add_(residual)

    def weight(self) -> Tensor:
        """[upsample * C_out, size * C_in] of the products' type. Raises ModelError where it is packed."""
        if self._weight is None:
            raise ModelError("A weight as it is was expected, but this one is packed for a CPU.")
        return self._weight

    def bias(self) -> Tensor:
        """float32 [upsample * C_out]."""
        return self._bias

    def cast(self, dtype: torch.dtype, *, tf32: bool = False) -> Dense:
        """The same with factors of another type, of a layer that is not packed.

        `tf32`: float32 rounded to what a tensor core reads of it, which would cut it off.
        """
        other = copy.copy(self)
        weight = self.weight().float()
        if tf32:
            weight = ((weight.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)
        other._weight, other._dtype = weight.to(dtype), dtype
        return other

    def _product(self, x: Tensor) -> Tensor:
        """float32, of x of the products' type."""
        if self._linear is not None:
            return self._linear(x).float()
        return F.linear(x, self.weight()).float().add_(self._bias)


class Depthwise:
    """A causal convolution of each channel by itself, its taps `dilation` apart."""

    def __init__(self, weights: TakesTensors, name: str, form: Form, *, dilation: int = 1) -> None:
        weight = fold_weight_norm(weights, name).to(form.device)  # [C, 1, k]
        self.taps = weight[:, 0].t().contiguous()  # [k, C]
        self._image = weight.unsqueeze(2)  # [C, 1, 1, k]: time is the width of an image of height 1
        self.bias = weights.take(f"{name}.bias").float().to(form.device)
        self.dilation = dilation
        self.past = ((len(self.taps) - 1) * dilation, weight.shape[0])

    def __call__(self, joined: Tensor) -> Tensor:
        if joined.device.type != "cpu":  # cuDNN's depthwise convolutions may be of TF32, and differ with the batch
            num_rows = joined.shape[1] - self.past[0]
            y = self.bias.expand(joined.shape[0], num_rows, -1).clone()
            for i, tap in enumerate(self.taps):
                y.addcmul_(joined[:, i * self.dilation : i * self.dilation + num_rows], tap)
            return y
        image = joined.transpose(1, 2).unsqueeze(2)  # [B, C, 1, T], channels last, for which there are fast kernels
        y = F.conv2d(image, self._image, self.bias, dilation=(1, self.dilation), groups=joined.shape[2])
        return y.squeeze(2).transpose(1, 2).contiguous()


class ToMono:
    """A causal convolution to one channel: each row times each tap, then sums along the diagonals."""

    def __init__(self, weights: TakesTensors, name: str, form: Form) -> None:
        self.taps = fold_weight_norm(weights, name)[0].t().contiguous().to(form.device)  # [k, C]
        self.bias = weights.take(f"{name}.bias").float().to(form.device)  # [1]
        self._linear = make_linear(self.taps, None, device=form.device, dtype=torch.float32) if form.packed else None
        self.past = (self.taps.shape[0] - 1, self.taps.shape[1])

    def __call__(self, joined: Tensor) -> Tensor:
        """[B, rows + T, C] -> [B, T]."""
        y = F.linear(joined, self.taps) if self._linear is None else self._linear(joined)  # [B, rows + T, k]
        num_rows, num_taps = y.shape[1:]
        shape = (y.shape[0], num_rows - num_taps + 1, num_taps)
        diagonals = y.as_strided(shape, (num_rows * num_taps, num_taps, num_taps + 1))  # row t + i, tap i
        return diagonals.sum(2).add_(self.bias)


class ResidualUnit:
    """x + conv1x1(snake(depthwise(snake(x))))."""

    def __init__(self, weights: TakesTensors, name: str, form: Form, *, dilation: int) -> None:
        self.first = Snake(weights, f"{name}.block.0", form)
        self.depthwise = Depthwise(weights, f"{name}.block.1", form, dilation=dilation)
        self.second = Snake(weights, f"{name}.block.2", form)
        self.pointwise = dense(weights, f"{name}.block.3", form)
        self.past = self.depthwise.past

    def __call__(self, x: Tensor, past: Tensor) -> Tensor:
        y = self.depthwise(self.first.remember(past, x))
        return self.pointwise.plus(self.second(y), x)

    def cast(self, dtype: torch.dtype, *, tf32: bool = False) -> ResidualUnit:
        """`Dense.cast` of the product."""
        other = copy.copy(self)
        other.pointwise = self.pointwise.cast(dtype, tf32=tf32)
        return other


DILATIONS = (1, 3, 9)
"""Of the three residual units of a block."""


def residual_units(weights: TakesTensors, name: str, first: int, form: Form) -> tuple[ResidualUnit, ...]:
    """The three units of a block, the first of them `name.first`."""
    return tuple(
        ResidualUnit(weights, f"{name}.{first + i}", form, dilation=dilation) for i, dilation in enumerate(DILATIONS)
    )


def dense(
    weights: TakesTensors,
    name: str,
    form: Form,
    *,
    stride: int = 1,
    num_past: int | None = None,
) -> Dense:
    """A convolution [C_out, C_in, k]; it looks back k - 1 rows, unless `num_past` says otherwise."""
    weight = fold_weight_norm(weights, name)
    size = weight.shape[2]
    matrix = weight.transpose(1, 2).reshape(weight.shape[0], -1)  # [C_out, k * C_in]
    bias = weights.take(f"{name}.bias").float()
    num_past = size - 1 if num_past is None else num_past
    return Dense(matrix, bias, form, size=size, stride=stride, num_past=num_past)


def upsampler(weights: TakesTensors, name: str, form: Form) -> Dense:
    """A transposed convolution [C_in, C_out, 2 s] of stride s whose last s samples are cut.

    Row t makes rows s t to s t + s - 1 with the first half of the kernel, and the s after them with the second.
    Seen from there: a product of rows t - 1 and t, side by side, makes s rows at once, and nothing is left to add.
    """
    weight = fold_weight_norm(weights, name)
    num_in, num_out, size = weight.shape
    stride = size // 2
    matrix = torch.empty(stride, num_out, 2, num_in)
    matrix[:, :, 0] = weight[:, :, stride:].permute(2, 1, 0)  # row t - 1 takes the second half
    matrix[:, :, 1] = weight[:, :, :stride].permute(2, 1, 0)
    del weight  # the largest is 117 MB
    bias = weights.take(f"{name}.bias").float().repeat(stride)
    return Dense(matrix.view(stride * num_out, -1), bias, form, size=2, num_past=1, upsample=stride)
