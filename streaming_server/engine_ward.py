"""Where utterances wait whose engine is gone, and in which order they come back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from models.engine import MAX_FIRST_AUDIO_S

from .engine_lasting import LastingStream
from .engine_loss import Loss
from .engine_trial import NUM_DEATHS, Courtroom, next_group

MAX_RETRY_S = 0.5
"""Who speaks and finds no slot asks again at least so often: somebody hears the silence."""

COURT_IS_BUSY_S = 0.01
"""Another web process tries some of its own; that takes a patch."""

NEWCOMER_WAITS_S = MAX_FIRST_AUDIO_S
"""For an engine that was lost just now; with one, it would be refused if its first audio took longer."""

OPENING_S = 0.25
"""A trial of one that has nothing to say just now: only its opening can kill."""

VERDICT_S = 0.2
"""After an engine died in a trial, so long nobody begins another: all web processes have then seen that it is gone."""

USUAL_TRIAL_S, MAX_TRIAL_S = 0.05, 1.0
"""What a trial is expected to take: until one has been seen; and whatever was seen."""

log = logging.getLogger(__name__)


class EngineWard:
    """Of one web process. An utterance that waits longer than `patience_s` fails; whatever it is then told is ignored.

    All come back together once an engine is there, but for suspects: those for which the engine was working when it
    died, or hung, or whose step raised (`Loss`). They are tried: opened again in groups (`next_group`), one group after
    the other, each when the one before has spoken or `trial_s` have passed; and whoever is on trial has the engine's
    steps to itself, so that a death tells who is to blame. The others are acquitted by it, and come back. Who was to
    blame `NUM_DEATHS` times in a row, the last time alone, is refused.
    """

    def __init__(self, *, patience_s: float, trial_s: float, courtroom: Path | None) -> None:
        """`trial_s`: longer than an engine may hang before it is killed. `courtroom`: of all web processes."""
        self._loop = asyncio.get_running_loop()
        self._patience_s = patience_s
        self._trial_s = trial_s
        self._waiting: dict[LastingStream, asyncio.TimerHandle] = {}  # bounded as streams are
        self._courtroom = Courtroom(courtroom)
        self._on_trial: dict[LastingStream, asyncio.TimerHandle] = {}  # until when
        self._trial_began_at = 0.0
        self._usual_trial_s = USUAL_TRIAL_S
        self._lost_since: float | None = None  # what was lost began with its fatal step
        self._restart_s = 0.0
        self._court_rises: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retry_at = 0.0  # uvloop's handle of what is due at once does not say when
        self.num_reopened = 0
        self.num_refused = 0

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def take_in(self, stream: LastingStream, loss: Loss) -> None:
        self._leave_court(stream, VERDICT_S)
        if loss.on_trial:
            for each in self._waiting:
                each.is_suspect = False
        self._lost_since = loss.since or self._loop.time()
        if loss.on_trial and loss.num_suspects == 1 and stream.num_blamed >= NUM_DEATHS:
            log.error("an utterance is refused: the voice engine ended %d times while speaking it", stream.num_blamed)
            self.num_refused += 1
            stream.refuse()
        else:
            self._keep(stream)
        self._try_in(0.0)  # another engine may be there, or the same one, and others may wait for the verdict

    def expect(self, stream: LastingStream) -> None:
        self._keep(stream, NEWCOMER_WAITS_S)

    def put_back(self, stream: LastingStream, retry_after_ms: int) -> None:
        self._leave_court(stream)
        self.num_reopened -= stream.was_lost
        self._keep(stream)
        self._try_in(min(retry_after_ms / 1000, MAX_RETRY_S))

    def discharge(self, stream: LastingStream) -> None:
        timer = self._waiting.pop(stream, None)
        if timer is not None:
            timer.cancel()
        if self._leave_court(stream):
            self._usual_trial_s = min(self._loop.time() - self._trial_began_at, MAX_TRIAL_S)
            self._try_in(0.0)

    def bring_back(self) -> None:
        """An engine is there, or may be."""
        num_reopened = self.num_reopened
        self._bring_back()
        if self.num_reopened > num_reopened:
            log.info("utterances that were lost go on: %d", self.num_reopened - num_reopened)

    def _bring_back(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for stream in [each for each in self._waiting if not each.is_suspect]:
            if not self._reopen(stream):
                return
        suspects = [each for each in self._waiting if each.is_suspect]
        ready = [each for each in suspects if not each.is_suspended]
        if suspects and not ready:
            self._try_in(MAX_RETRY_S)
        elif ready and not self._on_trial:
            self._hold_court(ready)

    def _hold_court(self, suspects: list[LastingStream]) -> None:
        if self._court_rises is not None:
            self._court_rises.cancel()
        if not self._courtroom.enter():
            self._try_in(COURT_IS_BUSY_S)
            return
        self._trial_began_at = self._loop.time()
        group = next_group([each.num_blamed for each in suspects], self._restart_s, self._usual_trial_s)
        for stream in [suspects[place] for place in group]:
            if not self._reopen(stream):
                break
            trial_s = self._trial_s if stream.has_text else OPENING_S
            self._on_trial[stream] = self._loop.call_later(trial_s, self.discharge, stream)
        if not self._on_trial:
            self._rise(VERDICT_S)

    def _leave_court(self, stream: LastingStream, stays_s: float = 0.0) -> bool:
        """Whether it was the last on trial."""
        timer = self._on_trial.pop(stream, None)
        if timer is None:
            return False
        timer.cancel()
        if self._on_trial:
            return False
        self._rise(stays_s)
        return True

    def _rise(self, stays_s: float) -> None:
        self._court_rises = self._loop.call_later(stays_s, self._courtroom.leave)

    def _keep(self, stream: LastingStream, patience_s: float | None = None) -> None:
        patience_s = self._patience_s if patience_s is None else patience_s
        self._waiting[stream] = self._loop.call_later(patience_s, stream.give_up)

    def _reopen(self, stream: LastingStream) -> bool:
        if not stream.reopen():
            return False
        self._waiting.pop(stream).cancel()
        self.num_reopened += stream.was_lost
        if self._lost_since is not None:
            self._restart_s, self._lost_since = self._loop.time() - self._lost_since, None
        return True

    def _try_in(self, wait_s: float) -> None:
        retry_at = self._loop.time() + wait_s
        if self._retry is not None and self._retry_at > retry_at:
            self._retry.cancel()
            self._retry = None
        if self._retry is None:
            self._retry_at = retry_at
            self._retry = self._loop.call_later(wait_s, self.bring_back)
