"""What the user has given of an utterance, so that the rest of it can be given again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .messages import ABSENT, Absent, AudioFormat, ClientMessage, End, Flush, Start, Started, Text

CLOSERS = frozenset('.,;:!?…。，、；：！？)]}»”’"')
"""What may stand at the end of a word and belongs to it."""


class Manuscript:
    """One utterance. Bounded as its text is: a flush is kept only where there is new text before it."""

    def __init__(self, start: Start) -> None:
        self.is_ended = bool(start.end)
        self.num_chars = 0
        self._start = replace(start, text=None, end=None)
        self._audio: AudioFormat | Absent = ABSENT
        self._parts: list[str] = []
        self._flushes: list[int] = []
        self.write(start.text or "")

    @property
    def text(self) -> str:
        """All of it."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def write(self, text: str) -> None:
        self._parts.append(text)
        self.num_chars += len(text)

    @property
    def is_flushed(self) -> bool:
        """Whether another flush would say nothing new."""
        return self._flushes[-1:] == [self.num_chars]

    def flush(self) -> None:
        self._flushes.append(self.num_chars)

    def end(self) -> None:
        self.is_ended = True

    def change_format(self, audio: AudioFormat) -> None:
        self._audio = audio

    def next_word(self, position: int) -> int:
        """The code point at which a word can begin, at or after the end of another."""
        text = self.text
        while position < len(text) and text[position] in CLOSERS:
            position += 1
        while position < len(text) and text[position].isspace():
            position += 1
        return position

    def from_there(
        self, position: int, utterance: str, started: Started | None, after: str | None, piece_chars: int
    ) -> Iterator[ClientMessage]:
        """What a server that knows of nothing must be told to speak the text from there, as it was to be spoken."""
        start = replace(self._start, utterance=utterance, after=after)
        if started is not None:  # what it had chosen, it is to choose again; and what it had preempted is over
            start = replace(start, voice=started.voice, seed=started.seed, params=started.params, preempt=None)
        yield start if isinstance(self._audio, Absent) else replace(start, audio=self._audio)
        text = self.text
        for flush in [*(at for at in self._flushes if at > position), None]:
            end = len(text) if flush is None else flush
            for at in range(position, end, piece_chars):
                yield Text(utterance=utterance, text=text[at : min(end, at + piece_chars)])
            position = end
            if flush is not None:
                yield Flush(utterance=utterance)
        if self.is_ended:
            yield End(utterance=utterance)
