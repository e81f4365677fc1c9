"""One utterance in its user's hands: sound to take, text to give, and the means to stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from .chunk import Chunk
from .chunk_buffer import ChunkBuffer
from .deltas import closing
from .errors import ErrorCode, LocalProtocolError, SpeechError
from .headstart import HeadStart
from .messages import (
    Audio,
    AudioFormat,
    Cancel,
    ClientMessage,
    Done,
    End,
    Error,
    Flush,
    Format,
    FormatChanged,
    ModelDescription,
    Playhead,
    Segment,
    Started,
    Text,
    Trace,
    UtteranceMessage,
    Words,
    WordTiming,
)

PLAYHEAD_INTERVAL_S: Final = 0.1
"""No more than ten playheads a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a Speech needs of its client."""

    post: Callable[[ClientMessage], None]  # raises LocalProtocolError; does nothing once the connection is lost
    pieces: Callable[[str], AsyncIterator[str]]  # a text in parts that the server has room for, when it has
    model: Callable[[], ModelDescription]  # the server's
    clock: Callable[[], float]  # monotonic seconds


class Speech:
    """An utterance. Iterate over it for its chunks; leaving the loop early cancels it.

    Iteration ends with the utterance. It raises SpeechError if that fails, or whatever the text's iterator raised.
    """

    def __init__(self, utterance: str, line: Line) -> None:
        self.utterance = utterance
        self.started: Started | None = None
        self.done: Done | None = None
        self.segments: list[Segment] = []
        self.errors: list[Error] = []
        """What the server said went wrong, also where the speech went on."""
        self.num_chars = 0
        """Code points given."""
        self._line = line
        model = line.model()
        self._head_start = HeadStart(None if model.realtime else model.rtf, model.sample_rate)
        self._over = asyncio.Event()
        self._buffer = ChunkBuffer(self._head_start, self._over, line.clock)
        self._words: dict[int, WordTiming] = {}
        self._failure: Exception | None = None
        self._left = False
        self._cancelled = False
        self._audio = AudioFormat()
        self._new_run = True
        self._new_words: list[WordTiming] = []
        self._new_segments: list[Segment] = []
        self._next_seq = 0
        self._told_at = 0.0
        self._played: int | None = None
        self._paused: bool | None = None

    @property
    def words(self) -> list[WordTiming]:
        """The words told so far, in the order of the text; corrections have replaced what they correct."""
        return [self._words[start] for start in sorted(self._words)]

    @property
    def trace(self) -> Trace | None:
        """Where the server's time went; None before the end."""
        return self.done.trace if self.done else None

    @property
    def is_over(self) -> bool:
        """Whether the server has said its last about it."""
        return self._over.is_set()

    @property
    def num_pending_chars(self) -> int:
        """Code points given that no segment has told of yet."""
        return 0 if self.is_over else self.num_chars - (self.segments[-1].text_end if self.segments else 0)

    @property
    def buffered_bytes(self) -> int:
        """Sound that has come and was not taken."""
        return self._buffer.num_bytes

    @property
    def wait_s(self) -> float:
        """How long `gapless` will hold the sound back; an estimate."""
        return 0.0 if self.is_over else self._head_start.wait_s

    def gave(self, text: str) -> None:
        """From the client: that text was sent."""
        self.num_chars += len(text)
        self._head_start.write(text, self._line.clock())

    async def write(self, text: str) -> None:
        """Give a delta; waits while the server has enough to speak. Does nothing once cancelled or over.

        Raises LocalProtocolError if the text is over its limit, malformed, or was ended before.
        """
        async for piece in self._line.pieces(text):
            if self.is_over or self._cancelled:
                return
            self._line.post(Text(utterance=self.utterance, text=piece))
            self.gave(piece)

    async def write_all(self, text: str | AsyncIterable[str]) -> None:
        """Give a whole text as it comes, and end it. What its source raises comes out of the iteration."""
        try:
            if isinstance(text, str):
                await self.write(text)
            else:
                async with closing(text) as deltas:
                    async for delta in deltas:
                        await self.write(delta)
            self.end()
        except Exception as error:  # another's iterator may raise anything, and there is one who waits for it
            self.fail(error)

    def flush(self) -> None:
        """Speak what was given so far; more may follow."""
        self._tell(Flush(utterance=self.utterance))

    def end(self) -> None:
        """No more text."""
        self._tell(End(utterance=self.utterance))

    def cancel(self, *, at: Literal["now", "word"] | None = None, played: int | None = None) -> None:
        """Barge-in. `played`: ticks that the listener has heard. What still comes, `done.spoken` last, tells where."""
        self._cancelled = True
        self._tell(Cancel(utterance=self.utterance, at=at, played=played))

    def change_format(self, audio: AudioFormat) -> None:
        """Another codec or bitrate from the next patch on."""
        self._tell(Format(utterance=self.utterance, audio=audio))

    def heard(self, played: int, *, paused: bool | None = None) -> None:
        """Report the listener's position in ticks, once to ten times a second; the server paces itself by it."""
        self._played, self._paused = played, paused if paused is not None else self._paused
        self._told_at = self._line.clock()
        self._post_playhead(played, paused)

    def tell_playhead(self) -> None:
        """From the client: the server is another, or may not have heard the last."""
        self._post_playhead(self._played, self._paused)

    async def finished(self) -> Done:
        """Wait for the end; sound that nobody takes meanwhile is kept. Raises as the iteration does."""
        await self._over.wait()
        self._raise_failure()
        assert self.done is not None
        return self.done

    def __aiter__(self) -> AsyncGenerator[Chunk, None]:
        return self._take_chunks()

    def gapless(self) -> AsyncGenerator[Chunk, None]:
        """The iteration for those who play each chunk as it comes. Where speech is made more slowly than it is heard,
        the first is held back until the rest plays without a gap; so it is again after the text has paused."""
        self._buffer.is_gapless = True
        return self._take_chunks()

    async def _take_chunks(self) -> AsyncGenerator[Chunk, None]:
        try:
            while True:
                while (chunk := self._buffer.take()) is not None:
                    self._took(chunk.seq + 1)
                    yield chunk
                if self.is_over:
                    break
                await self._buffer.change()
            if self.done is not None:
                self._took(self.done.seq + 1, at_once=True)
            self._raise_failure()
        finally:
            self.leave()

    def leave(self) -> None:
        """Take no more sound: what has come is dropped, and the utterance cancelled if it is not over."""
        self._left = True
        self._buffer.clear()
        if not self._cancelled:
            self.cancel()

    def fail(self, failure: Exception) -> None:
        """From the client: this side cannot go on. Cancels, and the iteration ends with `failure`."""
        self._failure = self._failure or failure
        self.leave()

    def lose(self, failure: SpeechError) -> None:
        """From the client: no more will come."""
        self._failure = self._failure or failure
        self._over.set()
        self._buffer.wake()

    def take(self, message: UtteranceMessage) -> None:
        """From the client: the server's next message about this utterance."""
        match message:
            case Audio():
                self._take_audio(message)
            case Started():
                self.started, self._audio = message, message.audio
                self._took(0, at_once=True)  # now the server knows that playheads will come, and bounds what it sends
            case FormatChanged():
                self._audio, self._new_run = message.audio, True
            case Segment():
                self.segments.append(message)
                self._head_start.begin(message.text_start, message.text_end, message.pts)
                self._new_segments.append(message)
            case Words():
                self._words |= {word.text_start: word for word in message.words}
                self._new_words += message.words
                for word in message.words[-1:]:
                    self._head_start.reach(word.text_end, word.pts_end)
            case Error():
                self.errors.append(message)
                if self.started is None and message.seq is None:  # the start is refused: no `done` will come
                    self._over.set()
            case _:
                self.done = message
                self._over.set()
                if self._left:
                    self._took(message.seq + 1, at_once=True)
        self._buffer.wake()

    def _take_audio(self, audio: Audio) -> None:
        self._head_start.arrive(audio.samples, self._line.clock())
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
        if self._left:
            self._took(audio.seq + 1)
        else:
            self._buffer.put(chunk)

    def _took(self, next_seq: int, *, at_once: bool = False) -> None:
        """Tell the server what has arrived and need not be held: at both ends at once, ten times a second between."""
        self._next_seq = max(self._next_seq, next_seq)
        now = self._line.clock()
        if at_once or now - self._told_at >= PLAYHEAD_INTERVAL_S:
            self._told_at = now
            self._post_playhead(None, None)

    def _post_playhead(self, played: int | None, paused: bool | None) -> None:
        # Of one that was over long ago, and is taken only now, the server and we may both have forgotten the id.
        with suppress(LocalProtocolError):
            playhead = Playhead(utterance=self.utterance, played=played, received=self._next_seq, paused=paused)
            self._line.post(playhead)

    def _tell(self, message: ClientMessage) -> None:
        if not self.is_over:
            self._line.post(message)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.done is None or self.done.reason == "error":
            if not self.errors:
                raise SpeechError(ErrorCode.INTERNAL, "expected an error that says why the speech failed, got none")
            last = self.errors[-1]
            raise SpeechError(last.code, last.message, retry_after_ms=last.retry_after_ms)
