"""One client: its utterances, its outbox, its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.ledger import Ledger, Replay
from protocol.messages import (
    Audio,
    Cancel,
    ClientMessage,
    Close,
    Done,
    End,
    Error,
    Flush,
    Format,
    Hello,
    Ping,
    Playhead,
    Pong,
    Ready,
    ServerMessage,
    Start,
    Text,
)

from .admission import Admission, Throttle
from .config import Config
from .greeting import granted_lead, greet, served_audio
from .metrics import Metrics
from .order import resolve_order
from .outbox import Outbox
from .pacer import Pacer
from .runs import check_format
from .studio import Studio
from .turning_away import told_of
from .utterance import Utterance

MAX_PLAYED_OUT = 64
"""Ended utterances whose listener is still followed, for those that come after them."""


class Session:
    """Everything synchronous between one endpoint and its utterances.

    `handle` obeys a client message, or raises RemoteProtocolError with what is wrong with it. `outbox` fills with what
    is to be sent; the endpoint takes from it and reports with `on_sent`.
    """

    def __init__(
        self,
        name: str,
        hello: Hello,
        config: Config,
        studio: Studio,
        admission: Admission,
        metrics: Metrics,
        ledger: Ledger,
    ) -> None:
        self.id = name
        self.closed = False
        self._config = config
        self._studio = studio
        self._admission = admission
        self._metrics = metrics
        self._rate_hz = studio.engine.info.sample_rate  # that of the speech which the client is told of
        self._audio = served_audio(hello.audio, self._rate_hz)
        self._lead_ms = granted_lead(hello, config, studio.engine.info.patch_ms)
        self._utterances: dict[str, Utterance] = {}
        self._pacers: dict[str, Pacer] = {}
        self.ledger = ledger
        self._suspended = False
        self.outbox = Outbox()
        self.active_at = studio.clock()
        """When it last took or gave something."""
        self.ends_at = self.active_at + config.session_ms / 1000
        """When its life is over, on whatever connection."""
        self._chars = Throttle(config.chars_per_s, burst=config.message_bytes)
        self._messages = Throttle(config.messages_per_s)

    # ---- the endpoint's side

    def ready(self, token: str, unknown: tuple[str, ...], *, resumed: bool) -> Ready:
        num_resumed = self.ledger.client_messages if resumed else None
        return greet(self.id, token, self._config, self._studio.engine, self._audio, unknown, num_resumed)

    def come_back(self, hello: Hello) -> Replay:
        """Its client has a new connection: what goes out there before anything else."""
        assert hello.resume is not None, "expected a hello that resumes"
        now = self.active_at = self._studio.clock()
        self._lead_ms = granted_lead(hello, self._config, self._studio.engine.info.patch_ms)
        replay = self.ledger.replay(hello.resume.received)
        self.outbox.keep_only(self.ledger.live)
        for name in (*replay.gaps, *replay.abandoned):
            if name in self._utterances:
                self._utterances.pop(name).abandon()
                self._metrics.utterances_abandoned.inc()
            if name in self._pacers:
                self._pacers[name].on_end(now, cancelled=True)
        first = {audio.utterance: audio.pts for audio in reversed(replay.messages) if isinstance(audio, Audio)}
        for name, received in first.items():
            if name in self._pacers:
                self._pacers[name].on_resume(received, now)
        self._heed_bounds()
        return replay

    def on_sent(self, message: ServerMessage) -> None:
        now = self.active_at = self._studio.clock()
        match message:
            case Audio():
                self._metrics.audio.num_messages += 1
                self._metrics.audio.seconds += message.samples / self._rate_hz
                if message.utterance in self._pacers:
                    self._pacers[message.utterance].on_sent(message.samples, now)
                if message.utterance in self._utterances:
                    self._utterances[message.utterance].on_audio_sent()
                if self._suspended:
                    self._heed_bounds()
            case Done():
                self._metrics.utterances_ended.labels(message.reason).inc()
                if message.trace.first_audio_sent is not None:
                    self._metrics.first_audio.observe(message.trace.first_audio_sent / 1000)
                if message.utterance in self._pacers:
                    self._pacers[message.utterance].on_end(now, cancelled=message.reason != "end")

    def sound_s(self, message: ServerMessage) -> float:
        """How long it sounds."""
        return message.samples / self._rate_hz if isinstance(message, Audio) else 0.0

    def emit(self, message: ServerMessage) -> None:
        if self.closed:
            return
        if isinstance(message, Error):
            self._metrics.errors.labels(message.code).inc()
        self.outbox.put(message)
        self._heed_bounds()

    @property
    def is_idle(self) -> bool:
        return not self._utterances and not len(self.outbox)

    def throttle_s(self, message: ClientMessage | None, now: float) -> float:
        """How long to leave the socket unread after this message; None: one that was refused or came too late."""
        wait_s = self._messages.take(1, now)
        if isinstance(message, Text | Start):
            wait_s = max(wait_s, self._chars.take(len(message.text or ""), now))
        return wait_s

    def wind_up(self, *, at_once: bool) -> None:
        """End what speaks, with an error: at once, or where its segment ends."""
        for utterance in list(self._utterances.values()):
            utterance.wind_up(at_once=at_once)

    def close(self) -> None:
        """Whatever speaks, stops."""
        self.closed = True
        for utterance in self._utterances.values():
            utterance.abandon()
        self._metrics.utterances_abandoned.inc(len(self._utterances))
        self._utterances.clear()
        self.outbox.clear()

    # ---- the client's side

    def handle(self, message: ClientMessage, unknown: tuple[str, ...] = ()) -> None:
        """Raises RemoteProtocolError; then nothing has changed."""
        self.active_at = self._studio.clock()
        match message:
            case Playhead():  # first: most are
                self._playhead(message)
            case Start():
                self._start(message, unknown)
            case Text() | Flush() | End() | Format():
                utterance = self._utterances.get(message.utterance)
                if utterance is not None:  # else its done is on the way
                    self._continue(utterance, message)
            case Cancel():
                self._cancel(message)
            case Ping():
                self.emit(Pong(nonce=message.nonce, server_ms=round(1000 * self._studio.clock(), 3)))
            case Close():
                self.close()
            case Hello():
                raise AssertionError("the connection refuses a second hello")

    def _start(self, start: Start, unknown: tuple[str, ...]) -> None:
        others = list(self._utterances.values()) if start.preempt else []
        refusal = self._admission.refuse_utterance(
            self.id, lead=self._lead_ms, waits=start.after is not None, num_freed=len(others)
        )
        if refusal is not None:
            raise RemoteProtocolError(
                ErrorCode.BUSY, refusal.message, utterance=start.utterance, retry_after_ms=refusal.retry_after_ms
            )
        order = resolve_order(
            start,
            engine=self._studio.engine,
            config=self._config,
            session=self.id,
            audio=self._audio,
            lead_ms=self._lead_ms,
            unknown=unknown,
        )
        text = start.text or ""
        self._count_text(start.utterance, text, without=others)
        after = None if start.after is None else self._pacers.get(start.after)  # gone or refused: nobody to wait for
        with told_of(start.utterance):
            check_format(order.audio, self._rate_hz)
            for other in others:  # nothing can refuse it any more, and their voices may be the last ones
                other.cancel()
            utterance = Utterance(
                order, self._studio, emit=self.emit, recall=self.outbox.recall, over=self._over, after=after
            )
        self._utterances[start.utterance] = utterance
        if self._suspended:
            utterance.suspend(True)
        self._follow(start.utterance, utterance.pacer)
        self._metrics.utterances.inc()
        if text:
            utterance.text(text)
        if start.end:
            utterance.end()

    def _continue(self, utterance: Utterance, message: Text | Flush | End | Format) -> None:
        match message:
            case Text():
                try:
                    self._count_text(utterance.id, message.text)
                except RemoteProtocolError:
                    self.ledger.untake(message)
                    raise
                utterance.text(message.text)
            case Flush():
                utterance.flush()
            case End():
                utterance.end()
            case Format():
                with told_of(utterance.id):
                    utterance.set_format(message.audio)

    def _cancel(self, cancel: Cancel) -> None:
        at = cancel.at or "now"
        if cancel.utterance == "*":
            played = cancel.played if isinstance(cancel.played, Mapping) else {}
            for name, utterance in list(self._utterances.items()):
                utterance.cancel(at, played.get(name))
        elif cancel.utterance in self._utterances:
            assert cancel.played is None or isinstance(cancel.played, int)
            self._utterances[cancel.utterance].cancel(at, cancel.played)

    def _playhead(self, playhead: Playhead) -> None:
        pacer = self._pacers.get(playhead.utterance)
        if pacer is not None:
            pacer.on_playhead(playhead.played, playhead.paused, self._studio.clock())
        if self._suspended:
            self._heed_bounds()

    def _count_text(self, utterance: str, text: str, without: Sequence[Utterance] = ()) -> None:
        """A session's unspoken text is bounded; what is over the bound is refused, not cut."""
        pending = sum(one.num_pending_chars for one in self._utterances.values() if one not in without)
        if pending + len(text) > self._config.pending_chars:
            raise RemoteProtocolError(
                ErrorCode.TEXT_LIMIT,
                f"expected at most {self._config.pending_chars} characters waiting to be spoken, got {pending} and "
                f"{len(text)} more",
                utterance=utterance,
                retry_after_ms=1000,
            )
        self._metrics.text_chars.inc(len(text))

    def _heed_bounds(self) -> None:
        """What the socket does not take, or the listener never hears, is not made: the engine waits for it.

        To be asked when something more waits; while the engine waits already, also when something less does."""
        still = self._suspended
        suspended = self.outbox.is_full(still=still) or self.ledger.full
        for utterance in self._utterances.values():  # `any` would cost twice as much, for each message
            suspended = suspended or utterance.is_behind(still=still)
        if suspended is not self._suspended:
            self._suspended = suspended
            self._metrics.sessions_suspended.inc(suspended)
            for utterance in self._utterances.values():
                utterance.suspend(suspended)

    def _over(self, utterance: Utterance) -> None:
        del self._utterances[utterance.id]
        self._heed_bounds()

    def _follow(self, utterance: str, pacer: Pacer) -> None:
        self._pacers[utterance] = pacer
        if len(self._pacers) > MAX_PLAYED_OUT + len(self._utterances):
            oldest = next(name for name in self._pacers if name not in self._utterances)
            del self._pacers[oldest]
