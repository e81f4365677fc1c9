"""The text side of one utterance: deltas in, normalised segments out, in order."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Literal, Protocol

from protocol.messages import WordTiming

from .jobs import OrderedJobs, tell_nobody
from .text.normalizer import Normalizer
from .text.segment import Segment
from .text.spoken import Spoken
from .text.stream import TextStream

SLICE_CHARS = 1024
"""Cutting costs some 3 us a character: a long text takes turns with everybody else's audio."""


_PLAIN = re.compile(r"[^\d$€£¥%‰°#@&/\\+=<>^~*|_]*")
"""Text of which nothing is said otherwise than it is written, or nearly never."""


class SpokenWord(Protocol):
    """A model's word: code points of the spoken text, samples of the utterance."""

    @property
    def text_start(self) -> int: ...
    @property
    def text_end(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Script:
    """Cuts text into segments and has each normalised: at once where it is plain, in the executor otherwise."""

    def __init__(
        self,
        segmentation: Literal["auto", "sentence", "clause", "manual"],
        language: str,
        *,
        normalizer: Normalizer,
        executor: Executor,
        on_cut: Callable[[], None],
        on_caught_up: Callable[[], None],
        speak: Callable[[str], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """`on_caught_up`: all text given so far has been looked at."""
        self._stream = TextStream(segmentation, language)
        self._normalizer = normalizer
        self._on_cut = on_cut
        self._on_caught_up = on_caught_up
        self._on_error = on_error
        self._speak = speak
        self._jobs = OrderedJobs(executor, on_error)
        self._loop = asyncio.get_running_loop()
        self._steps: deque[Callable[[], None]] = deque()  # bounded by the text that an utterance may have
        self._deltas: list[str] = []
        self._num_chars = 0
        self._num_cut = 0
        self._placed_until = 0  # original text that has its words
        self._estimated_segment = -1
        self._estimated: dict[int, SpokenWord] = {}  # of that segment, by where they start in its text
        self._told: dict[int, WordTiming] = {}  # of that segment, by where they start in the original
        self.segments: list[tuple[Segment, Spoken]] = []
        """Those handed to the engine, in its order."""

    @property
    def num_cut(self) -> int:
        """Segments cut so far, those still being normalised among them."""
        return self._num_cut

    @property
    def is_cutting(self) -> bool:
        """A long text is still being cut."""
        return bool(self._steps)

    @property
    def num_chars(self) -> int:
        """Code points of original text taken."""
        return self._num_chars

    @property
    def pending(self) -> bool:
        """Text is held back."""
        return self._stream.pending or self.is_cutting

    @property
    def draft(self) -> str:
        """What the next segment will probably begin with: as far as nothing in it will be normalised."""
        plain = _PLAIN.match(self._stream.draft)
        return plain.group() if plain else ""

    @property
    def original(self) -> str:
        """All deltas joined."""
        return "".join(self._deltas)

    def add(self, delta: str) -> None:
        if delta:
            self._deltas.append(delta)
        self._num_chars += len(delta)
        slices = (delta[start : start + SLICE_CHARS] for start in range(0, len(delta), SLICE_CHARS))
        self._do(*(partial(self._feed, piece) for piece in slices))

    def flush(self) -> None:
        """Speak all that is buffered."""
        self._do(lambda: self._take(self._stream.flush()))

    def pause(self) -> None:
        """The writer pauses: speak what is surely whole."""
        self._do(lambda: self._take(self._stream.pause()))

    def end(self, then: Callable[[], None]) -> None:
        """No more text; `then` follows the last segment."""
        self._do(lambda: self._take(self._stream.end()))
        self._do(lambda: self._jobs.submit(None, lambda _: then()))

    def spoken(self, segment: int) -> str:
        """A segment's text as the engine was given it."""
        cut, spoken = self.segments[segment]
        return cut.opening + spoken.text + cut.ending

    def place(self, segment: int, words: Sequence[SpokenWord], *, estimated: bool) -> tuple[WordTiming, ...]:
        """Words of a segment's spoken text in original text. Those that one original word became are one again.

        Exact words are placed once. Of estimated ones those are told that are new or have moved, whole.
        """
        if not words:
            return ()
        if estimated:
            return self._corrected(segment, words)
        cut, spoken = self.segments[segment]
        lead = len(cut.opening)
        fresh = [w for w in words if spoken.span(w.text_start - lead, w.text_end - lead)[0] >= self._placed_until]
        placed = self._merged(segment, fresh)
        if placed:
            self._placed_until = placed[-1].text_end
        return tuple(placed)

    def _corrected(self, segment: int, words: Sequence[SpokenWord]) -> tuple[WordTiming, ...]:
        if segment != self._estimated_segment:
            self._estimated_segment = segment
            self._estimated.clear()
            self._told.clear()
        self._estimated.update((word.text_start, word) for word in words)
        placed = self._merged(segment, [word for _, word in sorted(self._estimated.items())])
        moved = tuple(word for word in placed if self._told.get(word.text_start) != word)
        self._told.update((word.text_start, word) for word in moved)
        return moved

    def _merged(self, segment: int, words: Sequence[SpokenWord]) -> list[WordTiming]:
        cut, spoken = self.segments[segment]
        lead = len(cut.opening)
        placed: list[WordTiming] = []
        for word in words:
            text_start, text_end = spoken.span(word.text_start - lead, word.text_end - lead)
            if placed and text_start < placed[-1].text_end:
                former = placed.pop()
                placed.append(WordTiming(former.text_start, max(former.text_end, text_end), former.pts, word.end))
            else:
                placed.append(WordTiming(text_start, text_end, word.start, word.end))
        return placed

    def close(self) -> None:
        """Whoever is told of the text may go: nothing here refers to it any more."""
        self._steps.clear()
        self._jobs.close()
        self._on_cut = self._on_caught_up = self._on_error = self._speak = tell_nobody

    def _feed(self, piece: str) -> None:
        self._take(self._stream.feed(piece))

    def _do(self, *steps: Callable[[], None]) -> None:
        """The first at once, unless others wait; then one each turn of the loop."""
        is_idle = not self._steps
        self._steps.extend(steps)
        if is_idle:
            self._step()

    def _step(self) -> None:
        if not self._steps:
            return  # closed meanwhile
        try:
            self._steps[0]()
        except Exception as error:  # the net of an utterance's own work: the session and its neighbours go on
            on_error = self._on_error
            self.close()
            on_error(error)
            return
        if self._steps:
            self._steps.popleft()
        if self._steps:
            self._loop.call_soon(self._step)
        else:
            self._on_caught_up()

    def _take(self, segments: list[Segment]) -> None:
        self._num_cut += len(segments)
        if segments:
            self._on_cut()
        for segment in segments:
            self._normalize(segment)

    def _normalize(self, segment: Segment) -> None:
        plain = self._normalizer.plain(segment)
        if plain is not None:
            self._jobs.submit(None, lambda _: self._hand_over(segment, plain))
        else:
            self._jobs.submit(
                lambda: self._normalizer.normalize(segment), lambda spoken: self._hand_over(segment, spoken)
            )

    def _hand_over(self, segment: Segment, spoken: Spoken) -> None:
        self.segments.append((segment, spoken))
        self._speak(self.spoken(len(self.segments) - 1))
