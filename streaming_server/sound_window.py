"""How much sound lies in a socket, unacknowledged. At a low bitrate a small buffer holds a lot of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_SOUND_S: Final = 1.2
"""More is not put into a socket: it could not be recalled any more when the listener barges in."""

FIRST_LOOK_S: Final = 0.000_5
LAST_LOOK_S: Final = 0.02
"""The pauses between looks at what the peer has acknowledged double from the first to the last: on a short way it is
there at once, and who fills a file would have waited most of the time."""

MAX_MESSAGES: Final = 64
"""More are not remembered without a look at which of them still lie there."""


class SoundWindow:
    """The messages that were written last, at least all that are not acknowledged."""

    def __init__(self) -> None:
        self._written: deque[tuple[int, float]] = deque()  # bytes, and seconds of sound in them
        self._sound_s = 0.0

    def write(self, num_bytes: int, sound_s: float) -> None:
        self._written.append((num_bytes, sound_s))
        self._sound_s += sound_s

    def is_over(self, sound_s: float, count_untaken: Callable[[], int]) -> bool:
        """Whether so much more is too much. `count_untaken`: bytes that the peer has yet to acknowledge."""
        if self._sound_s + sound_s <= MAX_SOUND_S and len(self._written) <= MAX_MESSAGES:
            return False
        there_s = self._look(count_untaken())
        return there_s > 0 and there_s + sound_s > MAX_SOUND_S

    def lies_there(self, num_untaken: int) -> bool:
        """Whether any sound does, with so many bytes that are not acknowledged."""
        return self._look(num_untaken) > 0

    async def taken(self, sound_s: float, count_untaken: Callable[[], int], is_lost: Callable[[], bool]) -> None:
        """Wait until there is room for so much more, or nobody to take it."""
        pause_s = FIRST_LOOK_S
        while self.is_over(sound_s, count_untaken) and not is_lost():  # the kernel tells nobody
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_LOOK_S, 2 * pause_s)

    def _look(self, num_untaken: int) -> float:
        num_bytes, there_s, num_there = 0, 0.0, 0
        for each_bytes, each_s in reversed(self._written):
            if num_bytes >= num_untaken:
                break
            num_bytes, there_s, num_there = num_bytes + each_bytes, there_s + each_s, num_there + 1
        while len(self._written) > num_there:
            self._written.popleft()
        self._sound_s = there_s
        return there_s
