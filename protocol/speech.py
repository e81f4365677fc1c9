"""One utterance in its user's hands: sound to take, text to give, and the means to stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Literal

from .chunk import Chunk
from .chunk_buffer import ChunkBuffer
from .deltas import closing
from .errors import ErrorCode, SpeechError
from .headstart import HeadStart
from .intake import Intake
from .line import Line
from .manuscript import Manuscript
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
    Segment,
    Start,
    Started,
    Text,
    Trace,
    UtteranceMessage,
    WordTiming,
)
from .passage import Passage
from .playhead import PlayheadTeller
from .told import MAX_RESTARTS, Restart, is_stuck


class Speech:
    """An utterance. Iterate over it for its chunks; leaving the loop early cancels it.

    Iteration ends with the utterance. It raises SpeechError if that fails, or whatever the text's iterator raised.
    """

    def __init__(self, start: Start, line: Line) -> None:
        self.utterance, self.after = start.utterance, start.after
        self.started: Started | None = None
        self.done: Done | None = None
        self.errors: list[Error] = []
        """What the server said went wrong, also where the speech went on."""
        self.restarts: tuple[Restart, ...] = ()
        """Where it was begun anew, because the server had forgotten it. All numbers go on; the joint is a `new_run`."""
        self._line = line
        self._manuscript = Manuscript(start)
        self._passage = Passage(utterance=start.utterance)
        self._is_known = True  # to the server, as far as we know
        self._playhead = PlayheadTeller(line, self._passage)
        model = line.model()
        self.sample_rate = model.sample_rate  # Hz; its ticks
        self._head_start = HeadStart(None if model.realtime else model.rtf, model.sample_rate)
        self._head_start.write(start.text or "", line.clock())
        self._over = asyncio.Event()
        self._buffer = ChunkBuffer(self._head_start, self._over, line.clock)
        self._intake = Intake(self._buffer, self._head_start, self.sample_rate, line.clock)
        self._failure: Exception | None = None
        self._left = self._cancelled = False
        self._is_refusable = True

    @property
    def wire_id(self) -> str:
        """For the client: its id for the server; another than the user's if it was begun anew."""
        return self._passage.utterance

    @property
    def num_chars(self) -> int:
        """Code points given."""
        return self._manuscript.num_chars

    @property
    def segments(self) -> list[Segment]:
        """Those told so far."""
        return self._intake.told.segments

    @property
    def words(self) -> list[WordTiming]:
        """The words told so far, in the order of the text; corrections have replaced what they correct."""
        return self._intake.told.words

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
        num_told = self.segments[-1].text_end if self.segments else 0
        return 0 if self.is_over or self._cancelled else self.num_chars - num_told

    @property
    def buffered_bytes(self) -> int:
        """Sound that has come and was not taken."""
        return self._buffer.num_bytes

    @property
    def wait_s(self) -> float:
        """How long `gapless` will hold the sound back; an estimate."""
        return 0.0 if self.is_over else self._head_start.wait_s

    async def write(self, text: str) -> None:
        """Give a delta; waits while the server has enough to speak. Does nothing once cancelled or over.

        Raises LocalProtocolError if the text is over its limit, malformed, or was ended before.
        """
        async for piece in self._line.pieces(text):
            if self.is_over or self._cancelled:
                return
            self._tell(Text(utterance=self._passage.utterance, text=piece))
            self._manuscript.write(piece)
            self._head_start.write(piece, self._line.clock())

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
        if not self._manuscript.is_flushed:
            self._tell(Flush(utterance=self._passage.utterance))
            self._manuscript.flush()

    def end(self) -> None:
        """No more text."""
        self._tell(End(utterance=self._passage.utterance))
        self._manuscript.end()

    def cancel(self, *, at: Literal["now", "word"] | None = None, played: int | None = None) -> None:
        """Barge-in. `played`: ticks that the listener has heard. What still comes, `done.spoken` last, tells where."""
        self._cancelled = True
        self._line.look_again()
        if played is not None:
            self._playhead.played = played
        self._tell(Cancel(utterance=self._passage.utterance, at=at, played=self._playhead.to_wire(played)))
        if not self._is_known:
            self.stop()

    def change_format(self, audio: AudioFormat) -> None:
        """Another codec or bitrate from the next patch on."""
        self._tell(Format(utterance=self._passage.utterance, audio=audio))
        self._manuscript.change_format(audio)

    def heard(self, played: int, *, paused: bool | None = None) -> None:
        """Report the listener's position in ticks, once to ten times a second; the server paces itself by it."""
        self._playhead.hear(played, paused)

    def tell_playhead(self) -> None:
        """From the client: the server is another, or may not have heard the last."""
        self._playhead.tell_again()

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
                    self._playhead.take(chunk.seq + 1)
                    yield chunk
                if self.is_over:
                    break
                await self._buffer.change()
            if self.done is not None:
                self._playhead.take(self.done.seq + 1, at_once=True)
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
        self._failure = self._failure or (None if self.is_over else failure)
        self._over.set()
        self._buffer.wake()

    def take(self, message: UtteranceMessage) -> None:
        """From the client: the server's next message about this utterance."""
        whole = message if self._passage.is_first else self._passage.in_whole(message, self.utterance)
        match whole:
            case Error():
                self.errors.append(whole)
                if self._is_refusable and whole.seq is None:  # the start is refused: no `done` will come
                    self._over.set()
            case Done():
                self._finish(whole)
            case _:
                self._intake.take(whole, keeps_sound=not self._left)
                if isinstance(whole, Started):
                    self.started, self._is_refusable = whole, False
                    self._playhead.take(0, at_once=True)  # so the server knows that playheads will come
                elif isinstance(whole, Audio) and self._left:
                    self._playhead.take(whole.seq + 1)
        self._buffer.wake()

    def stop(self, *, is_cancelled: bool = False) -> None:
        """From the client: the server has forgotten it, or has broken it off and is going away. Another may go on."""
        self._is_known = False
        self._cancelled |= is_cancelled
        if self._cancelled and not self.is_over:
            self._end_here("cancelled")

    def restart(self, utterance: str, *, after: str | None, piece_chars: int) -> list[ClientMessage]:
        """From the client: begin anew at the first word that was not heard, under this id. Returns what to tell the
        server; nothing if it is over, because it was cancelled or all was heard."""
        self.stop()
        if self.is_over:
            return []
        at = self._intake.cut(len(self._passage.text), self._manuscript.next_word)
        text = self._manuscript.text
        if self._manuscript.is_ended and at.text_start >= len(text):
            self._end_here("end")
            return []
        if self.started is not None:
            self.restarts += (at,)
            if is_stuck(self.restarts) and at.text_start < len(text):
                sentence = f"expected a server that speaks on from {at.text_start}, {MAX_RESTARTS} were lost over it"
                self.lose(SpeechError(ErrorCode.ENGINE_FAILED, sentence))
                return []
        self._passage = Passage(
            utterance=utterance,
            text=text[: at.text_start],
            pts=at.pts,
            seq=self._buffer.next_seq,
            num_segments=len(self.segments),
        )
        self._playhead.go_on(self._passage)
        self._is_known = self._is_refusable = True
        return list(self._manuscript.from_there(at.text_start, utterance, self.started, after, piece_chars))

    def _finish(self, done: Done) -> None:
        self.done = done
        self._over.set()
        if self._left:
            self._playhead.take(done.seq + 1, at_once=True)
        self._buffer.wake()

    def _end_here(self, reason: Literal["end", "cancelled"]) -> None:
        played = self._buffer.taken_pts if self._playhead.played is None else self._playhead.played
        self._finish(self._intake.done(self.utterance, reason, self._manuscript.text, played))

    def _tell(self, message: ClientMessage) -> None:
        if self._is_known and not self.is_over:
            self._line.post(message)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.done is None or self.done.reason == "error":
            if not self.errors:
                raise SpeechError(ErrorCode.INTERNAL, "expected an error that says why the speech failed, got none")
            last = self.errors[-1]
            raise SpeechError(last.code, last.message, retry_after_ms=last.retry_after_ms)
