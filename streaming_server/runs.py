"""Patches become audio messages: runs of one coder's state, encoded in order (PROTOCOL.md, "Runs")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from protocol.messages import Audio, AudioFormat, FormatChanged, ServerMessage

from .audio.encoder import Payload, RunEncoder, open_encoder
from .jobs import OrderedJobs

FADE_MS = 10
"""How a voice that is cut off ends."""


MAX_JOBS = 128
"""That wait for the executor: a patch is one or two. Where there are more, the engine waits: background work for a slow
coder would pile up by the hour."""

Hearing = Callable[[], Callable[[], Sequence[ServerMessage]]]
"""Work for the executor, which listens to a patch; what it returns is called on the event loop, and gives messages."""


def check_format(audio: AudioFormat, rate_hz: int) -> None:
    """Raises UnsupportedFormat."""
    _open(audio, rate_hz)


class Runs:
    """The audio side of one utterance. Everything is emitted in the order of the calls."""

    def __init__(
        self,
        utterance: str,
        audio: AudioFormat,
        *,
        rate_hz: int,
        executor: Executor,
        emit: Callable[[ServerMessage], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        """Raises UnsupportedFormat."""
        self._utterance = utterance
        self._rate_hz = rate_hz
        self._emit = emit
        self._jobs = OrderedJobs(executor, on_error)
        self._audio = audio
        self._encoder: RunEncoder | None = _open(audio, self._rate_hz)
        self._announced = self._resolved(self._encoder)
        self._has_audio = False
        self.num_samples = 0
        """Ticks of all audio messages emitted so far."""
        self.num_messages = 0

    @property
    def announced(self) -> AudioFormat:
        """The present run's format, with its `pre_skip`."""
        return self._announced

    def is_behind(self, *, still: bool) -> bool:
        """Whether more patches wait for the coder than should. `still`: it was so; then until half of them are done."""
        return len(self._jobs) > (MAX_JOBS // 2 if still else MAX_JOBS)

    def switch(self, audio: AudioFormat) -> None:
        """A new run in another format. Raises UnsupportedFormat; then nothing changes."""
        encoder = _open(audio, self._rate_hz)
        if self._encoder is not None:
            self._jobs.submit(self._encoder.finish, self._emit_tail)
        self._begin(audio, encoder)

    def send(self, before: Callable[[], Sequence[ServerMessage]], pts: int, pcm: bytes, *, run_ends: bool) -> None:
        """Little-endian int16 at the model's rate, after the messages that announce it: asked for when it is ready."""
        if self._encoder is None:
            self._begin(self._audio, _open(self._audio, self._rate_hz))
        encoder = self._encoder
        assert encoder is not None
        self._has_audio = True
        if run_ends:
            self._encoder = None
        num_samples = len(pcm) // 2

        def emit(payload: Payload) -> None:
            self._emit_all(before())
            self._emit_audio(pts, num_samples, payload)

        if encoder.passthrough:
            self._jobs.submit(None, lambda _: emit(_encoded(encoder, pcm, run_ends)))
        else:
            self._jobs.submit(partial(_encoded, encoder, pcm, run_ends), emit)

    def hear(self, hearing: Hearing) -> None:
        """Listen to what was sent, before anything else is."""
        self._jobs.submit(hearing, lambda tell: self._emit_all(tell()), is_patient=True)

    def end_run(self) -> None:
        """Everything written so far is spoken: what the coder holds back goes out."""
        if self._encoder is not None and self._has_audio:
            self._jobs.submit(self._encoder.finish, self._emit_tail)
            self._encoder = None

    def then(self, act: Callable[[], None]) -> None:
        """After all that was sent so far has been emitted."""
        self._jobs.submit(None, lambda _: act())

    def close(self) -> None:
        """What is not yet emitted is dropped."""
        self._jobs.close()

    def _begin(self, audio: AudioFormat, encoder: RunEncoder) -> None:
        self._audio, self._encoder = audio, encoder
        self._has_audio = False
        announced = self._announced = self._resolved(encoder)
        self.then(lambda: self._emit(FormatChanged(utterance=self._utterance, audio=announced)))

    def _resolved(self, encoder: RunEncoder) -> AudioFormat:
        return self._audio.resolved(self._rate_hz, pre_skip=encoder.pre_skip)

    def _emit_all(self, messages: Sequence[ServerMessage]) -> None:
        for message in messages:
            self._emit(message)

    def _emit_tail(self, payload: Payload) -> None:
        if payload:
            self._emit_audio(self.num_samples, 0, payload)

    def _emit_audio(self, pts: int, num_samples: int, payload: Payload) -> None:
        if not num_samples and not payload:
            return
        self.num_samples += num_samples
        self.num_messages += 1
        if isinstance(payload, bytes):
            self._emit(Audio(utterance=self._utterance, pts=pts, samples=num_samples, data=payload))
        else:
            self._emit(Audio(utterance=self._utterance, pts=pts, samples=num_samples, packets=payload))


def as_samples(pcm: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm, dtype="<i2")


def faded(pcm: bytes, rate_hz: int) -> bytes:
    """The same with its last `FADE_MS` faded out."""
    samples = as_samples(pcm).astype(np.float32)
    num_fade = min(len(samples), rate_hz * FADE_MS // 1000)
    if num_fade:
        samples[-num_fade:] *= np.linspace(1, 0, num_fade, dtype=np.float32)
    return samples.astype("<i2").tobytes()


def _encoded(encoder: RunEncoder, pcm: bytes, run_ends: bool) -> Payload:
    payload = pcm if encoder.is_identity else encoder.encode(as_samples(pcm))
    return _joined(payload, encoder.finish()) if run_ends else payload


def _joined(payload: Payload, tail: Payload) -> Payload:
    if isinstance(payload, bytes):
        assert isinstance(tail, bytes)
        return payload + tail
    assert isinstance(tail, tuple)
    return payload + tail


def _open(audio: AudioFormat, rate_hz: int) -> RunEncoder:
    full = audio.resolved(rate_hz)
    assert full.sample_rate is not None
    return open_encoder(
        full.codec,
        sample_rate=full.sample_rate,
        bitrate=full.bitrate,
        frame_ms=full.frame_ms,
        model_rate=rate_hz,
    )
