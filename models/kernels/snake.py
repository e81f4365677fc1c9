# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""What the codec's kernels have in common: the snake, and numbers made as narrow as a tensor core takes them.

Imports triton: only who has a CUDA device, or triton's interpreter, imports this module.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def snake(x, alpha, inverse, FAST: tl.constexpr):
    """x + sin^2(alpha x) * inverse, float32.

    The sine is a polynomial of degree 9 (fitted here, 5e-9 from the sine) of what is left after whole multiples of pi,
    which the square does not see; pi is taken off in two parts. No branches, and within 2e-7 up to |alpha x| = 1e4,
    unlike the library's, which has a slow path. FAST: the hardware's sine, to 5e-7 near zero: for products that are
    rounded a thousand times as coarsely.
    """
    angle = x * alpha
    if FAST:
        sine = tl.inline_asm_elementwise(
            "sin.approx.f32 $0, $1;", "=f,f", [angle], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        turns = (angle * 0.3183098861837907 + 12582912.0) - 12582912.0  # 1.5 * 2^23: rounds to a whole number
        rest = angle - turns * 3.1415927410125732
        rest = rest + turns * 8.742278012618954e-8
        square = rest * rest
        series = square * 2.60893233e-06 - 1.98111126e-04
        series = series * square + 8.33308817e-03
        series = series * square - 1.66666605e-01
        sine = rest + rest * square * series
    return x + sine * sine * inverse


@triton.jit
def narrowed(x, TF32: tl.constexpr):
    """float32 as it is, or rounded to the ten bits of TF32: a tensor core cuts the rest off, which costs 17 dB."""
    if TF32:
        x = ((x.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return x
