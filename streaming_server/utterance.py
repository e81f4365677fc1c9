"""One utterance: text in, messages out. The one place that knows both the wire's words and the model's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

from models.base import SpeechParams
from models.engine import Spoke
from protocol.errors import ErrorCode
from protocol.messages import AudioFormat, Done, Error, ServerMessage

from .admission import GOING_AWAY, RETRY_AFTER_MS
from .brake import Brake
from .captions import Captions
from .draft import Draft
from .order import Order
from .pacer import Pacer
from .patience import Patience
from .runs import Runs
from .script import Script
from .stopwatch import Stopwatch
from .studio import Studio
from .word_finder import find_words

log = logging.getLogger(__name__)


class Utterance:
    """Lives from its `started` to its `done`.

    `emit` takes messages in order; `recall` withdraws those that the socket has not taken, from a tick on, and returns
    their samples; `over` is told once, after `done` has been emitted.
    """

    def __init__(
        self,
        order: Order,
        studio: Studio,
        *,
        emit: Callable[[ServerMessage], None],
        recall: Callable[[str, int], int],
        over: Callable[[Utterance], None],
        after: Pacer | None = None,
    ) -> None:
        """Raises UnsupportedFormat, EngineUnavailable; then nothing has been emitted."""
        self.id = order.utterance
        self._order = order
        self._studio = studio
        self._emit = emit
        self._recall = recall
        self._over = over
        self._rate_hz = studio.engine.info.sample_rate
        self._runs = Runs(
            self.id,
            order.audio,
            rate_hz=self._rate_hz,
            executor=studio.executor,
            emit=emit,
            on_error=self._on_job_failed,
        )
        self.is_behind = self._runs.is_behind
        self.pacer = Pacer(self._rate_hz, studio.clock(), after=after)
        self._stream = studio.engine.open(
            self,
            session=order.session,
            voice=order.voice,
            params=SpeechParams(
                language=order.language, speed=order.speed, volume=order.volume, seed=order.seed, knobs=order.params
            ),
            lead_samples=None if order.lead_ms is None else order.lead_ms * self._rate_hz // 1000,
            held=self.pacer.waits,
        )
        self.pacer.attach(self._stream.pace, studio.clock())
        self._draft = Draft(self._stream.expect if studio.engine.info.reads_ahead else None)
        self._script = Script(
            order.segmentation,
            order.language,
            normalizer=studio.normalizer,
            executor=studio.executor,
            on_cut=lambda: self._watch.mark("segment_cut"),
            on_caught_up=self._end_run_if_all_spoken,
            speak=self._to_engine,
            on_error=self._on_job_failed,
        )
        finder = find_words(studio.engine.info, order)
        self._captions = Captions(
            self.id, self._script, finder, rate_hz=self._rate_hz, with_words=order.words, hear=self._runs.hear
        )
        self._num_spoken = 0  # segments whose last patch has come
        self._pts = 0  # ticks of all patches taken from the engine
        self._num_sent = 0  # audio messages
        self._all_spoken = False
        self._is_ended = False  # the engine has all the text
        self._is_last = False  # no other segment is to follow
        self._brake = Brake(self._rate_hz)
        self._done = False
        self._watch = Stopwatch(studio.clock)
        emit(order.started(self._runs.announced))
        self._patience = Patience(
            self._script,
            pause_s=None if order.segmentation == "manual" else studio.text_timeout_s,
            idle_s=studio.utterance_idle_s,
            is_quiet=self._is_all_spoken,
            give_up=self._give_up,
            clock=studio.clock,
        )

    # ---- what the client says

    @property
    def num_pending_chars(self) -> int:
        """Original characters taken and not yet spoken."""
        return self._script.num_chars - self._captions.text_end

    def text(self, delta: str) -> None:
        self._patience.touch()
        if delta:
            self._watch.begin()
        self._script.add(delta)
        if not self._is_all_spoken():
            self._draft.forget()
        elif not self._done:
            self._draft.grow(lambda: self._script.draft)

    def flush(self) -> None:
        self._script.flush()

    def end(self) -> None:
        self._patience.close()
        self._script.end(self._finish_stream)

    def set_format(self, audio: AudioFormat) -> None:
        """From the next patch on. Raises UnsupportedFormat; then nothing changes."""
        self._runs.switch(audio)

    def cancel(self, at: Literal["now", "word"] = "now", played: int | None = None) -> None:
        """End it where the listener is, or at the end of the word that is being heard."""
        if self._done:
            return
        now = self._studio.clock()
        if played is not None:
            self.pacer.on_playhead(played, None, now)
        position, estimated = self.pacer.position(now), not self.pacer.is_told(now)
        stop_at = self._captions.spoken.word_end_after(position) if at == "word" and position else position
        if stop_at <= self.pacer.sent:
            self._stop(stop_at, estimated=estimated)
        elif stop_at <= self._pts:
            self._runs.then(partial(self._stop, stop_at, estimated=estimated))
        else:
            self._brake.apply(stop_at, lambda at: self._stop(at, estimated=True))

    def suspend(self, suspended: bool) -> None:
        """Whether the engine is to wait, because the socket does not take what there is."""
        (self._stream.suspend if suspended else self._stream.resume)()

    def abandon(self) -> None:
        """The session is gone; nobody listens."""
        heard = self._captions.spoken.heard(self.pacer.position(self._studio.clock())).text_end
        log.info("utterance abandoned", extra={"utterance": self.id, "heard": heard, "of": self._script.num_chars})
        self._close()

    def wind_up(self, *, at_once: bool) -> None:
        """End it with an error, at once or where the segment ends that is being spoken: the server is going away."""
        self._is_last = True
        self.pacer.rush(self._studio.clock())
        if not (at_once or self._captions.is_between) or (self._is_ended and self._is_all_spoken()):
            return
        self._stream.cancel()
        self._runs.end_run()
        self._runs.then(partial(self._break_off, self._pts))

    def fail(self, code: ErrorCode, message: str, retry_after_ms: int | None = None, at: int | None = None) -> None:
        """`at`: the listener goes on to there, instead of falling silent at once."""
        if self._done:
            return
        self._runs.close()
        self._emit(Error(code=code, message=message, utterance=self.id, retry_after_ms=retry_after_ms))
        now = self._studio.clock()
        position, is_told = (at, False) if at is not None else (self.pacer.position(now), self.pacer.is_told(now))
        self._finish("error", position, estimated=not is_told)

    # ---- what the engine says

    def on_patch(self, patch: Spoke) -> None:
        pts, pcm, num_samples = self._pts, patch.pcm, len(patch.pcm) // 2
        self._watch.mark("first_patch")
        self._watch.patch(patch.seconds)
        self._pts += num_samples
        self.pacer.on_patch(num_samples, self._studio.clock())
        before = self._captions.before(patch.segment, patch.words, pts)
        self._num_spoken += patch.last
        ending = self._brake.cut(pts, pcm)
        run_ends = ending is not None or (patch.last and self._is_all_spoken())
        self._runs.send(before, pts, pcm if ending is None else ending, run_ends=run_ends)
        self._captions.listen(patch.segment, pcm, last=patch.last)
        if ending is not None:
            self._stream.cancel()
            self._runs.then(self._end_once_sent)
        elif self._is_last:
            self.wind_up(at_once=False)

    def on_closed(self) -> None:
        self._runs.end_run()
        self._runs.then(self._end_once_sent)

    def on_failed(self, message: str, busy: bool, retry_after_ms: int = 0) -> None:
        code = ErrorCode.BUSY if busy else ErrorCode.ENGINE_FAILED
        self.fail(code, message, retry_after_ms=retry_after_ms if busy else None)

    # ---- what the socket says

    def on_audio_sent(self) -> None:
        """The socket has taken an audio message; the pacer is told by the session."""
        self._watch.mark("first_audio_sent")
        self._num_sent += 1
        if self._all_spoken:
            self._end_once_sent()

    # ---- text to engine

    def _end_run_if_all_spoken(self) -> None:
        if self._is_all_spoken():
            self._runs.end_run()

    def _is_all_spoken(self) -> bool:
        return self._num_spoken == self._script.num_cut and not self._script.is_cutting

    def _to_engine(self, text: str) -> None:
        if not self._done:
            self._watch.mark("scheduled")
            self._stream.speak(text)
            self._captions.expect()

    def _finish_stream(self) -> None:
        if not self._done:
            self._is_ended = True
            self._stream.finish()

    # ---- the end

    def _break_off(self, pts: int) -> None:
        if not self._all_spoken:
            self.fail(ErrorCode.BUSY, GOING_AWAY, RETRY_AFTER_MS, pts)

    def _stop(self, pts: int, *, estimated: bool) -> None:
        if self._done:
            return
        self._runs.close()
        self._runs.num_samples -= self._recall(self.id, pts)
        self._finish("cancelled", min(pts, self._runs.num_samples), estimated=estimated)

    def _end_once_sent(self) -> None:
        """`done` tells when the first audio left: it is made when the last one has."""
        self._all_spoken = True
        if self._brake.at is not None:
            self._stop(self._brake.at, estimated=not self.pacer.is_told(self._studio.clock()))
        elif self._num_sent == self._runs.num_messages:
            self._finish("end")

    def _finish(
        self, reason: Literal["end", "cancelled", "error"], stopped_at: int = 0, *, estimated: bool = False
    ) -> None:
        if self._done:
            return
        self._watch.mark("done")
        spoken = None
        if reason != "end":
            spoken = self._captions.spoken.cut(self._script.original, stopped_at, estimated=estimated)
        self._close()
        self._emit(
            Done(
                utterance=self.id,
                reason=reason,
                samples=self._runs.num_samples,
                text_chars=self._script.num_chars,
                spoken=spoken,
                trace=self._watch.trace(self._pts / self._rate_hz),
            )
        )
        self._over(self)

    def _close(self) -> None:
        self._done = True
        self._stream.cancel()
        self._runs.close()
        self._script.close()
        self._patience.close()
        self.pacer.detach()
        self._brake.release()

    def _on_job_failed(self, error: BaseException) -> None:
        log.error("utterance job failed", exc_info=error)
        self.fail(ErrorCode.INTERNAL, "the server failed while preparing this utterance")

    def _give_up(self) -> None:
        self.fail(ErrorCode.TIMEOUT, f"expected text or end within {self._studio.utterance_idle_s:g} s, none came")
