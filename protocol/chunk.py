"""Sound as the client's user takes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from .messages import AudioFormat, Segment, WordTiming

SAMPLE_BYTES: Final = {"pcm_s16le": 2, "pcm_f32le": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Sound as it came, usually one patch.

    `pcm` or `packets` is set, as `audio` says. Where `new_run` is true the coder starts afresh: drop the first
    `audio.pre_skip` samples of what it gives. `words` and `segments` are those told since the last chunk.
    """

    seq: int
    pts: int  # ticks
    samples: int  # ticks
    audio: AudioFormat
    pcm: bytes | None = None
    packets: tuple[bytes, ...] | None = None
    new_run: bool = False
    words: tuple[WordTiming, ...] = ()
    segments: tuple[Segment, ...] = ()

    @property
    def num_bytes(self) -> int:
        """What it weighs."""
        return len(self.pcm or b"") + sum(map(len, self.packets or ()))

    @property
    def end_pts(self) -> int:
        """Where the next begins."""
        return self.pts + self.samples

    def up_to(self, pts: int) -> Chunk:
        """The sound before that tick; all of it where the bytes are not those of its ticks, as in a codec."""
        sample_bytes = SAMPLE_BYTES.get(self.audio.codec, 0)
        if self.pcm is None or len(self.pcm) != self.samples * sample_bytes:
            return self
        samples = pts - self.pts
        return replace(self, samples=samples, pcm=self.pcm[: samples * sample_bytes])
