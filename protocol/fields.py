"""What messages are made of: the kinds of their fields, with ranges and lengths, and the audio format."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final, Literal

from .constraints import OneLine, OneOf, Range, WellFormed
from .errors import ErrorCode

VERSION: Final = 1
SUBPROTOCOL: Final = "voxwire.v1"
MAX_TICKS: Final = 2**53 - 1
"""The largest integer that every client's numbers hold exactly."""


class Absent(Enum):
    """The type of `ABSENT`: the key is not there, which is not the same as null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

Fault = tuple[ErrorCode, str]
"""A code and one sentence."""

UtteranceId = Annotated[str, OneLine(1, 64, reserved="*")]
CancelTarget = Annotated[str, OneLine(1, 64)]
Name = Annotated[str, OneLine(1, 64)]
Label = Annotated[str, OneLine(0, 256)]
Secret = Annotated[str, OneLine(1, 4096)]
Prose = Annotated[str, WellFormed()]
Ticks = Annotated[int, Range(0, MAX_TICKS)]
Count = Annotated[int, Range(0, MAX_TICKS)]
Milliseconds = Annotated[float, Range(0, 1e15)]
Number = Annotated[float, Range(-1e300, 1e300)]
Nonce = Annotated[str, OneLine(0, 64)] | Annotated[int, Range(-MAX_TICKS, MAX_TICKS)] | Number

Codec = Literal["pcm_s16le", "pcm_f32le", "opus"]
Segmentation = Literal["auto", "sentence", "clause", "manual"]
Control = Literal["native", "stretch", "none"]

PCM_RATES: Final = (8000, 16000, 22050, 24000, 44100, 48000)
OPUS_RATE: Final = 48000
OPUS_FRAMES_MS: Final = (10, 20, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How audio is carried. Mono. A given one replaces the whole earlier one."""

    codec: Annotated[Codec, OneOf(("pcm_s16le", "pcm_f32le", "opus"), ErrorCode.UNSUPPORTED_FORMAT)] = "pcm_s16le"
    sample_rate: Annotated[int, OneOf(PCM_RATES, ErrorCode.UNSUPPORTED_FORMAT)] | None = None  # Hz; None: the model's
    bitrate: Annotated[int, Range(6000, 128000, ErrorCode.UNSUPPORTED_FORMAT)] = 32000  # bit/s, Opus only
    frame_ms: Annotated[int, OneOf(OPUS_FRAMES_MS, ErrorCode.UNSUPPORTED_FORMAT)] = 20  # Opus only
    pre_skip: Count | None = None  # samples at the codec's rate to drop at a run's start; the server's to say

    def fault(self) -> Fault | None:
        """What no single field shows."""
        if self.codec == "opus" and self.sample_rate not in (None, OPUS_RATE):
            return ErrorCode.UNSUPPORTED_FORMAT, f"expected sample_rate 48000 with codec opus, got {self.sample_rate}"
        return None

    def resolved(self, model_sample_rate: int, *, pre_skip: int = 0) -> AudioFormat:
        """The same with every value given, as `ready`, `started` and the server's `format` say it."""
        rate = OPUS_RATE if self.codec == "opus" else self.sample_rate or model_sample_rate
        return AudioFormat(
            codec=self.codec, sample_rate=rate, bitrate=self.bitrate, frame_ms=self.frame_ms, pre_skip=pre_skip
        )
