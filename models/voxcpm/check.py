"""All that is missing or wrong in a checkpoint, or what it is: without loading it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..base import ModelError
from .config import VoxCPMConfig, config_problems, read_config
from .length import NUM_POSITIONS
from .tensor_file import TensorFile
from .tokenizer import Tokenizer
from .weights import MODEL_FILES, VAE_FILES, VAE_PREFIX, expected_tensors, first_of, tensor_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`problems`: a sentence each, naming file and field or tensor. `facts`: what it is, a line each, without any."""

    problems: tuple[str, ...]
    facts: tuple[str, ...]


def check(checkpoint: Path) -> Findings:
    """Reads every file of the checkpoint once, a tensor at a time; every value must be finite."""
    if not checkpoint.is_dir():
        return Findings(problems=(f"A checkpoint directory was expected, but {checkpoint} is none.",), facts=())
    problems = config_problems(checkpoint)
    config = None if problems else read_config(checkpoint)
    problems += _tokenizer_problems(checkpoint, config)
    files: list[TensorFile] = []
    for names in (MODEL_FILES, VAE_FILES):
        try:
            if (path := first_of(checkpoint, names)) is not None:
                files.append(TensorFile(path))
            elif names is MODEL_FILES or not _holds_vae(files):
                problems.append(f"{checkpoint}: {names[0]} or {names[1]} was expected, but there is neither.")
        except ModelError as error:
            problems.append(str(error))
    try:
        if config is not None:
            problems += tensor_problems(files, config)
        problems += (problem for file in files for problem in _value_problems(file))
        facts = () if problems or config is None else tuple(_facts(config, files))
        return Findings(problems=tuple(problems), facts=facts)
    finally:
        for file in files:
            file.close()


def _tokenizer_problems(checkpoint: Path, config: VoxCPMConfig | None) -> Iterator[str]:
    try:
        Tokenizer(checkpoint, vocab_size=config.vocab_size if config is not None else 1 << 62)
    except ModelError as error:
        yield str(error)


def _holds_vae(files: list[TensorFile]) -> bool:
    return any(name.startswith(VAE_PREFIX) for file in files for name in file.stored)


def _value_problems(file: TensorFile) -> Iterator[str]:
    for name, stored in file.stored.items():
        try:
            if stored.loadable:
                file.verify(name)
        except ModelError as error:
            yield str(error)


def _facts(config: VoxCPMConfig, files: list[TensorFile]) -> Iterator[str]:
    shapes = expected_tensors(config)
    num_values = sum(map(math.prod, shapes.values()))
    num_codec = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(VAE_PREFIX))
    num_decoder = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(VAE_PREFIX + "decoder."))
    patch_ms = 1000 * config.patch_samples / config.sample_rate
    num_layers = config.lm.num_layers + config.residual_lm.num_layers
    num_kept = NUM_POSITIONS * num_layers * 2 * config.lm.num_kv_heads * config.lm.head_dim
    dtypes = sorted({stored.dtype for file in files for stored in file.stored.values()})
    yield f"architecture {config.architecture}, {config.sample_rate} Hz"
    yield f"{1000 / patch_ms:g} patches a second, of {patch_ms:g} ms and {config.patch_size} latents each"
    yield f"{config.lm.num_layers} + {config.residual_lm.num_layers} layers, {config.max_length} positions"
    yield (
        f"{num_values / 1e6:.1f} M parameters in {len(shapes)} tensors ({(num_values - num_codec) / 1e6:.1f} M without "
        f"the codec), stored as {', '.join(dtypes)} in {', '.join(file.path.name for file in files)}"
    )
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        # The codec is float32 always, and its encoder is there only while a voice is made.
        weights = size * (num_values - num_codec) + 4 * num_decoder
        yield (
            f"in {dtype} it wants {_shown(weights)} of memory for its weights, and "
            f"{_shown(size * num_kept)} for each utterance at once ({NUM_POSITIONS} tokens)"
        )


def _shown(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
