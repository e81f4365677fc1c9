"""Our side of `models.espeak_worker`: start a voice's process, ask it for clauses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from models.base import ModelError
from models.espeak_library import Clause, Language, WordEvent
from models.espeak_worker import read_frame, write_frame

_ROOT = Path(__file__).resolve().parents[1]
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from models.espeak_worker import main; main(*sys.argv[2:])"


class EspeakEnded(ModelError):
    """The voice's process is gone, whatever the cause; another one may speak."""


class EspeakFiles(NamedTuple):
    """Where the library and its `espeak-ng-data` lie."""

    library: Path
    data: Path


def installed_files() -> EspeakFiles:
    """Those of the `espeakng-loader` wheel. Raises ModelError when it is not installed."""
    try:
        import espeakng_loader
    except ImportError:
        raise ModelError("The espeak voice needs the package espeakng-loader, which is not installed.") from None
    return EspeakFiles(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))


def list_languages(files: EspeakFiles) -> list[Language]:
    """All voice files of espeak. Raises ModelError."""
    process = EspeakProcess(files, "")
    try:
        return [Language(*language) for language in process.answer()]
    finally:
        process.close()


class EspeakProcess:
    """One voice's process. Starting it returns at once; the first `speak` waits until the voice is loaded."""

    def __init__(self, files: EspeakFiles, voice: str) -> None:
        """`voice` is espeak's: a voice file, or `file+variant`. Raises ModelError when no process can be started."""
        arguments = [_ROOT, files.library, files.data, voice]
        try:
            self._process = subprocess.Popen(
                # Without site-packages: the worker needs none of them, and starts in half the time.
                [sys.executable, "-S", "-E", "-c", _PROGRAM, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # an interrupt from the terminal is for us; the closed pipe ends the worker
            )
        except OSError as error:
            raise ModelError(f"A process for espeak was expected to start, but did not: {error}.") from None
        self._loaded = False

    def speak(self, text: str, rate: int, volume: int) -> Clause:
        """The first clause of the text that sounds. Raises ModelError, and EspeakEnded when the process is gone."""
        self.wait()
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin.fileno(), (text, rate, volume))
        except BrokenPipeError:
            raise EspeakEnded("espeak's process was expected to speak, but it has ended.") from None
        num_chars, words, pcm = self.answer()
        return Clause(num_chars, [WordEvent(*word) for word in words], pcm)

    def wait(self) -> None:
        """Return when the voice is loaded. Raises ModelError: it cannot be loaded."""
        if not self._loaded:
            self.answer()
            self._loaded = True

    def answer(self) -> Any:
        """The next frame that the process writes. Raises ModelError when it tells of an error, or has ended."""
        assert self._process.stdout is not None
        match read_frame(self._process.stdout.fileno()):
            case None:
                raise EspeakEnded("An answer of espeak's process was expected, but it has ended.")
            case str(message):
                raise ModelError(message)
            case answer:
                return answer

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End the process. Legal at any time, and twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.kill()  # a fork that speaks finds the pipe broken
        self._process.wait()
