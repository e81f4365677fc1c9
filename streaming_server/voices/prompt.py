"""The recording of a voice: decoded a block at a time, looked at, and made mono 16-bit.

Nothing that a file says of itself is believed but its format: how long it is, is what comes out of the decoder.

    python -m streaming_server.voices.prompt < FILE

prints one JSON line, {"rate_hz", "sound_s"} and after it the samples, or {"status", "code", "message"}: decoders are C,
the file is anybody's, and so a server decodes in such a process. It may use little memory and little time.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from models.base import Pcm
from models.voice_folder import MAX_PROMPT_RATE_HZ, MAX_PROMPT_S, MIN_PROMPT_S

from .refusal import VoiceRefused, bad_audio

MAX_BYTES = 10 * 2**20
MIN_RATE_HZ = 8_000
MAX_STORED_RATE_HZ = 48_000
"""Above it there is no speech; whoever reads the recording has a quarter of the work."""
MAX_CHANNELS = 2
FORMATS = ("WAV", "FLAC", "Ogg", "MP3")

BLOCK_FRAMES = 65_536
FRAME_S = 0.02
SILENT_POWER = 10 ** (-50 / 10)
"""A frame below this holds no speech: -50 dBFS, RMS."""
FAINT_POWER = 10 ** (-35 / 10)
"""Nor does one that is 35 dB below the loudest: that is the room."""
MIN_SOUND_S = 0.8
FULL_SCALE = 0.999
MAX_CLIPPED = 0.002
"""So many of the samples may be at full scale. A loud recording has a few; an overdriven one has runs of them."""

CPU_S = 20
MEMORY_BYTES = 2 << 30
"""Of addresses, for the process; what is resident stays far below."""

_MAGIC = ((b"RIFF", 8, b"WAVE"), (b"RF64", 8, b"WAVE"), (b"fLaC", 0, b""), (b"OggS", 0, b""), (b"ID3", 0, b""))

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A recording that will do. `sound_s`: its length without the silence in it."""

    pcm: Pcm
    rate_hz: int
    sound_s: float


def read_prompt(file: IO[bytes]) -> Prompt:
    """Raises VoiceRefused, with what is wrong with the recording. Blocks; decodes no more than `MAX_PROMPT_S`."""
    check_kind(file)
    try:
        with soundfile.SoundFile(file) as sound:
            rate_hz = _rate_of(sound)
            samples = _decode(sound)
    except soundfile.LibsndfileError as error:
        raise bad_audio(f"the file cannot be read: {error.error_string}") from None
    if rate_hz > MAX_STORED_RATE_HZ:
        samples = np.clip(soxr.resample(samples, rate_hz, MAX_STORED_RATE_HZ), -1.0, 1.0)
        rate_hz = MAX_STORED_RATE_HZ
    return Prompt(np.rint(32_767 * samples).astype(np.int16), rate_hz, _sound_s(samples, rate_hz))


def check_kind(file: IO[bytes]) -> None:
    """By its size and first bytes, before a decoder sees it; then it stands at its beginning. Raises VoiceRefused."""
    num_bytes = file.seek(0, 2)
    if num_bytes > MAX_BYTES:
        raise too_large()
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if not head:
        raise bad_audio("a recording was expected, but the file is empty.")
    if not _is_known(head):
        raise bad_audio(f"a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file was expected, but this is none.")


def too_large() -> VoiceRefused:
    return VoiceRefused(413, "too_large", f"'audio': at most {MAX_BYTES} bytes were expected, but more came.")


def _is_known(head: bytes) -> bool:
    """libsndfile knows many formats that no recorder writes, and each is a parser more."""
    if any(head.startswith(start) and head[at:].startswith(rest) for start, at, rest in _MAGIC):
        return True
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # an MPEG frame of layer 3


def _rate_of(sound: soundfile.SoundFile) -> int:
    rate_hz: int = sound.samplerate
    if not MIN_RATE_HZ <= rate_hz <= MAX_PROMPT_RATE_HZ:
        raise bad_audio(
            f"a sample rate of {MIN_RATE_HZ} to {MAX_PROMPT_RATE_HZ} Hz was expected, but it has {rate_hz}."
        )
    if sound.channels > MAX_CHANNELS:
        raise bad_audio(f"one or two channels were expected, but it has {sound.channels}.")
    return rate_hz


def _decode(sound: soundfile.SoundFile) -> Samples:
    """Mono, [samples], from -1 to 1."""
    blocks: list[Samples] = []
    num_frames = num_clipped = 0
    for block in _blocks(sound):
        num_frames += len(block)
        if num_frames > MAX_PROMPT_S * sound.samplerate:
            raise bad_audio(f"at most {MAX_PROMPT_S:g} s were expected, but it is longer.")
        if not np.isfinite(block).all():
            raise bad_audio("numbers were expected as samples, but some are NaN or infinite.")
        num_clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        blocks.append(np.clip(block, -1.0, 1.0).mean(axis=1))  # [frames, channels] -> [frames]
    if num_frames < MIN_PROMPT_S * sound.samplerate:
        seconds = num_frames / sound.samplerate
        raise bad_audio(f"at least {MIN_PROMPT_S:g} s were expected, but it has {seconds:.2f} s.")
    if num_clipped > MAX_CLIPPED * num_frames * sound.channels:
        percent = 100 * num_clipped / (num_frames * sound.channels)
        raise bad_audio(f"a recording that is not overdriven was expected, but {percent:.1f} % of it is at full scale.")
    return np.concatenate(blocks)


def _blocks(sound: soundfile.SoundFile) -> Iterator[Samples]:
    while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
        yield block


def _sound_s(samples: Samples, rate_hz: int) -> float:
    """The seconds that hold sound. Raises VoiceRefused for silence and for next to none."""
    frame = round(FRAME_S * rate_hz)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)  # [frames, samples]
    power = np.square(frames - samples.mean()).mean(axis=1)  # a constant offset is no sound
    loudest = float(power.max())
    if loudest < SILENT_POWER:
        raise bad_audio("speech was expected, but it is silent.")
    sound_s = FRAME_S * int(np.count_nonzero(power > max(SILENT_POWER, FAINT_POWER * loudest)))
    if sound_s < MIN_SOUND_S:
        raise bad_audio(f"at least {MIN_SOUND_S:g} s of speech were expected, but only {sound_s:.2f} s are not silent.")
    return sound_s


def main() -> None:
    for kind, most in ((resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        allowed = resource.getrlimit(kind)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(kind, (most, most))
    answer: dict[str, object]
    samples = b""
    try:
        prompt = read_prompt(sys.stdin.buffer)
        answer = {"rate_hz": prompt.rate_hz, "sound_s": prompt.sound_s}
        samples = prompt.pcm.astype("<i2").tobytes()
    except VoiceRefused as refused:
        answer = {"status": refused.status, "code": refused.code, "message": str(refused)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + samples)


if __name__ == "__main__":
    main()
