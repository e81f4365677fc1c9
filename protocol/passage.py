"""A stretch of an utterance as one session speaks it, and how its numbers stand in the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .messages import Audio, Done, Segment, Spoken, UtteranceMessage, Words, WordTiming


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What of the utterance is before it. `utterance`: its id on the wire; only the first has the user's own."""

    utterance: str
    text: str = ""
    pts: int = 0
    seq: int = 0
    num_segments: int = 0

    @property
    def is_first(self) -> bool:
        """Whether the numbers of the wire are those of the utterance."""
        return self.num_segments == self.pts == self.seq == 0 == len(self.text)

    def in_whole(self, message: UtteranceMessage, utterance: str) -> UtteranceMessage:
        """The message with the utterance's own numbers and id."""
        named: UtteranceMessage = replace(message, utterance=utterance)
        if named.seq is not None:
            named = replace(named, seq=named.seq + self.seq)
        chars, pts = len(self.text), self.pts
        match named:
            case Segment():
                return replace(
                    named,
                    index=named.index + self.num_segments,
                    text_start=named.text_start + chars,
                    text_end=named.text_end + chars,
                    pts=named.pts + pts,
                )
            case Words():
                words = (
                    WordTiming(w.text_start + chars, w.text_end + chars, w.pts + pts, w.pts_end + pts)
                    for w in named.words
                )
                return replace(named, words=tuple(words))
            case Audio():
                return replace(named, pts=named.pts + pts)
            case Done():
                return replace(
                    named,
                    samples=named.samples + pts,
                    text_chars=named.text_chars + chars,
                    spoken=named.spoken and self._spoken(named.spoken),
                )
            case _:
                return named

    def _spoken(self, spoken: Spoken) -> Spoken:
        return replace(
            spoken,
            text_end=spoken.text_end + len(self.text),
            pts=spoken.pts + self.pts,
            text=self.text + spoken.text,
        )
