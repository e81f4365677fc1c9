"""A voice prompt: what was said before, in words and in latents, from which VoxCPM goes on in the same voice."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ..base import ModelError
from .vae_encoder import AudioVaeEncoder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """Transcript and speech. The text that follows is appended to the transcript without a separator."""

    text: str
    latents: Tensor  # float32 [patches, patch, feat]


def encode_prompt(encoder: AudioVaeEncoder, audio: Tensor, *, patch_samples: int) -> Tensor:
    """Float32 samples at the model's rate [samples] -> latents, float32 [patches, patch, feat].

    Silence is added in front up to a whole patch, so that speech reaches to the end, where the voice goes on.
    Raises ModelError for an empty prompt.
    """
    if audio.ndim != 1 or not len(audio):
        raise ModelError(f"A prompt of shape [samples] was expected, but its shape is {list(audio.shape)}.")
    means = encoder.encode(F.pad(audio, (-len(audio) % patch_samples, 0)))  # [patches * patch, feat]
    return means.view(-1, patch_samples // encoder.config.hop_samples, means.shape[1])
