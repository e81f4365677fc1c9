# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""Device code of the linear layers: one kernel, whose constants say what stands before and after the product.

At few rows the work is a stream of weights: each program takes a few outputs, all rows, and walks along the inputs. The
norm's mean square is summed on the same walk and applied at the end, since it scales whole rows; nothing is split along
the inputs, so that the order of the sum is fixed.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["num_rows"])
def linear_kernel(
    x,  # [num_rows, num_in]
    weight,  # [num_out, num_in]; GATED: [2 num_out, num_in], the gate's rows first
    bias,  # [num_out], where HAS_BIAS
    norm,  # [num_in], where NORMED
    residual,  # [num_rows, num_out], where PLUS
    y,  # [num_rows, num_out]
    num_rows,
    eps,
    NUM_IN: tl.constexpr,
    NUM_OUT: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    NORMED: tl.constexpr,
    GATED: tl.constexpr,
    PLUS: tl.constexpr,
    STREAMED: tl.constexpr,  # each weight is read by one program only
    EXACT: tl.constexpr,
    ROWS: tl.constexpr,
    OUTS: tl.constexpr,
    INS: tl.constexpr,
):
    num_row_blocks = tl.cdiv(num_rows, ROWS)
    # Programs that run side by side share weights: those of one block of outputs follow each other.
    row = (tl.program_id(0) % num_row_blocks) * ROWS + tl.arange(0, ROWS)
    out = (tl.program_id(0) // num_row_blocks) * OUTS + tl.arange(0, OUTS)
    lane = tl.arange(0, INS)
    is_row = row < num_rows
    is_out = out < NUM_OUT
    row_at = x + row.to(tl.int64)[:, None] * NUM_IN
    weight_at = weight + out.to(tl.int64)[:, None] * NUM_IN
    policy: tl.constexpr = "evict_first" if STREAMED else ""
    precision: tl.constexpr = "ieee" if EXACT else "tf32"

    total = tl.zeros((ROWS, OUTS), tl.float32)
    total_up = tl.zeros((ROWS, OUTS), tl.float32)
    squares = tl.zeros((ROWS,), tl.float32)
    for begin in range(0, NUM_IN, INS):
        at = begin + lane
        if NUM_IN % INS == 0:
            part = tl.load(row_at + at[None, :], mask=is_row[:, None], other=0.0)
        else:
            part = tl.load(row_at + at[None, :], mask=is_row[:, None] & (at < NUM_IN)[None, :], other=0.0)
        if NUM_IN % INS == 0 and NUM_OUT % OUTS == 0:
            taken = tl.load(weight_at + at[None, :], eviction_policy=policy)
        else:
            is_weight = is_out[:, None] & (at < NUM_IN)[None, :]
            taken = tl.load(weight_at + at[None, :], mask=is_weight, other=0.0, eviction_policy=policy)
        if NORMED:
            wide = part.to(tl.float32)
            squares += tl.sum(wide * wide, 1)
            scale = tl.load(norm + at, mask=at < NUM_IN, other=0.0).to(tl.float32)
            part = (wide * scale[None, :]).to(part.dtype)
        total = tl.dot(part, tl.trans(taken), total, input_precision=precision)
        if GATED:
            if NUM_IN % INS == 0 and NUM_OUT % OUTS == 0:
                taken = tl.load(weight_at + NUM_OUT * NUM_IN + at[None, :], eviction_policy=policy)
            else:
                is_weight = is_out[:, None] & (at < NUM_IN)[None, :]
                taken = tl.load(
                    weight_at + NUM_OUT * NUM_IN + at[None, :], mask=is_weight, other=0.0, eviction_policy=policy
                )
            total_up = tl.dot(part, tl.trans(taken), total_up, input_precision=precision)

    if NORMED:
        root = tl.rsqrt(squares / NUM_IN + eps)
        total *= root[:, None]
        total_up *= root[:, None]
    if HAS_BIAS:
        total += tl.load(bias + out, mask=is_out, other=0.0).to(tl.float32)[None, :]
    if GATED:
        total = total / (1.0 + tl.exp(-total)) * total_up
    to = row.to(tl.int64)[:, None] * NUM_OUT + out[None, :]
    is_y = is_row[:, None] & is_out[None, :]
    if PLUS:
        total += tl.load(residual + to, mask=is_y, other=0.0).to(tl.float32)
    tl.store(y + to, total.to(y.dtype.element_ty), mask=is_y)
