"""A whole utterance in one call, for notebooks, tests and comparisons with the official implementation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base import ModelError
from .backbone import Span
from .config import AUDIO_START
from .network import VoxCPM
from .noise import patch_noise
from .prompt import encode_prompt
from .vae_encoder import AudioVaeEncoder
from .weights import Weights

PATCHES_PER_TOKEN = 6.0
SPARE_PATCHES = 10
"""The original's length rule: at most 6 patches for each token of the text, and 10."""

MIN_PATCHES = 2
"""The stop flag counts only after this many patches and one more (the original's `min_len`)."""

MAX_PATCHES = 2000

PRIMING_PATCHES = 2
"""The codec is primed with so many of a prompt's last patches, as the original decodes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What was spoken."""

    latents: Tensor  # float32 [patches, patch, feat]
    audio: Tensor  # float32 [samples], at the model's rate
    stopped: bool  # by the stop flag; else the length rule or max_patches ended it


def load(checkpoint_dir: str | Path, *, device: str = "cpu", dtype: str = "float32") -> VoxCPM:
    """The checkpoint in that directory, for one utterance at a time.

    `device` as torch names it, `dtype` float32 or bfloat16 (the codec stays float32). Raises ModelError, naming file
    and field, for anything missing, unexpected or wrong.
    """
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in dtypes:
        raise ModelError(f"The dtype float32 or bfloat16 was expected, but {dtype!r} came.")
    return VoxCPM(Path(checkpoint_dir), device=torch.device(device), dtype=dtypes[dtype])


@torch.inference_mode()
def generate(
    model: VoxCPM,
    text: str,
    *,
    prompt: tuple[str, NDArray[np.float32]] | None = None,
    noise: NDArray[np.float32] | Tensor | None = None,
    seed: int = 0,
    cfg_value: float = 2.0,
    inference_timesteps: int = 10,
    max_patches: int | None = None,
) -> Generated:
    """Speak a text at once.

    `prompt`: a transcript and its audio, float32 [samples] at the model's rate; the voice goes on from there, and the
    text follows the transcript without a separator. `noise`: float32 [patches, feat, patch], one for each patch and no
    more patches than that; without it, it follows from `seed`. Runs of white space in the text count as one space.

    Raises ModelError for a blank text, a prompt without samples or what does not fit the model's context.
    """
    if not text.strip():
        raise ModelError("A text was expected, but it is blank.")
    text = re.sub(r"\s+", " ", text)
    config, device = model.config, model.device
    latents = prompt_latents(model, prompt[1]) if prompt else torch.empty(0, config.patch_size, config.feat_dim)
    ids = [*model.tokenizer.encode((prompt[0] if prompt else "") + text), AUDIO_START]
    num_tokens = len(model.tokenizer.encode(text))
    num_context = len(ids) + len(latents)
    longest = min(int(PATCHES_PER_TOKEN * num_tokens + SPARE_PATCHES), MAX_PATCHES, model.num_positions - num_context)
    if longest <= 0:
        raise ModelError(
            f"A text and prompt of less than {model.num_positions} tokens and patches were expected, "
            f"but {num_context} came."
        )
    longest = min(longest, max_patches or longest, len(noise) if noise is not None else longest)
    latents = latents.to(device)
    tokens = torch.cat([model.embed_text(ids), model.embed_patches(latents)]) if len(latents) else model.embed_text(ids)
    is_audio = torch.arange(num_context, device=device) >= len(ids)
    before = latents[-1:] if len(latents) else torch.zeros(1, config.patch_size, config.feat_dim, device=device)
    span = Span(0, 0, num_context)
    cfg = torch.tensor([cfg_value], device=device)
    made: list[Tensor] = []
    stopped = False
    while len(made) < longest and not stopped:
        state = model.advance(tokens, is_audio, [span])
        stopped = len(made) > MIN_PATCHES and bool(model.stops(state))
        drawn = _noise(model, noise, seed, len(made)).to(device)
        before = model.solve(state, before, drawn, num_steps=inference_timesteps, cfg_value=cfg)
        made.append(before)
        tokens, is_audio = model.embed_patches(before), torch.ones(1, dtype=torch.bool, device=device)
        span = Span(0, span.start + span.num_tokens, 1)
    spoken = torch.cat(made)  # [patches, patch, feat]
    primed = torch.cat([latents[-PRIMING_PATCHES:], spoken])
    audio = model.decoder.decode(primed.flatten(0, 1)[None])[0]  # [samples]
    return Generated(latents=spoken.cpu(), audio=audio[-len(spoken) * config.patch_samples :].cpu(), stopped=stopped)


def prompt_latents(model: VoxCPM, audio: NDArray[np.float32]) -> Tensor:
    """A prompt's patches, float32 [patches, patch, feat]; the codec's encoder is loaded for this call only.

    Raises ModelError for an empty prompt.
    """
    if audio.ndim != 1 or not len(audio):
        raise ModelError(f"A prompt of shape [samples] was expected, but its shape is {list(audio.shape)}.")
    with Weights(model.checkpoint, model.config) as weights:
        encoder = AudioVaeEncoder(model.config.vae, weights)
    return encode_prompt(encoder, torch.from_numpy(audio), patch_samples=model.config.patch_samples)


def _noise(model: VoxCPM, noise: NDArray[np.float32] | Tensor | None, seed: int, patch: int) -> Tensor:
    config = model.config
    if noise is None:
        return patch_noise(seed, 0, patch, patch_size=config.patch_size, feat_dim=config.feat_dim)[None]
    return torch.as_tensor(noise[patch], dtype=torch.float32).T[None]  # [1, patch, feat]
