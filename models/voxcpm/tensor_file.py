"""A file of named tensors, safetensors or PyTorch's own: shapes first, then one tensor at a time."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..base import ModelError

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
"""What weights may be stored in, by safetensors' names. Integers and eight-bit floats are somebody's quantisation,
without its scales."""

REOPEN_BYTES = 64 << 20
"""Pages of a mapped file count as resident from their first reading until the file is unmapped: so often it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a file says of a tensor before its values are read."""

    shape: tuple[int, ...]
    dtype: str  # as torch calls it, where it is one of DTYPES
    loadable: bool  # whether the dtype is one of DTYPES


_BROKEN = (AssertionError, AttributeError, TypeError, struct.error)
"""What a pickle of garbage makes the unpickler stumble over, besides the usual."""


class _Opened(Protocol):
    def stored(self) -> dict[str, Stored]: ...

    def tensor(self, name: str) -> Tensor: ...


class TensorFile:
    """An open file. `stored` tells every tensor's shape and dtype; `read` gives a copy of one, and keeps nothing.

    Raises ModelError, in one sentence with the file's name, for one that is truncated, corrupt or unreadable, and for
    a pickle that holds anything but tensors and plain values: such a file is refused without running what it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: _Opened | None = _open(path)
        self.stored: Mapping[str, Stored] = self._opened.stored()
        self._num_bytes_read = 0

    def read(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """A copy of the tensor, in that dtype or the one it is stored in.

        Raises ModelError for a NaN or an infinity.
        """
        return self._finite(name).to(dtype=dtype, copy=True, memory_format=torch.contiguous_format)

    def verify(self, name: str) -> None:
        """Raises ModelError for a NaN or an infinity in the tensor."""
        self._finite(name)

    def _finite(self, name: str) -> Tensor:
        """The tensor in the mapped file, which nobody may keep."""
        if self._opened is None or self._num_bytes_read > REOPEN_BYTES:
            self._opened = None
            self._opened = _open(self.path)
            self._num_bytes_read = 0
        try:
            tensor = self._opened.tensor(name)
        except SafetensorError as error:
            raise ModelError(f"{self.path}: the tensor '{name}' cannot be read: {error}.") from None
        self._num_bytes_read += tensor.nbytes
        # A sum that is finite had finite terms only, and takes no memory; one that is not may be a mere overflow.
        if not torch.isfinite(tensor.sum()):
            num_bad = int(torch.count_nonzero(~torch.isfinite(tensor)))
            if num_bad:
                raise ModelError(
                    f"{self.path}: finite values were expected in the tensor '{name}', "
                    f"but {num_bad} of {tensor.numel()} are NaN or infinite."
                )
        return tensor

    def problems(self, expected: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
        """What is missing, misshapen, of another dtype, or not expected: a sentence each."""
        for name, shape in expected.items():
            stored = self.stored.get(name)
            if stored is None:
                yield f"{self.path}: the tensor '{name}' of shape {list(shape)} was expected, but it is missing."
            elif stored.shape != shape:
                yield (
                    f"{self.path}: the tensor '{name}' of shape {list(shape)} was expected, "
                    f"but {list(stored.shape)} came."
                )
            elif not stored.loadable:
                yield f"{self.path}: floating-point values were expected in '{name}', but {stored.dtype} came."
        for name in self.stored:
            if name not in expected:
                yield f"{self.path}: no tensor '{name}' was expected, but one came."

    def close(self) -> None:
        self._opened = None

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def refuse(problems: Sequence[str]) -> None:
    """Raises ModelError where there are problems: the first of them, and how many more there are."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ModelError(f"{problems[0].removesuffix('.')}{more}.")


def _open(path: Path) -> _Opened:
    try:
        with path.open("rb") as file:
            file.read(1)
        return _Safetensors(path) if path.suffix == ".safetensors" else _Pickled(path)
    except OSError as error:
        raise ModelError(f"A readable {path} was expected, but it is not: {error.strerror or error}.") from None


class _Safetensors:
    """The header is checked against the file's size when it is opened, so that nothing is missing later."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: Any = safe_open(path, framework="pt", device="cpu")
        except SafetensorError as error:
            reason = str(error).removeprefix("Error while deserializing header: ").rstrip(".")
            raise ModelError(f"{path}: a whole safetensors file was expected, but it is not: {reason}.") from None

    def stored(self) -> dict[str, Stored]:
        slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118, no mapping
        return {
            name: Stored(
                shape=tuple(each.get_shape()),
                dtype=str(DTYPES.get(each.get_dtype(), each.get_dtype())).removeprefix("torch."),
                loadable=each.get_dtype() in DTYPES,
            )
            for name, each in slices.items()
        }

    def tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


class _Pickled:
    """`torch.save`'s format, read by PyTorch's restricted unpickler, which knows tensors and plain values only."""

    def __init__(self, path: Path) -> None:
        try:
            with warnings.catch_warnings(action="ignore"):  # an odd pickle is refused below, in one sentence
                # The format before 2020 is no zip archive, and cannot be mapped.
                values = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except pickle.UnpicklingError as error:
            named = re.search(r"GLOBAL (\S+)", str(error))
            came = f"it names {named[1]}" if named else "it holds something else, or ends too early"
            raise ModelError(
                f"{path}: a PyTorch file of nothing but tensors was expected, but {came}; it was not run."
            ) from None
        except (RuntimeError, EOFError, ValueError, LookupError, ArithmeticError, *_BROKEN) as error:
            reason = re.split(r"[.:\n]", f"{error}")[0] or "it ends too early"
            raise ModelError(f"{path}: a whole PyTorch file was expected, but it is not: {reason}.") from None
        if isinstance(values, dict) and isinstance(values.get("state_dict"), dict):
            values = values["state_dict"]
        if not isinstance(values, dict):
            raise ModelError(f"{path}: a dict of tensors was expected, but a {type(values).__name__} came.")
        for name, value in values.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                raise ModelError(f"{path}: named tensors were expected, but {name!r} is a {type(value).__name__}.")
        self._tensors: dict[str, Any] = values

    def stored(self) -> dict[str, Stored]:
        return {
            name: Stored(
                shape=tuple(each.shape),
                dtype=str(each.dtype).removeprefix("torch."),
                loadable=each.dtype in DTYPES.values() and each.layout is torch.strided,
            )
            for name, each in self._tensors.items()
        }

    def tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._tensors[name].detach()
        return tensor
