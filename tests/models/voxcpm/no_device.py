"""A CUDA device that is not there: tensors on it have shapes, types and places, and no numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from bench.checkpoint_shapes import CheckpointShape
from bench.checkpoint_tokenizer import write_tokenizer
from models.voxcpm.config import VoxCPMConfig
from models.voxcpm.weights import expected_tensors

DEVICE = torch.device("cuda", 0)

aten: Any = torch.ops.aten


class NoDevice(FakeTensorMode):  # type: ignore[no-untyped-call]
    """While `watched`, an operation that a graph cannot record is an error: it reads or writes memory of the host, its
    shape depends on numbers, or it draws them."""

    def __init__(self) -> None:
        super().__init__()
        self._is_watched = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._is_watched = True
        try:
            yield
        finally:
            self._is_watched = False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> object:
        if func is aten._local_scalar_dense.default and args[0].device.type == "cpu" and not self._is_watched:
            return 1.0 if args[0].dtype.is_floating_point else 1  # a host may read its own memory
        result = super().__torch_dispatch__(func, types, args, kwargs or {})
        if self._is_watched:
            places = {str(leaf.device) for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)}
            if not places <= {str(DEVICE)}:
                raise AssertionError(f"{func} of {sorted(places)} where only {DEVICE} was expected")
            if torch.Tag.nondeterministic_seeded in func.tags and "attention" not in str(func):  # that could, and may
                raise AssertionError(f"{func} draws numbers")
        return result


READS = (Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__)


class Spelled(TorchFunctionMode):
    """What a PyTorch without CUDA does not even try on such tensors (indexing, a few methods), in other words."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
        if func in READS and args[0].device == DEVICE:
            raise AssertionError(f"{func} waits for the device")
        if func is Tensor.__getitem__:
            view, indices = _viewed(*args)
            return view if indices is None else aten.index.Tensor(view, indices)
        if func is Tensor.__setitem__:
            view, indices = _viewed(*args[:2])
            if indices is not None:
                aten.index_put_.default(view, indices, args[2])
            elif isinstance(args[2], Tensor):
                aten.copy_.default(view, args[2])
            else:
                view.fill_(args[2])
            return None
        if func is Tensor.contiguous and not args[0].is_contiguous():
            return args[0].clone(memory_format=torch.contiguous_format)
        if func is Tensor.copy_:
            return aten.copy_.default(*args, **(kwargs or {}))
        if func is Tensor.__invert__:
            return torch.bitwise_not(args[0])
        return args[0] if func is Tensor.contiguous else func(*args, **(kwargs or {}))


def _viewed(x: Tensor, key: Any) -> tuple[Tensor, list[Tensor | None] | None]:
    """Everything of an index but tensors applied, and those by dimension, if there are any."""
    dim, indices = 0, list[Tensor | None]()
    for each in key if isinstance(key, tuple) else (key,):
        if isinstance(each, int):
            x = x.select(dim, each)
            continue
        if each is None:
            x = x.unsqueeze(dim)
        elif isinstance(each, slice):
            x = aten.slice.Tensor(x, dim, each.start, each.stop, each.step or 1)
        indices.append(each if isinstance(each, Tensor) else None)
        dim += 1
    return x, indices if any(each is not None for each in indices) else None


class NoWeights:
    """An open checkpoint with every name in it, and nothing else."""

    def __init__(self, checkpoint: Path, config: VoxCPMConfig) -> None:
        self._shapes = expected_tensors(config)

    def take(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(self._shapes[name], dtype=dtype or torch.float32)

    def __enter__(self) -> NoWeights:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class NoGraphs:
    """Records nothing."""

    def __init__(self, device: torch.device) -> None:
        pass

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        return work


def write_no_checkpoint(folder: Path, shape: CheckpointShape) -> None:
    """What there is of it beside weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(shape.config("bfloat16")), encoding="utf-8")
    write_tokenizer(folder, vocab_size=shape.vocab_size, byte_fallback=shape.byte_fallback)
