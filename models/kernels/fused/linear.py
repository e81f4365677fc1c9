"""Starts the linear layers' kernel: which tiles it may take at a shape, and with what it is called."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .launch import Launch, is_exact, next_power, stages_that_fit
from .linear_jit import linear_kernel

FEW_ROWS = 64
"""Rows that one program takes at once: up to here every weight is read once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """What a program computes at a time: `rows` x `outs` results, `ins_bytes` of each row and weight per turn."""

    rows: int
    outs: int
    ins_bytes: int
    num_warps: int
    most_stages: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.outs}x{self.ins_bytes}b{self.num_warps}w"


def tiles(num_rows: int, *, is_gated: bool) -> list[Tile]:
    """Those worth a measurement; with a gate, `outs` of the gate and as many beside it."""
    if num_rows <= FEW_ROWS:
        rows = next_power(num_rows)
        return [
            Tile(rows=rows, outs=outs, ins_bytes=ins_bytes, num_warps=num_warps, most_stages=6)
            for outs, ins_bytes, num_warps in ([(16, 256, 4), (32, 128, 4), (32, 256, 8)] if is_gated else
                                               [(16, 512, 4), (16, 256, 4), (32, 256, 4)])
        ]  # fmt: skip
    shapes = [(64, 64, 128, 4), (128, 64, 128, 8)] if is_gated else [(64, 64, 128, 4), (128, 128, 128, 8)]
    return [
        Tile(rows=rows, outs=outs, ins_bytes=ins_bytes, num_warps=num_warps, most_stages=4)
        for rows, outs, ins_bytes, num_warps in shapes
    ]


def launch(
    tile: Tile,
    x: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    norm: Tensor | None = None,
    eps: float = 0.0,
    residual: Tensor | None = None,
    is_gated: bool = False,
) -> tuple[Launch, Tensor]:
    """The kernel on x [..., in] and weight [out, in] or, gated, [2 out, in], and the [..., out] it writes."""
    x, weight = x.contiguous(), weight.contiguous()
    num_in = weight.shape[1]
    num_out = weight.shape[0] // 2 if is_gated else weight.shape[0]
    num_rows = x.numel() // num_in
    y = x.new_empty(*x.shape[:-1], num_out)
    size = x.element_size()
    ins = max(16, min(tile.ins_bytes // size, next_power(num_in)))
    per_stage = (tile.rows + tile.outs * (2 if is_gated else 1)) * ins * size
    num_row_blocks = -(-num_rows // tile.rows)
    return (
        Launch(
            kernel=linear_kernel,
            grid=(num_row_blocks * -(-num_out // tile.outs),),
            arguments={
                "x": x,
                "weight": weight,
                # A pointer that no constant lets the kernel read must still be one.
                "bias": x if bias is None else bias,
                "norm": x if norm is None else norm,
                "residual": x if residual is None else residual.contiguous(),
                "y": y,
                "num_rows": num_rows,
                "eps": eps,
            },
            constants={
                "NUM_IN": num_in,
                "NUM_OUT": num_out,
                "HAS_BIAS": bias is not None,
                "NORMED": norm is not None,
                "GATED": is_gated,
                "PLUS": residual is not None,
                "STREAMED": num_row_blocks == 1,
                "EXACT": is_exact(x.dtype),
                "ROWS": tile.rows,
                "OUTS": tile.outs,
                "INS": ins,
            },
            num_warps=tile.num_warps,
            num_stages=stages_that_fit(per_stage, tile.most_stages),
        ),
        y,
    )
