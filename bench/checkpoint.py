"""Writes a random checkpoint in the official layout: `python -m bench.checkpoint --config 1.5 --seed 1 DIRECTORY`.

The weights keep a signal's size from layer to layer, so that what comes out is noise, neither silent nor clipped. They
stand in where the published weights are not at hand: in tests, in measurements, in a first try of the server.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.voxcpm.config import read_config
from models.voxcpm.weights import expected_tensors

from .checkpoint_shapes import SHAPES, CheckpointShape
from .checkpoint_tokenizer import write_tokenizer

FORMATS = ("safetensors", "bin")
DTYPES = ("float32", "bfloat16")
VAE_PREFIX = "audio_vae."

_CHUNK_VALUES = 1 << 24  # drawn at a time: 64 MiB


def main(argv: Sequence[str] | None = None) -> int:
    """0: written; 1: it could not be."""
    options = _parse(argv)
    try:
        write_checkpoint(
            options.out,
            SHAPES[options.config],
            seed=options.seed,
            never_stop=options.never_stop,
            format=options.format,
            dtype=options.dtype,
        )
    except OSError as error:
        print(f"bench.checkpoint: {error}", file=sys.stderr)
        return 1
    return 0


def write_checkpoint(
    out: Path,
    shape: CheckpointShape,
    *,
    seed: int,
    never_stop: bool = False,
    format: str = "safetensors",
    dtype: str = "float32",
) -> None:
    """All files of a checkpoint into the directory `out`, the same for the same arguments.

    `never_stop` makes the stop head zero: the first of two equal outputs wins, and speech goes on to its greatest
    length. (Equal rows are not enough: a library may add up two outputs in two ways.) `dtype` is that of all weights
    but the codec's, which are float32 as published. "safetensors" writes model.safetensors and audiovae.pth, tensor by
    tensor in little memory; "bin" writes pytorch_model.bin, which holds the whole model in memory once. Raises OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(shape.config(dtype), indent=1) + "\n", encoding="utf-8")
    write_tokenizer(out, vocab_size=shape.vocab_size, byte_fallback=shape.byte_fallback)
    shapes = expected_tensors(read_config(out))
    model = {name: size for name, size in shapes.items() if not name.startswith(VAE_PREFIX)}
    vae = {name: size for name, size in shapes.items() if name.startswith(VAE_PREFIX)}
    draws = Draws(seed, never_stop=never_stop)
    if format == "safetensors":
        _write_safetensors(out / "model.safetensors", model, draws, dtype)
    else:
        _save(out / "pytorch_model.bin", model, draws, dtype)
    _save(out / "audiovae.pth", vae, draws, "float32")


class Draws:
    """The value of each tensor, from the seed and its name alone: the order in which they are drawn does not matter."""

    def __init__(self, seed: int, *, never_stop: bool = False) -> None:
        self._seed, self._never_stop = seed, never_stop

    def chunks(self, name: str, shape: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """The tensor's values in order, flat and in pieces."""
        generator = np.random.Generator(np.random.PCG64([self._seed, zlib.crc32(name.encode())]))
        if self._never_stop and name == "stop_head.weight":
            yield np.zeros(shape, np.float32).reshape(-1)
        else:
            yield from self._values(generator, name, shape, int(np.prod(shape)))

    def _values(
        self, generator: np.random.Generator, name: str, shape: Sequence[int], count: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        mean, deviation = gain(name, shape)
        for start in range(0, count, _CHUNK_VALUES):
            size = min(_CHUNK_VALUES, count - start)
            if name.endswith("weight_g"):
                values = generator.random(size, dtype=np.float32) * 0.4 + 0.8
                values *= mean
            else:
                values = generator.standard_normal(size, dtype=np.float32)
                values *= deviation
                values += mean
            yield values.astype("<f4", copy=False)


def gain(name: str, shape: Sequence[int]) -> tuple[np.float32, np.float32]:
    """Mean and deviation of a tensor's values. A weight_g is uniform around its mean, and has no use for the other."""
    mean, deviation = 0.0, 1.0
    if name.endswith(".alpha"):  # of a snake
        mean, deviation = 1.0, 0.3
    elif name.endswith((".norm.weight", "layernorm.weight")):
        mean, deviation = 1.0, 0.1
    elif name.endswith(".bias"):
        deviation = 0.05
    elif name.endswith(".weight_g"):
        if len(set(shape)) == 1:  # of the convolution before the tanh, the only one with one channel
            mean = 0.2  # nothing clips, and ears are spared
        elif ".block.3." in name:  # where residual units end; three of them follow one another
            mean = 0.35
        else:
            mean = 1.0
    elif name.endswith(".weight") and not name.endswith("embed_tokens.weight"):
        deviation = (1.5 / shape[1]) ** 0.5
    return np.float32(mean), np.float32(deviation)


def as_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of the nearest bfloat16, the even one of two as near (values are finite)."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def _write_safetensors(path: Path, shapes: Mapping[str, Sequence[int]], draws: Draws, dtype: str) -> None:
    """The format's own package takes all tensors at once; this holds one piece of one tensor."""
    code, item_bytes = {"float32": ("F32", 4), "bfloat16": ("BF16", 2)}[dtype]
    ends = list(itertools.accumulate(int(np.prod(shape)) * item_bytes for shape in shapes.values()))
    entries = {
        name: {"dtype": code, "shape": list(shape), "data_offsets": [start, end]}
        for (name, shape), start, end in zip(shapes.items(), [0, *ends], ends, strict=False)
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, shape in shapes.items():
            for values in draws.chunks(name, shape):
                file.write((values if dtype == "float32" else as_bfloat16(values)).data)


def _save(path: Path, shapes: Mapping[str, Sequence[int]], draws: Draws, dtype: str) -> None:
    import torch

    state = {}
    for name, shape in shapes.items():
        tensor = torch.empty(tuple(shape), dtype=getattr(torch, dtype))
        flat, start = tensor.view(-1), 0
        for values in draws.chunks(name, shape):
            flat[start : start + len(values)] = torch.from_numpy(values)  # rounds as as_bfloat16 does
            start += len(values)
        state[name.removeprefix(VAE_PREFIX)] = tensor
    torch.save({"state_dict": state}, path)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoint", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the directory to write; it is made when missing")
    parser.add_argument("--config", choices=SHAPES, default="tiny", help="whose sizes (default: tiny)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files (default: 0)")
    parser.add_argument("--never-stop", action="store_true", help="speech never ends by itself, only at its cap")
    parser.add_argument("--format", choices=FORMATS, default="safetensors", help="of the model's file")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the weights (default: float32)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
