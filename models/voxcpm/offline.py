"""A whole utterance in one call, for notebooks, tests and comparisons with the official implementation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base import ModelError
from . import length
from .backbone import Span
from .config import AUDIO_START, read_config
from .flow import MAX_STEPS
from .network import VoxCPM
from .noise import patch_noise
from .passage import spaced
from .placement import placed, precision
from .prompt import Prompt, encode_prompt
from .speaker import PRIMING_PATCHES
from .vae_encoder import AudioVaeEncoder
from .weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What was spoken."""

    latents: Tensor  # float32 [patches, patch, feat]
    audio: Tensor  # float32 [samples], at the model's rate
    stopped: bool  # by the stop flag; else the length rule or max_patches ended it


def load(
    checkpoint_dir: str | Path, *, device: str = "cpu", dtype: str = "float32", adapters: Sequence[Path] = ()
) -> VoxCPM:
    """The checkpoint in that directory, for one utterance at a time.

    `device` as torch names it, `dtype` float32, bfloat16 or auto (the codec stays float32); `adapters`: LoRA folders.
    Raises ModelError, naming file and field, for anything missing, unexpected or wrong.
    """
    config = read_config(Path(checkpoint_dir))
    where = placed(device)
    return VoxCPM(Path(checkpoint_dir), device=where, dtype=precision(dtype, config.dtype, where), adapters=adapters)


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
    adapter: str | None = None,
) -> Generated:
    """Speak a text at once.

    `prompt`: a transcript and its audio, float32 [samples] at the model's rate; the voice goes on from there, and the
    text follows the transcript without a separator. `noise`: float32 [patches, feat, patch], one for each patch and no
    more patches than that; without it, it follows from `seed`. `adapter`: the name of a loaded LoRA. Runs of white
    space in the text count as one space.

    Raises ModelError for a blank text, a prompt without samples, arguments out of range or of another shape, and what
    does not fit the model's context.
    """
    if not text.strip():
        raise ModelError("A text was expected, but it is blank.")
    if max_patches is not None and max_patches < 1:
        raise ModelError(f"At least one patch was expected for 'max_patches', but {max_patches} came.")
    if not 2 <= inference_timesteps <= MAX_STEPS:
        raise ModelError(f"2 to {MAX_STEPS} 'inference_timesteps' were expected, but {inference_timesteps} came.")
    if not math.isfinite(cfg_value):
        raise ModelError(f"A finite 'cfg_value' was expected, but {cfg_value} came.")
    patch_shape = (model.config.feat_dim, model.config.patch_size)
    if noise is not None and (noise.ndim != 3 or not len(noise) or tuple(noise.shape[1:]) != patch_shape):
        raise ModelError(
            f"'noise' of shape [patches, {patch_shape[0]}, {patch_shape[1]}] was expected, but its shape "
            f"is {list(noise.shape)}."
        )
    if adapter is not None and model.adapters is None:
        raise ModelError(f"The adapter {adapter!r} was asked for, but none is loaded.")
    text = spaced(text)
    heard = prompt_latents(model, prompt[1]) if prompt else None
    latents, stopped = generate_latents(
        model,
        text,
        prompt=Prompt(text=prompt[0], latents=heard) if prompt and heard is not None else None,
        noise=noise,
        seed=seed,
        cfg_value=cfg_value,
        inference_timesteps=inference_timesteps,
        max_patches=max_patches,
        adapter=adapter,
    )
    primed = torch.cat([heard[-PRIMING_PATCHES:], latents]) if heard is not None else latents
    audio = model.decoder.decode(primed.flatten(0, 1)[None])[0]  # [samples]
    return Generated(latents=latents, audio=audio[-len(latents) * model.config.patch_samples :].cpu(), stopped=stopped)


@torch.inference_mode()
def generate_latents(
    model: VoxCPM,
    text: str,
    *,
    prompt: Prompt | None = None,
    noise: NDArray[np.float32] | Tensor | None = None,
    seed: int = 0,
    cfg_value: float = 2.0,
    inference_timesteps: int = 10,
    max_patches: int | None = None,
    adapter: str | None = None,
) -> tuple[Tensor, bool]:
    """The patches of `generate`, float32 [patches, patch, feat] on the CPU, and whether the voice stopped by itself.

    It speaks in slot 0. Raises ModelError for what does not fit the model's context.
    """
    config, device = model.config, model.device
    ids = [*model.tokenizer.encode((prompt.text if prompt else "") + text), AUDIO_START]
    latents = prompt.latents if prompt else torch.empty(0, config.patch_size, config.feat_dim)
    num_context = len(ids) + len(latents)
    room = model.num_positions - num_context
    if room <= 0:
        raise ModelError(
            f"A text and prompt of less than {model.num_positions} tokens and patches were expected, "
            f"but {num_context} came."
        )
    longest = min(room, length.longest(len(model.tokenizer.encode(text))))
    longest = min(longest, max_patches or longest, len(noise) if noise is not None else longest)
    latents = latents.to(device)
    number = torch.tensor([model.adapters.number(adapter)], device=device) if model.adapters else None
    tokens = model.embed_text(ids)
    if len(latents):
        tokens = torch.cat([tokens, model.embed_patches(latents, _repeated(number, len(latents)))])
    is_audio = torch.arange(num_context, device=device) >= len(ids)
    before = latents[-1:] if len(latents) else torch.zeros(1, config.patch_size, config.feat_dim, device=device)
    span = Span(0, 0, num_context)
    cfg = torch.tensor([cfg_value], device=device)
    made: list[Tensor] = []
    stopped = False
    while len(made) < longest and not stopped:
        state = model.advance(tokens, is_audio, [span], _repeated(number, span.num_tokens))
        stopped = length.stops(len(made), bool(model.stops(state)))
        drawn = _noise(model, noise, seed, len(made)).to(device)
        before = model.solve(state, before, drawn, num_steps=inference_timesteps, cfg_value=cfg, rows=number)
        made.append(before)
        if not stopped:
            tokens, is_audio = model.embed_patches(before, number), torch.ones(1, dtype=torch.bool, device=device)
            span = Span(0, span.start + span.num_tokens, 1)
    return torch.cat(made).cpu(), stopped


def prompt_latents(model: VoxCPM, audio: NDArray[np.float32]) -> Tensor:
    """A prompt's patches, float32 [patches, patch, feat]; the codec's encoder is loaded for this call only.

    Raises ModelError for an empty prompt, or one of another shape or with values that are not finite.
    """
    if not np.isfinite(audio).all():
        raise ModelError("A prompt of finite samples was expected, but some are NaN or infinite.")
    with Weights(model.checkpoint, model.config) as weights:
        encoder = AudioVaeEncoder(model.config.vae, weights)
    return encode_prompt(encoder, torch.from_numpy(audio), patch_samples=model.config.patch_samples)


def _repeated(number: Tensor | None, num_rows: int) -> Tensor | None:
    return None if number is None else number.expand(num_rows)


def _noise(model: VoxCPM, noise: NDArray[np.float32] | Tensor | None, seed: int, patch: int) -> Tensor:
    config = model.config
    if noise is None:
        return patch_noise(seed, 0, patch, patch_size=config.patch_size, feat_dim=config.feat_dim)[None]
    return torch.as_tensor(noise[patch], dtype=torch.float32).T[None]  # [1, patch, feat]
