"""The fused forms of each operation at a shape, by name: each takes what the plain form takes, and does the same.

`start`: what is done with their launches, if they are not to be run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from .. import plain
from . import linear as layers
from . import patch, rows, slots
from .launch import Launch

Form = Callable[..., Tensor]
Start = Callable[[Launch], None]


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, start: Start = Launch.run) -> dict[str, Form]:
    return {"row": partial(_norm, start)}


def swiglu(gate_up: Tensor, *, start: Start = Launch.run) -> dict[str, Form]:
    return {"row": partial(_gate, start)}


def rope_store(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    of_slots: Tensor,
    positions: Tensor,
    *,
    start: Start = Launch.run,
) -> dict[str, Form]:
    return {"token": lambda *given: _ran(start, *rows.rope_store(*given))}


def attend_slots(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    of_slots: Tensor,
    positions: Tensor,
    block: int,
    *,
    start: Start = Launch.run,
) -> dict[str, Form]:
    def form(cut: slots.Cut, *given: Any) -> Tensor:
        return _ran(start, *slots.launches(cut, *given))

    found = slots.cuts(q.shape[1], keys.shape[1], keys.shape[2], block)
    return {str(cut): partial(form, cut) for cut in found}


def rope_attend(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    of_slots: Tensor,
    positions: Tensor,
    block: int,
    *,
    start: Start = Launch.run,
) -> dict[str, Form]:
    """Prefills rotate in a launch of their own: a block reads keys that its neighbours store."""

    def form(cut: slots.Cut, qkv: Tensor, cos: Tensor, sin: Tensor, *cached: Any) -> Tensor:
        if block == 1:
            return _ran(start, *slots.launches(cut, qkv, *cached, tables=(cos, sin)))
        *stored_in, _ = cached
        q = _ran(start, *rows.rope_store(qkv, cos, sin, *stored_in))
        return _ran(start, *slots.launches(cut, q, *cached))

    num_kv_heads = keys.shape[1]
    found = slots.cuts(qkv.shape[1] - 2 * num_kv_heads, num_kv_heads, keys.shape[2], block)
    return {str(cut): partial(form, cut) for cut in found}


def attend_patch(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    first: int,
    last: int,
    num_kv_heads: int,
    *,
    start: Start = Launch.run,
) -> dict[str, Form]:
    def form(taken: int, *given: Any) -> Tensor:
        return _ran(start, *patch.launch(taken, *given))

    found = patch.heads_taken(qkv.shape[2] - 2 * num_kv_heads, num_kv_heads)
    return {f"{taken} heads": partial(form, taken) for taken in found}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, start: Start = Launch.run) -> dict[str, Form]:
    def form(tile: layers.Tile, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return _ran(start, *layers.launch(tile, x, weight, bias=bias))

    if _num_rows(x) > layers.FEW_ROWS:
        return {}
    return {str(tile): partial(form, tile) for tile in layers.tiles(_num_rows(x), is_gated=False)}


def linear_plus(x: Tensor, weight: Tensor, residual: Tensor, *, start: Start = Launch.run) -> dict[str, Form]:
    def form(tile: layers.Tile, x: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
        return _ran(start, *layers.launch(tile, x, weight, residual=residual))

    return {str(tile): partial(form, tile) for tile in layers.tiles(_num_rows(x), is_gated=False)}


def norm_linear(x: Tensor, norm: Tensor, eps: float, weight: Tensor, *, start: Start = Launch.run) -> dict[str, Form]:
    def form(tile: layers.Tile, x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
        return _ran(start, *layers.launch(tile, x, weight, norm=norm, eps=eps))

    def apart(x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
        return plain.linear(_norm(start, x, norm, eps), weight)

    tiles = {str(tile): partial(form, tile) for tile in layers.tiles(_num_rows(x), is_gated=False)}
    return {APART: apart, **tiles}


def norm_swiglu(x: Tensor, norm: Tensor, eps: float, gate_up: Tensor, *, start: Start = Launch.run) -> dict[str, Form]:
    def form(tile: layers.Tile, x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
        return _ran(start, *layers.launch(tile, x, weight, norm=norm, eps=eps, is_gated=True))

    def apart(x: Tensor, norm: Tensor, eps: float, gate_up: Tensor) -> Tensor:
        return _gate(start, plain.linear(_norm(start, x, norm, eps), gate_up))

    tiles = {str(tile): partial(form, tile) for tile in layers.tiles(_num_rows(x), is_gated=True)}
    return {APART: apart, **tiles}


APART = "apart"
"""The library's product between kernels of our own: what many rows may want."""


def _norm(start: Start, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return _ran(start, *rows.rms_norm(x, weight, eps))


def _gate(start: Start, gate_up: Tensor) -> Tensor:
    return _ran(start, *rows.swiglu(gate_up))


def _ran(start: Start, launches: Launch | list[Launch], y: Tensor) -> Tensor:
    for launch in [launches] if isinstance(launches, Launch) else launches:
        start(launch)
    return y


def _num_rows(x: Tensor) -> int:
    return x.numel() // x.shape[-1]
