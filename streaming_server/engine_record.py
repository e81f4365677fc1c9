"""What the engine was doing when it ended: written to shared memory before it is done, read by web processes after.

The file belongs to one engine process. Who has mapped it reads what that one did last, though the next has another file
of the same name by then.
"""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.engine import Fault, Phase, StreamKey

from .engine_faults import FaultCounts

_HEAD = 5
_CAPACITY, _PID, _COMMAND, _COMMAND_WORKER, _COMMAND_STREAM = range(_HEAD)
_STEP_HEAD = 3
_SEAL, _PHASE, _NUM_ROWS = range(_STEP_HEAD)
_ROW = 3  # worker, stream, index of the patch
_NUM_STEPS = 2
_ON_TRIAL = 1 << 8
_WORD_BYTES = 8
_NOBODY = (0, 0)  # what is rehearsed has no name


@dataclass(frozen=True, slots=True)
class Blame:
    """One of these streams may be why an engine ended: those of the steps under way, and that of the command.

    `streams`: (worker, stream) -> index of the latest patch that was being made. `on_trial`: no step was under way that
    was not theirs alone, so that nobody else may be. `phase`: of the command, or else of the latest step.
    """

    streams: Mapping[tuple[int, int], int] = field(default_factory=dict)
    on_trial: bool = False
    phase: Phase | None = None


class StepRecord:
    """The engine's side, a `Witness`. Streams are named (worker, stream).

    Of a step first the seal is broken, then all is written, then the seal is set: a step whose seal is broken had not
    begun. A command is sealed by its phase, in words of its own: where a device works on a step meanwhile, both are
    told. Raises OSError where there is no room for the file.
    """

    def __init__(self, path: Path, max_rows: int, faults: FaultCounts) -> None:
        self._faults = faults
        num_words = _HEAD + _NUM_STEPS * (_STEP_HEAD + _ROW * max_rows)
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, num_words * _WORD_BYTES)  # a hole on a full disk would be a SIGBUS
            self._map = mmap.mmap(file, num_words * _WORD_BYTES)
        finally:
            os.close(file)
        self._words = memoryview(self._map).cast("B").cast("Q")
        self._words[_CAPACITY], self._words[_PID] = max_rows, os.getpid()
        self._starts = [_HEAD + number * (_STEP_HEAD + _ROW * max_rows) for number in range(_NUM_STEPS)]

    def begins_command(self, phase: Phase, stream: StreamKey) -> None:
        words = self._words
        words[_COMMAND_WORKER], words[_COMMAND_STREAM] = stream if isinstance(stream, tuple) else _NOBODY
        words[_COMMAND] = phase

    def ends_command(self) -> None:
        self._words[_COMMAND] = 0

    def begins_step(self, number: int, phase: Phase, rows: Iterable[tuple[StreamKey, int]], *, on_trial: bool) -> None:
        words, start = self._words, self._starts[number % _NUM_STEPS]
        flat = array("Q")
        for key, index in rows:
            worker, stream = key if isinstance(key, tuple) else _NOBODY
            flat.extend((worker, stream, index))
        if len(flat) > _ROW * words[_CAPACITY]:
            raise ValueError(f"at most {words[_CAPACITY]} rows were expected, but {len(flat) // _ROW} came")
        words[start + _SEAL] = 0
        words[start + _PHASE] = phase | (_ON_TRIAL if on_trial else 0)
        words[start + _NUM_ROWS] = len(flat) // _ROW
        first = start + _STEP_HEAD
        words[first : first + len(flat)] = flat
        words[start + _SEAL] = number

    def ends_step(self, number: int) -> None:
        self._words[self._starts[number % _NUM_STEPS] + _SEAL] = 0

    def fault(self, kind: Fault) -> None:
        self._faults.count(kind)


class LastWords:
    """A web process' side: opened while that engine is there, read once it is not."""

    def __init__(self, path: Path, pid: int) -> None:
        """Raises OSError; ValueError where it is not that process', but already the next one's."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if array("Q", self._map[: _HEAD * _WORD_BYTES])[_PID] != pid:
            self._map.close()
            raise ValueError(f"expected the steps of the engine with pid {pid}, another's came")

    def close(self) -> None:
        self._map.close()

    def blame(self) -> Blame:
        """Nobody's where nothing was under way."""
        words = array("Q", self._map[:])
        streams: dict[tuple[int, int], int] = {}
        phases: dict[int, Phase] = {}  # by the step's number
        on_trial = True
        for start in range(_HEAD, len(words), _STEP_HEAD + _ROW * words[_CAPACITY]):
            number, phase = words[start + _SEAL], words[start + _PHASE]
            if not number:
                continue
            on_trial = on_trial and bool(phase & _ON_TRIAL)
            phases[number] = Phase(phase & (_ON_TRIAL - 1))
            first = start + _STEP_HEAD
            for row in range(first, first + _ROW * words[start + _NUM_ROWS], _ROW):
                key, index = (words[row], words[row + 1]), words[row + 2]
                streams[key] = max(index, streams.get(key, 0))
        if not words[_COMMAND]:
            return Blame(streams, on_trial, phases[max(phases)]) if phases else Blame()
        command = Phase(words[_COMMAND])
        if command is Phase.VOICES:
            return Blame(streams, False, command)
        streams.setdefault((words[_COMMAND_WORKER], words[_COMMAND_STREAM]), 0)
        return Blame(streams, on_trial, command)
