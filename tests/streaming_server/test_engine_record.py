"""What a web process reads of an engine's last steps."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from models.engine import Fault, Phase
from streaming_server.engine_faults import FaultCounts
from streaming_server.engine_record import LastWords, StepRecord


def record_in(directory: Path, max_rows: int = 8) -> tuple[StepRecord, LastWords]:
    record = StepRecord(directory / "steps", max_rows, FaultCounts(directory / "faults"))
    return record, LastWords(directory / "steps", os.getpid())


def test_nobody_is_to_blame_between_steps(tmp_path: Path) -> None:
    record, last_words = record_in(tmp_path)
    assert not last_words.blame().streams
    record.begins_step(1, Phase.DECODE, [((1, 7), 0)], on_trial=False)
    record.ends_step(1)
    assert not last_words.blame().streams


def test_both_steps_under_way_are_told_with_the_latest_patch_of_each_stream(tmp_path: Path) -> None:
    record, last_words = record_in(tmp_path)
    record.begins_step(1, Phase.PREFILL, [((1, 7), 3), ((2, 7), 0)], on_trial=False)
    record.begins_step(2, Phase.DECODE, [((1, 7), 4), ((1, 9), 5)], on_trial=False)
    blame = last_words.blame()
    assert blame.streams == {(1, 7): 4, (2, 7): 0, (1, 9): 5}
    assert (blame.on_trial, blame.phase) == (False, Phase.DECODE)
    record.ends_step(1)
    assert last_words.blame().streams == {(1, 7): 4, (1, 9): 5}
    record.begins_step(3, Phase.DECODE, [((1, 9), 6)], on_trial=True)
    assert not last_words.blame().on_trial


def test_a_command_is_to_blame_alone_and_that_for_voices_nobody(tmp_path: Path) -> None:
    record, last_words = record_in(tmp_path)
    record.begins_command(Phase.OPENING, (3, 5))
    blame = last_words.blame()
    assert (blame.streams, blame.on_trial, blame.phase) == ({(3, 5): 0}, True, Phase.OPENING)
    record.ends_command()
    record.begins_command(Phase.VOICES, (3, 6))
    assert (last_words.blame().streams, last_words.blame().phase) == ({}, Phase.VOICES)


def test_a_command_beside_steps_hides_nobody_and_is_to_blame_with_them(tmp_path: Path) -> None:
    """On a device that works meanwhile: whose of the two it was is not known."""
    record, last_words = record_in(tmp_path)
    record.begins_step(1, Phase.DECODE, [((1, 7), 3), ((1, 9), 5)], on_trial=True)
    record.begins_command(Phase.OPENING, (3, 5))
    blame = last_words.blame()
    assert blame.streams == {(1, 7): 3, (1, 9): 5, (3, 5): 0}
    assert (blame.on_trial, blame.phase) == (True, Phase.OPENING)
    record.ends_command()
    record.begins_command(Phase.OPENING, (1, 7))
    assert last_words.blame().streams == {(1, 7): 3, (1, 9): 5}
    record.begins_step(2, Phase.DECODE, [((1, 9), 6)], on_trial=False)
    assert not last_words.blame().on_trial
    record.ends_step(1)
    record.ends_step(2)
    assert (last_words.blame().streams, last_words.blame().on_trial) == ({(1, 7): 0}, True)


def test_voices_that_are_looked_for_beside_a_trial_may_be_what_killed(tmp_path: Path) -> None:
    record, last_words = record_in(tmp_path)
    record.begins_step(1, Phase.DECODE, [((1, 7), 3)], on_trial=True)
    record.begins_command(Phase.VOICES, (1, 9))
    blame = last_words.blame()
    assert (blame.streams, blame.on_trial) == ({(1, 7): 3}, False)


def test_a_full_step_is_told_and_a_larger_one_refused(tmp_path: Path) -> None:
    record, last_words = record_in(tmp_path, max_rows=3)
    rows = [((1, stream), stream) for stream in range(3)]
    record.begins_step(1, Phase.DECODE, rows, on_trial=True)
    assert last_words.blame().streams == dict(rows)
    with pytest.raises(ValueError, match="at most 3 rows were expected, but 4 came"):
        record.begins_step(2, Phase.DECODE, [*rows, ((1, 3), 0)], on_trial=True)


def test_a_step_that_was_being_written_down_had_not_begun(tmp_path: Path) -> None:
    """Killed in the middle of it: only what is sealed is told."""
    code = """
        import os, pathlib, sys
        from models.engine import Phase
        from streaming_server.engine_faults import FaultCounts
        from streaming_server.engine_record import StepRecord
        directory = pathlib.Path(sys.argv[1])
        record = StepRecord(directory / "steps", 2, FaultCounts(directory / "faults"))
        record.begins_step(1, Phase.DECODE, [((1, 1), 0)], on_trial=False)
        print(os.getpid(), flush=True)
        record.begins_step(2, Phase.DECODE, (os.kill(os.getpid(), 9) for _ in range(2)), on_trial=False)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True)
    assert LastWords(tmp_path / "steps", int(done.stdout)).blame().streams == {(1, 1): 0}


def test_the_next_engines_record_is_another_and_does_not_touch_this_one(tmp_path: Path) -> None:
    record, last_words = record_in(tmp_path)
    record.begins_step(1, Phase.DECODE, [((1, 7), 0)], on_trial=False)
    StepRecord(tmp_path / "steps", 8, FaultCounts(tmp_path / "faults"))
    assert last_words.blame().streams == {(1, 7): 0}
    with pytest.raises(ValueError, match="expected the steps of the engine with pid 1"):
        LastWords(tmp_path / "steps", 1)


def test_faults_are_counted_by_all_and_outlive_who_counts(tmp_path: Path) -> None:
    first, second = FaultCounts(tmp_path / "faults"), FaultCounts(tmp_path / "faults")
    first.count(Fault.KILLED)
    second.count(Fault.RAISED)
    second.count(Fault.RAISED)
    assert {kind: num for kind, num in FaultCounts(tmp_path / "faults").read().items() if num} == {
        Fault.KILLED: 1,
        Fault.RAISED: 2,
    }
