"""Where utterances wait whose engine is gone, and in which order they come back."""

from __future__ import annotations

import asyncio
import logging

from models.engine import MAX_FIRST_AUDIO_S

from .engine_lasting import Home, LastingStream
from .engine_loss import Loss

NUM_DEATHS = 3
"""In a row, without a patch of its own in between, and in the last of them it was alone: then an utterance is refused.

The first makes it a suspect. Chance may bring that about: somebody kills the engine by hand, or the kernel does for
want of memory. The two others would have to come in just the hundredths of a second in which it is tried.
"""

MAX_DEATHS = 2 * NUM_DEATHS
"""In a row, where nothing has shown since the one before that this engine is able to speak at all."""

MAX_DEATHS_IN_ALL = 24
"""Of an utterance, whatever it has spoken in between: what kills only in company is never found in trials, and would
end the engine for as long as it has text."""

RECOVERY_S = 0.25
"""Then the next trial is so much later: what befalls every step (no memory is left, say) may pass."""

MAX_RETRY_S = 0.5
"""Who speaks and finds no slot asks again at least so often: somebody hears the silence."""

NEWCOMER_WAITS_S = MAX_FIRST_AUDIO_S
"""For an engine that was lost just now; with one, it would be refused if its first audio took longer."""

log = logging.getLogger(__name__)


class EngineWard:
    """Of one web process. An utterance that waits longer than `patience_s` fails; whatever it is then told is ignored.

    All come back together once an engine is there. Suspects are tried by it (`LastingStream.trial`): those for which
    the engine was working when it died, or hung, or whose step raised (`Loss`), until each has had the patches that
    were under way. So k who kill among any number cost k + 2 deaths, and nobody comes back among the unsuspected who
    has not been tried. Who was to blame `NUM_DEATHS` times in a row, the last time alone, is refused: if its engine has
    spoken to anybody else since the time before, or rehearsed where there is nobody else. Else the machine may be why.
    `MAX_DEATHS_IN_ALL` end it in any case.
    """

    def __init__(self, *, patience_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience_s = patience_s
        self._waiting: dict[LastingStream, asyncio.TimerHandle] = {}  # bounded as streams are
        self._suspects: dict[LastingStream, _Death] = {}  # -> its latest
        self._retry: asyncio.TimerHandle | None = None
        self._retry_at = 0.0  # uvloop's handle of what is due at once does not say when
        self.num_reopened = 0
        self.num_refused = 0

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def courts(self) -> set[object]:
        """Engines in which suspects are tried, or will be once they are back."""
        return {each.home for each in self._suspects if each.can_be_tried}

    def take_in(self, stream: LastingStream, loss: Loss) -> None:
        has_worked = self._has_worked(stream)
        if loss.num_suspects:
            self._suspects[stream] = _Death(stream.home)
        is_alone = loss.on_trial and loss.num_suspects == 1
        is_found = is_alone and stream.num_blamed >= (NUM_DEATHS if has_worked else MAX_DEATHS)
        if is_found or stream.num_blamed_in_all >= MAX_DEATHS_IN_ALL:
            log.error(
                "an utterance is refused: the voice engine ended %d times while speaking it, %d times in a row",
                *(stream.num_blamed_in_all, stream.num_blamed),
            )
            self.num_refused += 1
            stream.refuse()
            return
        self._keep(stream)
        # Another engine may be there, or the same one.
        self._try_in(RECOVERY_S if is_alone and stream.num_blamed >= NUM_DEATHS else 0.0)

    def expect(self, stream: LastingStream) -> None:
        self._keep(stream, NEWCOMER_WAITS_S)

    def put_back(self, stream: LastingStream, retry_after_ms: int) -> None:
        self.num_reopened -= stream.was_lost
        self._keep(stream)
        self._try_in(min(retry_after_ms / 1000, MAX_RETRY_S))

    def discharge(self, stream: LastingStream) -> None:
        self._suspects.pop(stream, None)
        timer = self._waiting.pop(stream, None)
        if timer is not None:
            timer.cancel()

    def bring_back(self) -> None:
        """An engine is there, or may be. First those who are not blamed: suspects wait for the engine that they had."""
        num_reopened = self.num_reopened
        self._bring_back()
        if self.num_reopened > num_reopened:
            log.info("utterances that were lost go on: %d", self.num_reopened - num_reopened)

    def _bring_back(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for stream in sorted(self._waiting, key=lambda each: each.num_blamed):  # stable
            if not self._reopen(stream) and not stream.num_blamed:
                return
        if self._waiting:
            self._try_in(MAX_RETRY_S)

    def _has_worked(self, stream: LastingStream) -> bool:
        """Whether the engine that has died of this one, and before, has shown in between that it can speak."""
        before, home = self._suspects.get(stream), stream.home
        if before is None or home is None or home is not before.home:
            return False
        if home.num_patches > before.num_patches:
            return True
        has_others = any(each.can_be_tried and each.home is home for each in self._suspects if each is not stream)
        return not has_others and home.num_restarts > before.num_restarts

    def _keep(self, stream: LastingStream, patience_s: float | None = None) -> None:
        patience_s = self._patience_s if patience_s is None else patience_s
        self._waiting[stream] = self._loop.call_later(patience_s, stream.give_up)

    def _reopen(self, stream: LastingStream) -> bool:
        if not stream.reopen():
            return False
        self._waiting.pop(stream).cancel()
        self.num_reopened += stream.was_lost
        return True

    def _try_in(self, wait_s: float) -> None:
        retry_at = self._loop.time() + wait_s
        if self._retry is not None and self._retry_at > retry_at:
            self._retry.cancel()
            self._retry = None
        if self._retry is None:
            self._retry_at = retry_at
            self._retry = self._loop.call_later(wait_s, self.bring_back)


class _Death:
    """Of an engine, and what it had done by then. It rehearses whenever it starts again."""

    __slots__ = ("home", "num_patches", "num_restarts")

    def __init__(self, home: Home | None) -> None:
        self.home = home
        self.num_patches = home.num_patches if home is not None else 0
        self.num_restarts = home.num_restarts if home is not None else 0
