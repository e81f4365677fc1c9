"""A voice prompt: what was said before, in words and in latents, from which VoxCPM goes on in the same voice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..base import ModelError
from ..voice_folder import MAX_PROMPT_S
from .vae_encoder import AudioVaeEncoder

MAX_PROMPT_RATE_HZ = 192_000
MAX_PROMPT_CHANNELS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """Transcript and speech. The text that follows is appended to the transcript without a separator."""

    text: str
    latents: Tensor  # float32 [patches, patch, feat]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """A prompt as it was recorded."""

    samples: NDArray[np.float32]  # [samples], mono
    rate_hz: int

    def at(self, rate_hz: int) -> NDArray[np.float32]:
        """Its samples at another rate."""
        if rate_hz == self.rate_hz:
            return self.samples
        resampled: NDArray[np.float32] = soxr.resample(self.samples, self.rate_hz, rate_hz)
        return resampled


def read_recording(path: Path) -> Recording:
    """A sound file, averaged to mono. No more of it is decoded than may be there.

    Raises ModelError for a file that is not sound, is empty, longer than 30 s or has values that are not finite.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate_hz, num_channels = file.samplerate, file.channels
            if not 0 < rate_hz <= MAX_PROMPT_RATE_HZ or num_channels > MAX_PROMPT_CHANNELS:
                raise ModelError(
                    f"{path}: a rate up to {MAX_PROMPT_RATE_HZ} Hz and at most {MAX_PROMPT_CHANNELS} channels "
                    f"were expected, but {rate_hz} Hz and {num_channels} came."
                )
            longest = int(MAX_PROMPT_S * rate_hz)
            samples = file.read(longest + 1, dtype="float32", always_2d=True)  # [samples, channels]
    except (OSError, soundfile.LibsndfileError) as error:
        raise ModelError(f"{path}: a sound file was expected, but it cannot be read: {error}.") from None
    if not len(samples):
        raise ModelError(f"{path}: speech was expected, but there is not one sample.")
    if len(samples) > longest:
        raise ModelError(f"{path}: at most {MAX_PROMPT_S:g} s of speech were expected, but there is more.")
    if not np.isfinite(samples).all():
        raise ModelError(f"{path}: finite samples were expected, but some are NaN or infinite.")
    return Recording(samples=samples.mean(1), rate_hz=rate_hz)


def encode_prompt(encoder: AudioVaeEncoder, audio: Tensor, *, patch_samples: int) -> Tensor:
    """Float32 samples at the model's rate [samples] -> latents, float32 [patches, patch, feat].

    Silence is added in front up to a whole patch, so that speech reaches to the end, where the voice goes on.
    Raises ModelError for an empty prompt.
    """
    if audio.ndim != 1 or not len(audio):
        raise ModelError(f"A prompt of shape [samples] was expected, but its shape is {list(audio.shape)}.")
    means = encoder.encode(F.pad(audio, (-len(audio) % patch_samples, 0)))  # [patches * patch, feat]
    return means.view(-1, patch_samples // encoder.config.hop_samples, means.shape[1])
