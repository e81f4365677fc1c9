"""Where utterances wait whose engine is gone, and in which order they come back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from models.engine import MAX_FIRST_AUDIO_S

from .engine_lasting import KILLER, LastingStream
from .engine_trial import Courtroom

MAX_RETRY_S = 0.5
"""Who speaks and finds no slot asks again at least so often: somebody hears the silence."""

COURT_IS_BUSY_S = 0.02
"""Another web process tries one of its own; that takes a patch."""

NEWCOMER_WAITS_S = MAX_FIRST_AUDIO_S
"""For an engine that was lost just now; with one, it would be refused if its first audio took longer."""

OPENING_S = 0.25
"""A trial of one that has nothing to say just now: only its opening can kill."""

VERDICT_S = 0.2
"""After an engine died in a trial, so long nobody begins another: all web processes have then seen that it is gone."""

log = logging.getLogger(__name__)


class EngineWard:
    """Of one web process. An utterance that waits longer than `patience_s` fails; whatever it is then told is ignored.

    All come back together once an engine is there, but for suspects: those for which the engine died, or hung, before
    it made the patch that was due. They come back one after the other, each when the one before has spoken or
    `trial_s` have passed, so that the one whose text kills the engine is alone when it does so again. If that happens
    twice it fails. Once may be chance: another has had a patch, of those that were on their way when the engine died,
    and kills with the next.
    """

    def __init__(self, *, patience_s: float, trial_s: float, courtroom: Path | None) -> None:
        """`trial_s`: longer than an engine may hang before it is killed. `courtroom`: of all web processes."""
        self._loop = asyncio.get_running_loop()
        self._patience_s = patience_s
        self._trial_s = trial_s
        self._waiting: dict[LastingStream, asyncio.TimerHandle] = {}  # bounded as streams are
        self._courtroom = Courtroom(courtroom)
        self._on_trial: LastingStream | None = None
        self._trial_ends: asyncio.TimerHandle | None = None
        self._court_rises: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self.num_reopened = 0

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def take_in(self, stream: LastingStream) -> None:
        if stream is self._on_trial:
            self._end_trial(VERDICT_S)
            stream.num_trials_lost += stream.is_suspect
        if stream.num_trials_lost > 1:
            log.error("an utterance is refused: the voice engine ended twice while speaking it")
            stream.give_up(KILLER)
        else:
            self._keep(stream)
            self._try_in(0.0)  # another engine may be there

    def expect(self, stream: LastingStream) -> None:
        self._keep(stream, NEWCOMER_WAITS_S)

    def put_back(self, stream: LastingStream, retry_after_ms: int) -> None:
        if stream is self._on_trial:
            self._end_trial()
        self.num_reopened -= stream.was_lost
        self._keep(stream)
        self._try_in(min(retry_after_ms / 1000, MAX_RETRY_S))

    def discharge(self, stream: LastingStream) -> None:
        timer = self._waiting.pop(stream, None)
        if timer is not None:
            timer.cancel()
        if stream is self._on_trial:
            self._end_trial()
            self._try_in(0.0)

    def bring_back(self) -> None:
        """An engine is there, or may be."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for stream in [each for each in self._waiting if not each.is_suspect]:
            if not self._reopen(stream):
                return
        suspect = next((each for each in self._waiting if each.is_suspect), None)
        if suspect is not None and self._on_trial is None:
            self._try(suspect)

    def _try(self, suspect: LastingStream) -> None:
        if self._court_rises is not None:
            self._court_rises.cancel()
        if not self._courtroom.enter():
            self._try_in(COURT_IS_BUSY_S)
        elif self._reopen(suspect):
            self._on_trial = suspect
            trial_s = self._trial_s if suspect.has_text else OPENING_S
            self._trial_ends = self._loop.call_later(trial_s, self.discharge, suspect)
        else:
            self._end_trial(VERDICT_S)

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
        if self._retry is not None and self._retry.when() > self._loop.time() + wait_s:
            self._retry.cancel()
            self._retry = None
        if self._retry is None:
            self._retry = self._loop.call_later(wait_s, self.bring_back)

    def _end_trial(self, stays_s: float = 0.0) -> None:
        self._on_trial = None
        self._court_rises = self._loop.call_later(stays_s, self._courtroom.leave)
        if self._trial_ends is not None:
            self._trial_ends.cancel()
            self._trial_ends = None
