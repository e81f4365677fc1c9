"""Sound as the client's user takes it."""

from __future__ import annotations

from dataclasses import dataclass

from .messages import AudioFormat, Segment, WordTiming


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
