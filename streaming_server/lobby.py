"""Who has a session here, connected or lost a moment ago, and may come back to it (PROTOCOL.md, "Resume").

A session is *parked* while it has no connection: it goes on speaking up to its lead, for `limits.resume_ms` at most.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from protocol.messages import Resume

from .admission import Admission
from .metrics import Metrics
from .neighbours import Neighbours, name_session
from .session import Session

MAX_PARKED_BYTES: Final = 1 << 30
"""Held by parked sessions when they were parked; beyond it those that have waited longest are forgotten."""

TOKEN_BYTES: Final = 16

RETURN_S: Final = 3.0
"""After its loss a client that means to come back has tried several times by then: the first time at once."""


class Holder(Protocol):
    """A connection that has a session."""

    def replaced(self) -> None:
        """Another connection has it from now on."""


@dataclass(slots=True)
class _Seat:
    """One session's place. Of its tokens only hashes are kept."""

    session: Session
    holder: Holder | None
    newest: bytes = b""
    presented: bytes = b""  # what the newest was given for; good until it is known to have arrived
    num_bytes: int = 0
    parked_at: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Lobby:
    """The sessions of one web process, all of which count as admitted. Whoever asks has shown the server's key.

    `resume_s`: how long a session is parked; 0: never.
    """

    def __init__(
        self,
        admission: Admission,
        metrics: Metrics,
        *,
        resume_s: float,
        clock: Callable[[], float],
        neighbours: Neighbours | None = None,
    ) -> None:
        self._admission = admission
        self._metrics = metrics
        self._resume_s = resume_s
        self._clock = clock
        self._neighbours = neighbours
        self._seats: dict[str, _Seat] = {}
        self._parked: dict[str, _Seat] = {}  # who has waited longest comes first
        self._parked_bytes = 0
        self.on_return: Callable[[], None] | None = None
        """Called when somebody has come back, before anything that they say is heard."""

    @property
    def sessions(self) -> list[Session]:
        """All, with a connection or without."""
        return [seat.session for seat in self._seats.values()]

    @property
    def may_be_resumed(self) -> bool:
        """Whether there is a session to come back to, here or in another web process. Its client may know of a loss
        that nobody here has noticed."""
        in_others = self._neighbours is not None and self._neighbours.turns.has_sessions
        return self._resume_s > 0 and (bool(self._seats) or in_others)

    @property
    def num_awaited(self) -> int:
        """Sessions that have something left to say to a client who was lost a moment ago."""
        since = self._clock() - RETURN_S
        return sum(seat.parked_at > since and _has_more(seat.session) for seat in self._parked.values())

    def new_name(self) -> str:
        """For a session that is to enter."""
        return name_session(self._neighbours.number if self._neighbours is not None else 0)

    def enter(self, session: Session, holder: Holder) -> None:
        """A new session."""
        self._seats[session.id] = _Seat(session, holder)
        self._tell_neighbours()
        self._admission.num_sessions += 1
        self._metrics.sessions.inc()

    def issue(self, session: Session, principal: Hashable = None) -> str:
        """The token for its next `ready`, good for the same `principal`: who has shown which key."""
        token = secrets.token_hex(TOKEN_BYTES)
        self._seats[session.id].newest = _hashed(token, principal)
        return token

    def claim(self, resume: Resume, holder: Holder, principal: Hashable = None) -> Session | None:
        """The session that this opens, taken from the connection that has it; None if it is unknown, expired or wrong.

        The newest token opens it, and the one before until a message after the last `ready` shows that this came.
        """
        seat, hashed = self._seats.get(resume.session), _hashed(resume.token, principal)
        if seat is None or self._resume_s <= 0 or seat.session.closed or not _opens(seat, hashed):
            self._metrics.resumes_failed.inc()
            return None
        if hmac.compare_digest(hashed, seat.newest):
            seat.session.ledger.prove()
        seat.presented = hashed
        self._unpark(seat)
        if seat.holder is not None:
            seat.holder.replaced()
        seat.holder = holder
        self._metrics.sessions_resumed.inc()
        if self.on_return is not None:
            asyncio.get_running_loop().call_soon(self.on_return)
        return seat.session

    def has(self, session: str) -> bool:
        """Whether there is one of that name to come back to."""
        seat = self._seats.get(session)
        return seat is not None and self._resume_s > 0 and not seat.session.closed

    def park(self, session: Session) -> None:
        """Its connection is lost."""
        seat = self._seats[session.id]
        wait_s = min(self._resume_s, session.ends_at - self._clock())
        if wait_s <= 0 or session.closed:
            self.leave(session)
            return
        seat.holder = None
        seat.parked_at = self._clock()
        seat.num_bytes = session.ledger.held_bytes + session.outbox.sound_bytes
        seat.timer = asyncio.get_running_loop().call_later(wait_s, self._expire, seat)
        self._parked[session.id] = seat
        self._parked_bytes += seat.num_bytes
        self._metrics.sessions_parked.inc()
        self._metrics.sessions_lost.inc()
        while self._parked_bytes > MAX_PARKED_BYTES:
            self._metrics.sessions_evicted.inc()
            self._expire(next(iter(self._parked.values())))

    def leave(self, session: Session) -> None:
        """It is over."""
        seat = self._seats.pop(session.id)
        self._tell_neighbours()
        self._unpark(seat)
        session.close()
        self._admission.num_sessions -= 1
        self._metrics.sessions.dec()

    def close(self) -> None:
        """The server is going away: nobody comes back."""
        self._resume_s = 0
        for seat in list(self._parked.values()):
            self.leave(seat.session)

    def _expire(self, seat: _Seat) -> None:
        self._metrics.sessions_expired.inc()
        self.leave(seat.session)

    def _unpark(self, seat: _Seat) -> None:
        if self._parked.pop(seat.session.id, None) is None:
            return
        assert seat.timer is not None, "a parked session has a timer"
        seat.timer.cancel()
        seat.timer = None
        self._parked_bytes -= seat.num_bytes
        self._metrics.sessions_parked.dec()

    def _tell_neighbours(self) -> None:
        if self._neighbours is not None:
            self._neighbours.turns.tell_sessions(len(self._seats))


def _hashed(token: str, principal: Hashable) -> bytes:
    return sha256(f"{principal} {token}".encode("utf-8", "surrogatepass")).digest()


def _has_more(session: Session) -> bool:
    """What was sent last may not have arrived."""
    return not session.is_idle or session.ledger.held_bytes > 0


def _opens(seat: _Seat, hashed: bytes) -> bool:
    if hmac.compare_digest(hashed, seat.newest):
        return True
    return not seat.session.ledger.is_proven and hmac.compare_digest(hashed, seat.presented)
