"""The tiny checkpoints that are compared with the official implementation, and what is asked of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.checkpoint import write_checkpoint
from bench.checkpoint_lora import write_lora
from bench.checkpoint_shapes import TINY, TINY_CHANNELS, TINY_MUP, TINY_V1, CheckpointShape
from models.voxcpm.config import read_config

from .questions import Question, Speech, Tokens
from .texts import mixed_texts

TEXT = "你好, hello the 3 world."
PROMPT_TEXT = "我们今天 say one. "
NUM_TEXTS = 300
ADAPTER_RANK, ADAPTER_ALPHA = 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiny:
    """A checkpoint. Its seed is one with which `plain` goes on for 20 patches, and `stopping` ends by itself after the
    fifth or later; nothing that is rounded comes near to a half, where another machine might round the other way."""

    name: str
    shape: CheckpointShape
    seed: int
    format: str = "safetensors"
    asked_for_tokens: bool = False  # of two tokenizers, one with bytes and one with <unk> for what is in no vocabulary

    def write(self, folder: Path) -> None:
        """`folder/checkpoint` and `folder/adapter`."""
        write_checkpoint(folder / "checkpoint", self.shape, seed=self.seed, format=self.format)
        write_lora(
            folder / "adapter", read_config(folder / "checkpoint"), seed=self.seed,
            rank=ADAPTER_RANK, alpha=ADAPTER_ALPHA, projections=True,
        )  # fmt: skip

    def questions(self, folder: Path) -> list[Question]:
        """What is asked of a checkpoint written into that folder."""
        checkpoint, adapter = folder / "checkpoint", folder / "adapter"
        long = {"prompt_text": PROMPT_TEXT, "prompt_audio": prompt_audio(self.shape, 3.4)}
        short = {"prompt_text": PROMPT_TEXT, "prompt_audio": prompt_audio(self.shape, 0.7)}
        speeches = (
            ("plain", {"num_detailed": 2}, 20, {}),
            ("prompted", {"num_detailed": 1}, 10, long),
            ("briefly_prompted", {}, 4, short),
            ("stopping", {"text": "the end。", "noise": noise(self.shape, 40, seed=1)}, 40, {}),
            ("hurried", {"num_steps": 4, "cfg_value": 1.4}, 4, {}),
            ("patient", {"num_steps": 50, "cfg_value": 3.0}, 4, {}),
            ("adapted", {"adapter": adapter}, 10, {}),
            ("adapted_prompted", {"adapter": adapter, "num_detailed": 1}, 4, long),
            ("streaming", {"streaming": True}, 5, {}),
            ("streaming_prompted", {"streaming": True}, 3, long),
        )
        questions: list[Question] = []
        for name, arguments, num_patches, prompt in speeches:
            values = {"text": TEXT, "noise": noise(self.shape, num_patches), **arguments, **prompt}
            questions.append(Speech(name=f"{self.name}.{name}", checkpoint=checkpoint, **values))
        if self.asked_for_tokens:
            questions.append(Tokens(name=f"{self.name}.tokens", checkpoint=checkpoint, texts=mixed_texts(NUM_TEXTS)))
        return questions


TINIES = (
    Tiny(name="v15", shape=TINY, seed=84, asked_for_tokens=True),
    Tiny(name="v1", shape=TINY_V1, seed=386, format="bin", asked_for_tokens=True),
    Tiny(name="channels", shape=TINY_CHANNELS, seed=423),
    Tiny(name="mup", shape=TINY_MUP, seed=24),
)


def noise(shape: CheckpointShape, num_patches: int, seed: int = 0) -> NDArray[np.float32]:
    """[patches, feat, patch], the first patches of which are the same whatever their number."""
    generator = np.random.Generator(np.random.PCG64([seed, shape.feat, shape.patch]))
    return generator.standard_normal((num_patches, shape.feat, shape.patch), dtype=np.float32)


def prompt_audio(shape: CheckpointShape, num_patches: float) -> NDArray[np.float32]:
    """A chord with some noise that lasts so many patches."""
    num_samples = round(num_patches * shape.patch * np.prod(shape.vae_rates))
    seconds = np.arange(num_samples) / shape.sample_rate
    chord = sum(np.sin(2 * np.pi * hz * seconds + hz) for hz in (140.0, 350.0, 1100.0))
    rustle = np.random.Generator(np.random.PCG64(1)).standard_normal(num_samples)
    return (0.12 * chord + 0.02 * rustle).astype(np.float32)
