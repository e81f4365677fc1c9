"""A voice's recording as it lies in its folder, and what is kept of it once it is encoded. Needs no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..base import ModelError
from ..voice_folder import MAX_PROMPT_RATE_HZ, MAX_PROMPT_S, PROMPT_FILE

MAX_PROMPT_CHANNELS = 8

FORMAT = "2"
"""Part of every entry's name: to be raised when the same recording would give other latents."""

SUFFIX = ".safetensors"


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

    @property
    def digest(self) -> str:
        """How the names of its cache entries begin, one for each checkpoint; the transcript has no part in it."""
        return digest("recording", str(self.rate_hz), self.samples.astype("<f4").tobytes())


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


def digest(*parts: str | bytes) -> str:
    """32 hexadecimal digits."""
    hashed = hashlib.sha256()
    for part in (FORMAT, *parts):
        data = part.encode() if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little") + data)
    return hashed.hexdigest()[:32]


def forget_recording(prompt: Path, *, voices: Path, cache: Path) -> None:
    """Delete what any checkpoint made of a recording, unless another one in the voice folder is the same.

    Those that are just being taken in count, too. A prompt that cannot be read was never encoded. Raises OSError.
    """
    try:
        recording = read_recording(prompt)
    except ModelError:
        return
    if any(_is_same(recording, other) for other in voices.glob(f"*/{PROMPT_FILE}") if other != prompt):
        return
    for entry in cache.glob(f"{recording.digest}-*{SUFFIX}"):
        entry.unlink(missing_ok=True)


def _is_same(recording: Recording, path: Path) -> bool:
    try:
        info = soundfile.info(str(path))
        if (info.frames, info.samplerate) != (len(recording.samples), recording.rate_hz):
            return False
        return np.array_equal(recording.samples, read_recording(path).samples)
    except (soundfile.LibsndfileError, ModelError):
        return False
