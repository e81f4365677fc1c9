"""How much sound lies in a socket, unacknowledged. At a low bitrate a small buffer holds a lot of it.

Two things are bounded. What is still on this machine has not been sent because the peer or the way takes no more, and a
cancel comes too late for it. What has been sent is with the network: there has to be as much of it as the way is long,
or a listener far away starves; but more than that only waits in front of the narrowest part of the way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from .socket_queues import Way

MAX_SOUND_S: Final = 1.2
"""More does not wait here, and where the way is short no more is unacknowledged: it could not be recalled any more
when the listener barges in."""

SPEED: Final = 1.25
"""A listener far away gets his sound so many times as fast as he plays it. Over a link that carries as much, a queue
that is only ours grows shorter, until no more than `MAX_SOUND_S` are unacknowledged."""

LONGEST_WAY_S: Final = 3.5
"""Of a longer way no more is made up for: over a link that carries less than is played, the queue that is only ours
makes it longer and longer, and whoever interrupts waits for all of it."""

GROWTH: Final = 2.0
"""Who is not paced gets all that the link carries: so many times as much as was acknowledged in a round trip may be
unacknowledged in the next, by the shortest round trip there was, since what waits on the way needs no room."""

FIRST_LOOK_S: Final = 0.000_5
LAST_LOOK_S: Final = 0.02
"""The pauses between looks at what the peer has acknowledged double from the first to the last: on a short way it is
there at once, and who fills a file would have waited most of the time."""

MAX_MESSAGES: Final = 64
"""More are not remembered without a look at which of them still lie there."""


class Queues(Protocol):
    """`socket_queues.SocketQueues`."""

    def num_untaken(self) -> int: ...

    def way(self) -> Way: ...


class _Round(NamedTuple):
    """A round trip, as long as it takes until something is acknowledged that was written after it began."""

    at: float
    from_s: float  # of sound, acknowledged when it began
    until_s: float  # of sound, written when it began


class SoundWindow:
    """The messages that were written last, at least all that are not acknowledged."""

    def __init__(self, queues: Queues, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._queues = queues
        self._clock = clock
        self._written: deque[tuple[int, float]] = deque()  # bytes, and seconds of sound in them
        self._num_bytes = 0
        self._sound_s = 0.0
        self._taken_s = 0.0  # seconds of sound that were acknowledged, of all there ever were
        self._round = _Round(clock(), 0.0, 0.0)
        self._passed_s = 0.0  # seconds of sound that were acknowledged in the last round
        self._round_s = 1.0  # that it took

    def write(self, num_bytes: int, sound_s: float) -> None:
        self._written.append((num_bytes, sound_s))
        self._num_bytes += num_bytes
        self._sound_s += sound_s

    def is_over(self, sound_s: float) -> bool:
        """Whether so much more is too much."""
        if self._sound_s + sound_s <= MAX_SOUND_S and len(self._written) <= MAX_MESSAGES:
            return False
        self._look(self._queues.num_untaken())
        if self._sound_s <= 0 or self._sound_s + sound_s <= MAX_SOUND_S:
            return False
        way = self._queues.way()
        return self._sound_s + sound_s > self._reach_s(way) or self._waits(way.num_unsent, MAX_SOUND_S - sound_s)

    def lies_there(self, num_untaken: int) -> bool:
        """Whether any sound does, with so many bytes that are not acknowledged."""
        self._look(num_untaken)
        return self._sound_s > 0

    async def room(self, sound_s: float, is_lost: Callable[[], bool]) -> None:
        """Wait until so much more is not too much, or nobody is there to take it."""
        pause_s = FIRST_LOOK_S
        while True:  # the kernel tells nobody
            await asyncio.sleep(pause_s)
            if is_lost() or not self.is_over(sound_s):
                return
            pause_s = min(LAST_LOOK_S, 2 * pause_s)

    def _reach_s(self, way: Way) -> float:
        """So much sound may be unacknowledged."""
        in_real_time_s = SPEED * min(way.round_trip_s, LONGEST_WAY_S)
        # No round is shorter than the way, whatever a clock says that stands for as long as a turn of the loop.
        trips = max(1.0, self._round_s / max(1e-6, way.least_round_trip_s))
        return max(MAX_SOUND_S, in_real_time_s, GROWTH * self._passed_s / trips)

    def _waits(self, num_unsent: int, most_s: float) -> bool:
        """Whether more sound than that is in the last so many bytes."""
        num_bytes, unsent_s = 0, 0.0
        for each_bytes, each_s in reversed(self._written):
            if num_bytes >= num_unsent:
                return False
            num_bytes, unsent_s = num_bytes + each_bytes, unsent_s + each_s
            if unsent_s > most_s:
                return True
        return False

    def _look(self, num_untaken: int) -> None:
        """Forget what is acknowledged. A message of which a byte is missing is not."""
        while self._written and self._num_bytes - self._written[0][0] >= num_untaken:
            num_bytes, sound_s = self._written.popleft()
            self._num_bytes -= num_bytes
            self._sound_s -= sound_s
            self._taken_s += sound_s
        if not self._written:
            self._sound_s = 0.0  # floats do not add up to it
        if self._taken_s > self._round.until_s:
            now = self._clock()
            self._passed_s, self._round_s = self._taken_s - self._round.from_s, now - self._round.at
            self._round = _Round(now, self._taken_s, self._taken_s + self._sound_s)
