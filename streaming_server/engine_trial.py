"""Who is tried next of those that may have killed the engine, by one web process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

NUM_DEATHS = 3
"""In a row, without a patch of its own in between, and in the last of them it was alone: then an utterance is refused.

The first makes it a suspect. Chance may bring that about: somebody kills the engine by hand, or the kernel does for
want of memory. In the second it is on trial, which takes some hundredths of a second: with such a death every ten
seconds, that happens by chance to one suspect in some hundreds, and the third as well to one in 100,000.
"""

_HALF = 0.5


def next_group(nums_blamed: Sequence[int], restart_s: float, trial_s: float) -> Sequence[int]:
    """Which to try next, by their places, of suspects that were blamed for so many deaths in a row (at least one).

    Most engines end by chance, so all who are blamed for the first time are tried together: mostly that is all. Only
    if it kills again is the one looked for, and that death counts as the second of `NUM_DEATHS`, which it takes anyway.
    """
    fresh = [place for place, num_blamed in enumerate(nums_blamed) if num_blamed == 1]
    if fresh:
        return fresh
    return range(group_size(len(nums_blamed), restart_s, trial_s))


def group_size(num_suspects: int, restart_s: float, trial_s: float) -> int:
    """How many of `num_suspects`, of whom one kills, to try together, when a trial that nobody dies of takes `trial_s`
    and a death `restart_s` more.

    Halves where a death costs nothing (a step that raises). The dearer it is, the smaller the group, down to one after
    the other: then there is one death, and each trial that passes is nearly free. The share f is that of an optimal
    search whose two answers cost differently (as codes whose letters do): f = (1 - f) ** (1 + restart_s / trial_s).
    """
    exponent = 1 + restart_s / trial_s
    low, high = 0.0, _HALF
    for _ in range(30):
        share = (low + high) / 2
        low, high = (share, high) if share < (1 - share) ** exponent else (low, share)
    return max(1, min(round(high * num_suspects), num_suspects // 2))


class Courtroom:
    """A lock on a file: it opens when its holder ends, however that comes about."""

    def __init__(self, path: Path | None) -> None:
        """None: there is only this web process."""
        self._path = path
        self._file: int | None = None

    def enter(self) -> bool:
        """False while another is in it, or where no file can be opened. Never waits."""
        if self._path is None or self._file is not None:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
