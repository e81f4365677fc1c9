"""How the tiny server speaks: every character of text becomes one patch of four samples, each the character's code."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from protocol.messages import Audio, Done, Segment, Spoken, Start, Trace, Words, WordTiming


@dataclass
class Job:
    """What the tiny server knows of an utterance."""

    start: Start
    text: str = ""
    spoken: int = 0
    num_segments: int = 0

    async def add(self, text: str, put: Any) -> None:
        if self.start.voice == "lazy" or not text:
            return
        name, start = self.start.utterance, len(self.text)
        self.text += text
        end = len(self.text)
        await put(
            Segment(
                utterance=name,
                index=self.num_segments,
                text_start=start,
                text_end=end,
                spoken=text,
                pts=4 * self.spoken,
            )
        )
        self.num_segments += 1
        words = tuple(WordTiming(at, at + 1, 4 * at, 4 * at + 4) for at in range(start, end))
        if self.start.voice != "wordless":
            await put(Words(utterance=name, words=words, estimated=True))
        for character in text:
            data = struct.pack("<4H", *[ord(character) & 0xFFFF] * 4)
            if self.start.voice == "flood":
                data *= 1000
            await put(Audio(utterance=name, pts=4 * self.spoken, samples=4, data=data))
            self.spoken += 1

    def done(self, reason: Any) -> Done:
        spoken = None
        if reason == "cancelled":
            end = len(self.text)
            spoken = Spoken(
                text_end=end, pts=4 * self.spoken, mid_word=False, estimated=True, text=self.text, remaining=""
            )
        return Done(
            utterance=self.start.utterance,
            reason=reason,
            samples=4 * self.spoken,
            text_chars=len(self.text),
            spoken=spoken,
            trace=Trace(done=1.0, patches=self.spoken),
        )


def said(pcm: list[bytes]) -> str:
    """The text that PCM of this server speaks."""
    return "".join(chr(struct.unpack("<4H", patch)[0]) for patch in pcm)
