"""The one object through which layers compute: each operation in the form that is fastest where it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib import metadata, util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import plain
from .choices import PLAIN, Choices, Timer
from .graph_timer import GraphTimer
from .probes import PROBES, written

if TYPE_CHECKING:
    from .fused.ahead import Plan

log = logging.getLogger(__name__)


class Kernels:
    """The operations of a step. On a CPU, and without triton, all are plain.

    On CUDA an operation has a form for each shape that it was first called with inside `measuring`; at a shape unknown
    outside it, the plain one runs, so that nothing is ever timed within a graph's capture.
    """

    def __init__(self, device: torch.device, *, timer: Timer | None = None) -> None:
        """`timer`: calls a piece of work repeatedly and returns microseconds a call; by default on the device."""
        self._device = device
        self._fused: ModuleType | None = None
        self._is_measuring = False
        self._plan: Plan | None = None
        self._planned: set[str] = set()
        self.has_loaded = False
        """Whether an earlier process's choices were taken over."""
        own = GraphTimer(device)
        self._choices = Choices(timer or own)
        self._forget = own.forget
        if device.type == "cuda":
            if util.find_spec("triton") is None:
                log.warning("triton is not installed: every operation runs in its plain form")
            else:
                from .fused import forms

                self._fused = forms

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """x [..., hidden], in float32; cast back before the weight."""
        return self._run(plain.rms_norm, x, weight, eps)

    def swiglu(self, gate_up: Tensor) -> Tensor:
        """[..., 2 ffn] -> silu(first half) * second half."""
        return self._run(plain.swiglu, gate_up)

    def rope_store(
        self, qkv: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor
    ) -> Tensor:
        """Rotates q and k of qkv [N, heads + 2 kv_heads, dim] by cos and sin, float32 [N, dim], writes k and v into one
        layer's caches [slots, kv_heads, positions, dim] at `slots` and `positions`, int64 [N], and returns q
        [N, heads, dim]. Where two tokens name one entry, either may stay."""
        return self._run(plain.rope_store, qkv, cos, sin, keys, values, slots, positions)

    def attend_slots(
        self, q: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, *, block: int
    ) -> Tensor:
        """Token n of q [N, heads, dim] sees cache positions 0..positions[n] -> [N, heads * dim]. Every `block` tokens
        read one slot, that of the first of them; N is a multiple of it. What no token has reached is never read."""
        return self._run(plain.attend_slots, q, keys, values, slots, positions, block)

    def rope_attend(
        self,
        qkv: Tensor,
        cos: Tensor,
        sin: Tensor,
        keys: Tensor,
        values: Tensor,
        slots: Tensor,
        positions: Tensor,
        *,
        block: int,
    ) -> Tensor:
        """`rope_store`, then `attend_slots` with the q that it returns -> [N, heads * dim]: one launch for both where
        tokens decode (block 1)."""
        return self._run(plain.rope_attend, qkv, cos, sin, keys, values, slots, positions, block)

    def attend_patch(
        self, qkv: Tensor, cos: Tensor, sin: Tensor, first: int, last: int, *, num_kv_heads: int
    ) -> Tensor:
        """qkv [rows, T, heads + 2 kv_heads, dim] not yet rotated, cos and sin float32 [T, dim]: all T tokens of a row
        see each other; tokens first..last-1 are the queries -> [rows, last - first, heads * dim]."""
        return self._run(plain.attend_patch, qkv, cos, sin, first, last, num_kv_heads)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x [..., in], weight [out, in], bias [out] -> [..., out]."""
        return self._run(plain.linear, x, weight, bias)

    def norm_linear(self, x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
        """linear(rms_norm(x, norm, eps), weight)."""
        return self._run(plain.norm_linear, x, norm, eps, weight)

    def norm_swiglu(self, x: Tensor, norm: Tensor, eps: float, gate_up: Tensor) -> Tensor:
        """swiglu(linear(rms_norm(x, norm, eps), gate_up)); gate_up [2 ffn, in] -> [..., ffn]."""
        return self._run(plain.norm_swiglu, x, norm, eps, gate_up)

    def linear_plus(self, x: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
        """residual + linear(x, weight), both [..., out]; the residual itself stays as it is."""
        return self._run(plain.linear_plus, x, weight, residual)

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Inside, all is plain; at its end every form of what was called, but is not chosen yet, is compiled."""
        if self._fused is None:
            yield
            return
        from .fused.ahead import Plan

        self._plan = plan = Plan()
        try:
            yield
        finally:
            self._plan = None
        plan.compile(self._device)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, the first call of each operation at a shape times its forms, on inputs of its own."""
        self._is_measuring = True
        try:
            yield
        finally:
            self._is_measuring = False
            self._forget()

    def choices(self) -> dict[str, str]:
        """ "operation|shapes dtype" -> "plain" or "fused ...", with times, and the reason where a form failed."""
        return self._choices.described()

    def save(self, path: Path) -> None:
        """Keeps the choices, so that a later process on the same device and versions need not measure.

        Raises: OSError.
        """
        self._choices.save(path, self._place())

    def load(self, path: Path) -> bool:
        """Takes over what was saved here. False, and nothing changes: saved elsewhere, or no such file."""
        is_loaded = self._choices.load(path, self._place())
        self.has_loaded |= is_loaded
        return is_loaded

    def _run(self, operation: Callable[..., Tensor], *args: object) -> Tensor:
        if self._fused is None:
            return operation(*args)
        name = operation.__name__
        key = _key(name, args)
        choice = self._choices.get(key)
        if choice is None and self._plan is not None:
            self._note(self._fused, self._plan, operation, key, args)
        elif choice is None and self._is_measuring:
            self._measure(self._fused, operation, key, args)
            choice = self._choices.get(key)
        if choice is None or choice.form == PLAIN:
            return operation(*args)
        try:
            result: Tensor = getattr(self._fused, name)(*args)[choice.form](*args)
        except Exception as error:  # whatever a compiler or a driver may raise
            self._choices.give_up(key, error)
            return operation(*args)
        return result

    def _note(
        self, fused: ModuleType, plan: Plan, operation: Callable[..., Tensor], key: str, args: tuple[object, ...]
    ) -> None:
        """What the forms of this call will start, unless a call like it was before."""
        if key in self._planned:
            return
        self._planned.add(key)
        with suppress(Exception):  # whatever a form cannot do is said when it is measured
            for form in getattr(fused, operation.__name__)(*args, start=plan.add).values():
                form(*args)

    def _measure(self, fused: ModuleType, operation: Callable[..., Tensor], key: str, args: tuple[object, ...]) -> None:
        name = operation.__name__

        def bound(form: Callable[..., Tensor]) -> Callable[[], Sequence[Tensor]]:
            probe = PROBES[name](*args)
            return lambda: (form(*probe), *written(name, probe))

        forms: dict[str, Callable[..., Tensor]] = getattr(fused, name)(*args)
        self._choices.measure(key, bound(operation), {form: bound(run) for form, run in forms.items()})

    def _place(self) -> dict[str, str]:
        device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type
        triton = metadata.version("triton") if util.find_spec("triton") else "none"
        return {"device": device, "torch": torch.__version__, "triton": triton, "kernels": _fingerprint()}


def _fingerprint() -> str:
    """Of the kernels as they are written: what was chosen among others says nothing of them."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def _key(name: str, args: tuple[object, ...]) -> str:
    """The operation, the shapes of its tensors, and its whole numbers."""
    shapes = [
        "x".join(map(str, arg.shape)) if isinstance(arg, Tensor) else str(arg)
        for arg in args
        if isinstance(arg, Tensor | int)
    ]
    dtype = next(str(arg.dtype).removeprefix("torch.") for arg in args if isinstance(arg, Tensor))
    return f"{name}|{','.join(shapes)} {dtype}"
