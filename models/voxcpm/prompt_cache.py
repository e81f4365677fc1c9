"""Latents of prompts on disk, so that a recording is encoded once for each checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..base import ModelError
from .recording import SUFFIX, Recording, digest

MAX_ENTRIES = 512
"""192 KiB each for 30 s of v1.5: 96 MiB in all."""

STALE_S = 3_600.0
"""A half-written entry so old belongs to nobody any more."""

_STAGED = ".new-"
_NUM_PROBES, _PROBE_BYTES = 256, 4_096


class PromptCache:
    """A folder of entries, each latents float32 [patches, patch, feat]; without a folder nothing is kept.

    An entry's key says what it was made from by two hashes: the recording's or the words', and the checkpoint's. So all
    entries of a recording can be found (`forget_recording`). Several processes may use one folder: an entry is there
    whole or not at all.
    """

    def __init__(self, folder: Path | None, fingerprint: str, *, max_entries: int = MAX_ENTRIES) -> None:
        self._folder, self._fingerprint, self._max_entries = folder, fingerprint, max_entries

    def key_of_recording(self, recording: Recording) -> str:
        return f"{recording.digest}-{self._fingerprint}"

    def key_of_words(self, *words: str) -> str:
        """Of a prompt that the model made itself: whatever its latents follow from."""
        return f"{digest('words', *words)}-{self._fingerprint}"

    def read(self, key: str) -> Tensor | None:
        """The entry, or None where there is none; one that is damaged is removed, so that it is made anew."""
        if self._folder is None:
            return None
        path = self._path(key)
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                latents: Tensor = file.get_tensor("latents")
                digest = (file.metadata() or {}).get("digest")
        except OSError:  # there is none, or it cannot be read just now
            return None
        except SafetensorError:
            latents, digest = torch.empty(0), None
        if latents.ndim != 3 or latents.dtype != torch.float32 or digest != _digest(latents):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # what is used stays longest
        return latents

    def write(self, key: str, latents: Tensor) -> None:
        """Keep the entry; those not used for longest make room. Raises ModelError if it cannot."""
        if self._folder is None:
            return
        latents = latents.detach().to("cpu", torch.float32).contiguous()
        data = save({"latents": latents}, metadata={"digest": _digest(latents)})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_STAGED, delete=False) as file:
                staged = Path(file.name)
                try:
                    file.write(data)
                    file.flush()
                    staged.replace(self._path(key))
                except BaseException:
                    staged.unlink(missing_ok=True)
                    raise
            self._make_room()
        except OSError as error:
            raise ModelError(
                f"{self._folder}: a folder that can be written was expected, but it cannot: {error.strerror}."
            ) from None

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{key}{SUFFIX}"

    def _make_room(self) -> None:
        assert self._folder is not None
        entries: list[tuple[float, Path]] = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process makes room too
                used = path.stat().st_mtime
                if path.name.startswith(_STAGED) and time.time() - used > STALE_S:
                    path.unlink()
                elif path.suffix == SUFFIX and not path.name.startswith("."):
                    entries.append((used, path))
        for _, path in sorted(entries)[: max(0, len(entries) - self._max_entries)]:
            path.unlink(missing_ok=True)


def checkpoint_fingerprint(checkpoint: Path) -> str:
    """A checkpoint's content in 32 hexadecimal digits, in a moment: its small files whole, its weights in samples.

    Of each file with weights the size, the head (in safetensors: every name, shape and dtype) and 256 blocks of 4 KiB
    over all of it count: other training changes every tensor. Raises ModelError for a folder that cannot be read.
    """
    hashed = hashlib.sha256()
    try:
        for path in sorted(checkpoint.iterdir()):
            if path.suffix in (".json", ".safetensors", ".bin", ".pth", ".ckpt") and path.is_file():
                hashed.update(f"{path.name}\0{path.stat().st_size}\0".encode())
                for block in _blocks(path):
                    hashed.update(block)
    except OSError as error:
        raise ModelError(f"A readable {checkpoint} was expected, but it is not: {error.strerror}.") from None
    return hashed.hexdigest()[:32]


def _blocks(path: Path) -> Iterator[bytes]:
    """The file's head, and probes at equal distances; all of a small file."""
    head = 1 << 20
    with path.open("rb") as file:
        yield file.read(head)
        size = path.stat().st_size
        if path.suffix == ".json":
            while block := file.read(head):
                yield block
        elif size > head:
            for i in range(_NUM_PROBES):
                file.seek(head + (size - head - _PROBE_BYTES) * i // (_NUM_PROBES - 1))
                yield file.read(_PROBE_BYTES)


def _digest(latents: Tensor) -> str:
    return hashlib.sha256(latents.contiguous().numpy().tobytes()).hexdigest()
