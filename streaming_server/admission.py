"""Who gets in. A refusal is immediate and says when to try again; a throttled session is read more slowly."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from models.engine import Ear

from .engine_client import EngineClient

RETRY_AFTER_MS = 1000

GOING_AWAY = "the server is shutting down"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One sentence, and when to come back."""

    message: str
    retry_after_ms: int = RETRY_AFTER_MS


def told_slowness(engine: EngineClient) -> str | None:
    """What operators are told of a machine that is slower than real time; None of another."""
    if not engine.is_slow or engine.rtf is None:
        return None
    return f"slower than real time (rtf {engine.rtf:.2f}), one stream at a time"


class Admission:
    """Counts the sessions of one web process, and the streams of all against the engine's slots."""

    def __init__(self, engine: EngineClient, *, max_sessions: int) -> None:
        self._engine = engine
        self._max_sessions = max_sessions
        self.num_sessions = 0
        self.draining = False

    @property
    def max_connections(self) -> int:
        """Sessions, and as many that have not said hello yet."""
        return 2 * self._max_sessions

    def refuse_session(self) -> Refusal | None:
        if self.draining:
            return Refusal(GOING_AWAY)
        if self.num_sessions >= self._max_sessions:
            return Refusal(f"all {self._max_sessions} sessions of this server are in use")
        return None

    def refuse_utterance(
        self, session: Hashable, *, lead: int | None = 0, waits: bool = False, num_freed: int = 0
    ) -> Refusal | None:
        """`lead` None: background work. `waits`: for another of this session to be over. `num_freed`: streams of this
        session that end if it is accepted; all it has, or none."""
        if self.draining:
            return Refusal(GOING_AWAY)
        engine = self._engine
        if not engine.admits:
            return Refusal("the voice engine is being restarted")
        busy = engine.refusal(session, Ear.of(lead, waits), frees_others=num_freed > 0)
        if busy is not None:
            return Refusal(busy.message, busy.retry_after_ms)
        num_slots = engine.info.max_slots
        if engine.num_streams + engine.num_streams_elsewhere - num_freed >= num_slots:
            return Refusal(f"all {num_slots} voices of this server are speaking")
        return None


class Throttle:
    """A token bucket that delays instead of refusing: what a session sends too fast waits in its own socket."""

    def __init__(self, rate_per_s: float, *, burst: float = 0.0) -> None:
        """At least two seconds' worth may come at once, or `burst`."""
        self.rate_per_s = rate_per_s
        self._burst = max(burst, 2 * rate_per_s)
        self._level = self._burst
        self._at: float | None = None

    def take(self, amount: float, now: float) -> float:
        """Seconds to wait before the next message is read."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self.rate_per_s)

    def owed_s(self, now: float) -> float:
        """Seconds until all that was taken is paid for."""
        self._fill(now)
        return max(0.0, -self._level / self.rate_per_s)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._burst, self._level + (now - self._at) * self.rate_per_s)
        self._at = now
