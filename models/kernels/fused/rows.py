"""Starts the kernels that go over rows once."""

from __future__ import annotations

from torch import Tensor

from .launch import Launch, cache_strides, next_power
from .rows_jit import rms_norm_kernel, rope_store_kernel, swiglu_kernel

SWIGLU_WIDTH = 1024


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Launch, Tensor]:
    x = x.contiguous()
    hidden = x.shape[-1]
    y = x.new_empty(x.shape)
    launch = Launch(
        kernel=rms_norm_kernel,
        grid=(x.numel() // hidden,),
        arguments={"x": x, "weight": weight, "y": y, "eps": eps},
        constants={"HIDDEN": hidden, "WIDTH": next_power(hidden)},
    )
    return launch, y


def swiglu(gate_up: Tensor) -> tuple[Launch, Tensor]:
    gate_up = gate_up.contiguous()
    ffn = gate_up.shape[-1] // 2
    y = gate_up.new_empty(*gate_up.shape[:-1], ffn)
    width = min(SWIGLU_WIDTH, next_power(ffn))
    launch = Launch(
        kernel=swiglu_kernel,
        grid=(y.numel() // ffn, -(-ffn // width)),
        arguments={"gate_up": gate_up, "y": y},
        constants={"FFN": ffn, "WIDTH": width},
    )
    return launch, y


def rope_store(
    qkv: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor
) -> tuple[Launch, Tensor]:
    """keys and values are written in place."""
    _, num_kv_heads, _, dim = keys.shape
    num_heads = qkv.shape[1] - 2 * num_kv_heads
    q = qkv.new_empty(qkv.shape[0], num_heads, dim)
    launch = Launch(
        kernel=rope_store_kernel,
        grid=(qkv.shape[0],),
        arguments={
            "qkv": qkv.contiguous(),
            "cos": cos.contiguous(),
            "sin": sin.contiguous(),
            "keys": keys,
            "values": values,
            "slots": slots,
            "positions": positions,
            "q": q,
        },
        constants={
            "HEADS": num_heads,
            "KV_HEADS": num_kv_heads,
            "DIM": dim,
            **cache_strides(keys, values),
            "ROWS": next_power(qkv.shape[1]),
            "WIDTH": next_power(dim),
        },
    )
    return launch, q
