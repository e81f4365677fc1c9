"""Streams that may be spoken now: live ones by deadline, background ones in turn; sessions share both fairly."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from itertools import count
from math import inf

from .agenda import Agenda
from .sequence import Sequence


class _Session:
    """The ready streams of one session, and its place among the others."""

    __slots__ = ("agenda", "at", "num_streams", "ticket")

    def __init__(self) -> None:
        self.agenda = Agenda()
        self.num_streams = 0
        self.at = float("inf")  # the deadline under which it is queued
        self.ticket = -1  # of its one valid entry in the queue; -1: none


class Live:
    """Earliest deadline first over all sessions, as long as nobody is pressed.

    Among those that are (deadline before `pressed_by`), each session gets one row before any gets a second: in an
    overload a session with a thousand streams and a session with one lose alike.
    """

    def __init__(self) -> None:
        self._sessions: dict[Hashable, _Session] = {}
        self._queue: list[tuple[float, int, _Session]] = []
        self._tickets = count()

    def join(self, sequence: Sequence) -> None:
        """A stream exists from here to `leave`, ready or not."""
        session = self._sessions.get(sequence.session)
        if session is None:
            session = self._sessions[sequence.session] = _Session()
        session.num_streams += 1

    def leave(self, sequence: Sequence) -> None:
        session = self._sessions[sequence.session]
        session.num_streams -= 1
        if not session.num_streams:
            del self._sessions[sequence.session]

    def push(self, deadline: float, sequence: Sequence) -> None:
        session = self._sessions[sequence.session]
        session.agenda.push(deadline, sequence)
        if session.ticket < 0 or deadline < session.at:
            self._enqueue(session, deadline)

    def take(self, max_rows: int, pressed_by: float, *, until: float = inf) -> list[Sequence]:
        """The most urgent whose deadline is not after `until`, removed."""
        rows: list[Sequence] = []
        served: list[_Session] = []  # sessions that had their row of this round; alone, one that is not pressed
        while len(rows) < max_rows:
            session = self._first()
            if served and (session is None or session.at > pressed_by):
                self._return(served)
                continue
            if session is None or session.at > until:
                break
            heapq.heappop(self._queue)
            session.ticket = -1
            rows.append(session.agenda.pop())
            served.append(session)
        self._return(served)
        return rows

    def first_at(self) -> float:
        """The earliest deadline; infinite when nobody is ready."""
        session = self._first()
        return inf if session is None else session.at

    def __bool__(self) -> bool:
        return self._first() is not None

    def _return(self, served: list[_Session]) -> None:
        for session in served:
            deadline = session.agenda.first_at()
            if deadline is not None:
                self._enqueue(session, deadline)
        served.clear()

    def _enqueue(self, session: _Session, deadline: float) -> None:
        session.at = deadline
        session.ticket = next(self._tickets)
        heapq.heappush(self._queue, (deadline, session.ticket, session))

    def _first(self) -> _Session | None:
        """The session with the earliest deadline, its entry now the queue's first."""
        queue = self._queue
        while queue:
            at, ticket, session = queue[0]
            if ticket == session.ticket:
                deadline = session.agenda.first_at()
                if deadline == at:
                    return session
                session.ticket = -1
                if deadline is not None:
                    self._enqueue(session, deadline)
                    continue
            heapq.heappop(queue)
        return None


class Background:
    """Sessions take turns, and within a session its streams do."""

    def __init__(self) -> None:
        self._turns: OrderedDict[Hashable, OrderedDict[Sequence, None]] = OrderedDict()
        self._num_streams = 0

    def __len__(self) -> int:
        return self._num_streams

    def push(self, sequence: Sequence) -> None:
        streams = self._turns.setdefault(sequence.session, OrderedDict())
        self._num_streams += sequence not in streams
        streams[sequence] = None

    def discard(self, sequence: Sequence) -> None:
        streams = self._turns.get(sequence.session)
        if streams is not None and sequence in streams:
            del streams[sequence]
            self._num_streams -= 1
            if not streams:
                del self._turns[sequence.session]

    def take(self, max_rows: int) -> list[Sequence]:
        """Those whose turn it is, removed."""
        rows: list[Sequence] = []
        while self._turns and len(rows) < max_rows:
            session, streams = self._turns.popitem(last=False)
            rows.append(streams.popitem(last=False)[0])
            self._num_streams -= 1
            if streams:
                self._turns[session] = streams
        return rows
