"""What has come of an utterance: its sound, and where its text sounds in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from .chunk import SAMPLE_BYTES, Chunk
from .chunk_buffer import ChunkBuffer
from .headstart import HeadStart
from .messages import Audio, AudioFormat, Done, FormatChanged, Segment, Started, Words, WordTiming
from .told import Restart, Told

MAX_LAG_MS: Final = 40
"""Of a coder: one frame of Opus at its longest, and what it looks ahead."""


class Intake:
    """One utterance, in its own numbers; it goes on when the utterance is begun anew.

    `sample_rate`: of the ticks. `clock`: monotonic seconds.
    """

    def __init__(
        self, buffer: ChunkBuffer, head_start: HeadStart, sample_rate: int, clock: Callable[[], float]
    ) -> None:
        self.told = Told()
        self._buffer = buffer
        self._head_start = head_start
        self._sample_rate = sample_rate
        self._clock = clock
        self._audio = AudioFormat()
        self._new_run = True
        self._new_words: list[WordTiming] = []
        self._new_segments: list[Segment] = []

    def take(self, message: Started | FormatChanged | Segment | Words | Audio, *, keeps_sound: bool) -> None:
        """The next message."""
        match message:
            case Started():
                self._audio = message.audio
            case FormatChanged():
                self._audio, self._new_run = message.audio, True
            case Segment():
                self.told.segments.append(message)
                self._head_start.begin(message.text_start, message.text_end, message.pts)
                self._new_segments.append(message)
            case Words():
                self.told.add_words(message)
                self._new_words += message.words
                for word in message.words[-1:]:
                    self._head_start.reach(word.text_end, word.pts_end)
            case _:
                self._head_start.arrive(message.samples, self._clock())
                chunk = self._chunk_of(message)
                if keeps_sound:
                    self._buffer.put(chunk)

    def cut(self, since: int, next_word: Callable[[int], int]) -> Restart:
        """Where to begin anew: at the first word at or after `since` that was not heard. What came of it is dropped.

        `next_word`: where in the text a word begins, at or after the end of another.
        """
        found = self.told.first_unheard(since, max(0, self._buffer.end_pts - self._lag))
        self._buffer.cut(found.pts)
        at = Restart(text_start=next_word(found.text_start), pts=self._buffer.end_pts, estimated=found.estimated)
        self.told.forget_from(at.text_start)
        self._new_run = True
        self._new_words.clear()
        self._new_segments.clear()
        return at

    @property
    def _lag(self) -> int:
        """Ticks that may still be in the coder: the payload of all but native PCM is behind its `pts`."""
        is_native = self._audio.codec in SAMPLE_BYTES and self._audio.sample_rate == self._sample_rate
        return 0 if is_native else self._sample_rate * MAX_LAG_MS // 1000

    def done(self, utterance: str, reason: Literal["end", "cancelled"], text: str, played: int) -> Done:
        """The end, as a server would have told it."""
        return Done(
            utterance=utterance,
            seq=self._buffer.next_seq,
            reason=reason,
            samples=self._buffer.end_pts,
            text_chars=len(text),
            spoken=self.told.spoken(text, played) if reason == "cancelled" else None,
        )

    def _chunk_of(self, audio: Audio) -> Chunk:
        chunk = Chunk(
            seq=audio.seq,
            pts=audio.pts,
            samples=audio.samples,
            audio=self._audio,
            pcm=audio.data,
            packets=audio.packets,
            new_run=self._new_run,
            words=tuple(self._new_words),
            segments=tuple(self._new_segments),
        )
        self._new_run = False
        self._new_words.clear()
        self._new_segments.clear()
        return chunk
