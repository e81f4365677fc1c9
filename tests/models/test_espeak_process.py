from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.base import ModelError
from models.espeak_process import EspeakEnded, EspeakFiles, EspeakProcess, installed_files, list_languages
from models.espeak_worker import write_frame
from tests.models.espeak_reference import whole_text

RATE, VOLUME = 175, 100


@pytest.fixture(scope="module")
def files() -> EspeakFiles:
    return installed_files()


@pytest.fixture
def english(files: EspeakFiles) -> Iterator[EspeakProcess]:
    process = EspeakProcess(files, "gmw/en-US")
    yield process
    process.close()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_process_speaks_the_first_clause_and_tells_how_far_it_read(english: EspeakProcess) -> None:
    text = "Hello there, my friend."
    clause = english.speak(text, RATE, VOLUME)
    assert text[: clause.num_chars] == "Hello there, "
    assert [text[word.text_start :][: word.num_chars] for word in clause.words] == ["Hello", "there"]
    assert 0.4 < len(clause.pcm) / 2 / 22_050 < 1.2


def test_clauses_of_a_text_are_the_speech_of_the_whole(english: EspeakProcess) -> None:
    text = "One, two. Three? Four! Five; six: seven... eight."
    spoken, rest = b"", text
    while rest:
        clause = english.speak(rest, RATE, VOLUME)
        spoken, rest = spoken + clause.pcm, rest[clause.num_chars :]
    assert len(spoken) / 2 == pytest.approx(len(whole_text("gmw/en-US", text)), abs=0.03 * 22_050)


def test_same_request_gives_the_same_bytes_whatever_was_spoken_before(
    files: EspeakFiles, english: EspeakProcess
) -> None:
    first = english.speak("Rolling thunder.", RATE, VOLUME)
    english.speak("Something else entirely, 你好!", 300, 200)
    assert english.speak("Rolling thunder.", RATE, VOLUME) == first
    other = EspeakProcess(files, "gmw/en-US")
    assert other.speak("Rolling thunder.", RATE, VOLUME) == first
    other.close()


def test_louder_than_full_volume_is_limited_not_wrapped(english: EspeakProcess) -> None:
    normal = np.frombuffer(english.speak("Are you all here?", RATE, 100).pcm, np.int16)
    loud = np.frombuffer(english.speak("Are you all here?", RATE, 200).pcm, np.int16)
    assert np.abs(np.diff(loud.astype(int))).max() < 4 * np.abs(np.diff(normal.astype(int))).max()
    assert np.sqrt((loud.astype(float) ** 2).mean()) > 1.3 * np.sqrt((normal.astype(float) ** 2).mean())


def forks(process: EspeakProcess, num_forks: int) -> list[int]:
    """Once there are so many."""
    deadline = time.monotonic() + 30
    while len(found := children(process.pid)) < num_forks:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


def test_text_that_kills_a_fork_costs_one_answer(english: EspeakProcess) -> None:
    english.wait()
    pid = english.pid
    (fork,) = forks(english, 1)
    os.kill(fork, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as listener:
        answer = listener.submit(english.speak, "Hello.", RATE, VOLUME)
        forks(english, 2)  # so that one has its request
        os.kill(fork, signal.SIGSEGV)
        os.kill(fork, signal.SIGCONT)
        with pytest.raises(ModelError, match=r"failed on this text \(exit -11\)"):
            answer.result(30)
    assert [len(english.speak(text, RATE, VOLUME).words) for text in ("Next.", "And one more.")] == [1, 3]
    assert english.pid == pid


def test_fork_that_is_killed_while_it_waits_costs_nothing(english: EspeakProcess) -> None:
    english.wait()
    (fork,) = forks(english, 1)
    os.kill(fork, signal.SIGKILL)
    while "Z" not in Path(f"/proc/{fork}/stat").read_text():
        time.sleep(0.002)
    assert [len(english.speak(text, RATE, VOLUME).words) for text in ("Hello.", "And one more.")] == [1, 3]


@pytest.mark.full
def test_answer_waits_for_a_reader_who_is_stopped_for_seconds(english: EspeakProcess) -> None:
    """It is larger than the pipe."""
    text = "Incomprehensibilities notwithstanding uncharacteristically"
    whole = english.speak(text, RATE, VOLUME)
    assert len(whole.pcm) > 1 << 16
    assert english._process.stdin is not None
    write_frame(english._process.stdin.fileno(), (text, RATE, VOLUME))
    time.sleep(3.5)
    assert english.answer()[2] == whole.pcm


def test_process_that_was_killed_says_so(english: EspeakProcess) -> None:
    english.wait()
    os.kill(english.pid, signal.SIGKILL)
    os.waitid(os.P_PID, english.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(EspeakEnded, match="ended"):
        english.speak("Hello.", RATE, VOLUME)
    english.close()
    english.close()


def test_process_ends_when_its_owner_does(files: EspeakFiles) -> None:
    owner = (
        "import os, signal, sys; from pathlib import Path\n"
        "from models.espeak_process import EspeakFiles, EspeakProcess\n"
        "process = EspeakProcess(EspeakFiles(Path(sys.argv[1]), Path(sys.argv[2])), 'gmw/en-US')\n"
        "process.wait(); print(process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", owner, str(files.library), str(files.data)]
    pid = int(subprocess.run(command, capture_output=True, check=False).stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, "the process outlives its owner"
        time.sleep(0.01)


def test_unknown_voice_file_is_refused(files: EspeakFiles) -> None:
    process = EspeakProcess(files, "gmw/nobody")
    with pytest.raises(ModelError, match="A voice of espeak-ng was expected, but 'gmw/nobody'"):
        process.speak("Hello.", RATE, VOLUME)
    process.close()


def test_rate_that_espeak_refuses_is_an_error_of_one_clause(english: EspeakProcess) -> None:
    with pytest.raises(ModelError, match="failed on this text"):
        english.speak("Hello.", "fast", VOLUME)  # type: ignore[arg-type]
    assert english.speak("Hello.", RATE, VOLUME).pcm


def test_data_path_may_be_longer_than_espeak_can_keep(files: EspeakFiles, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / ("path" * 30)
    folder.mkdir(parents=True)
    shutil.copytree(files.data, folder / "espeak-ng-data")
    process = EspeakProcess(EspeakFiles(files.library, folder / "espeak-ng-data"), "gmw/en-US")
    assert process.speak("Hello.", RATE, VOLUME).pcm
    process.close()


def test_missing_library_or_data_is_one_sentence(files: EspeakFiles, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"did not load: .*nowhere\.so"):
        list_languages(EspeakFiles(tmp_path / "nowhere.so", files.data))
    with pytest.raises(ModelError, match=r"did not load: .*nowhere"):
        list_languages(EspeakFiles(files.library, tmp_path / "nowhere" / "espeak-ng-data"))
    (tmp_path / "espeak-ng-data").mkdir()
    with pytest.raises(ModelError, match="data at 22050 Hz were expected"):
        list_languages(EspeakFiles(files.library, tmp_path / "espeak-ng-data"))


def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ModelError, match="needs the package espeakng-loader"):
        installed_files()


def test_process_that_cannot_start_is_one_sentence(files: EspeakFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ModelError, match="expected to start"):
        EspeakProcess(files, "gmw/en-US")
