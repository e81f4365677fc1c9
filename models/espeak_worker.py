"""The process that speaks with one espeak voice: `main(library, data, voice)`, requests in, clauses out.

Each request is answered by a fresh fork of a process that has loaded the voice and spoken nothing since, so that

- the same request gives the same bytes, whatever was spoken before (the library's pitch flutter, roughness and gain
  control otherwise carry over from clause to clause);
- text that crashes or hangs the library costs one answer, and nothing else.

Each fork is made while the one before it speaks, and waits for its request, so forking costs no latency. It gets the
request through a pipe of its own: one that is killed while it waits can neither take bytes of the next request with it
nor leave an answer behind that would be taken for that of another text.

Frames on both pipes: 4 bytes of length, little-endian, then a marshalled value: (text, rate, volume) in; a Clause out,
or the string that says what went wrong. The first frame out tells that the voice is loaded.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import traceback
from pathlib import Path
from typing import Any, NoReturn

from models.espeak_library import EspeakError, EspeakLibrary

_REQUESTS, _ANSWERS = 0, 1  # file descriptors
_CLAUSE_LIMIT_S = 3.0
"""Of a processor's time, whatever else is going on: the longest clause takes 0.1 to 0.2 s. Of the clock's time a fork
would be ended, too, that waits in the midst of its answer for a reader who is stopped."""

_WARM_UP = "Ready, 好."
"""Loads what the voice loads late: its dictionary, and English in a voice that switches to it."""


def main(library: str, data: str, voice: str) -> None:
    """Serve until the requests end. An empty voice: answer with the list of languages, and end."""
    try:
        espeak = EspeakLibrary(Path(library), Path(data))
        if not voice:
            write_frame(_ANSWERS, [tuple(language) for language in espeak.languages()])
            return
        espeak.set_voice(voice)
        espeak.speak(_WARM_UP, 175, 100, one_clause=False)
        gc.disable()  # a collection would copy pages that the forks share
    except EspeakError as error:
        write_frame(_ANSWERS, str(error))
        return
    write_frame(_ANSWERS, ())
    child = _Child(espeak)
    while (request := read_frame(_REQUESTS)) is not None:
        if not child.give(request):
            child.exit_code()
            child = _Child(espeak)
            child.give(request)
        following = _Child(espeak)  # while this one speaks
        if code := child.exit_code():
            write_frame(_ANSWERS, f"espeak-ng failed on this text (exit {code}).")
        child = following


class _Child:
    """A fork that waits for one request, answers it and ends; or ends when it is let go without one."""

    def __init__(self, espeak: EspeakLibrary) -> None:
        requests, self._requests = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._requests)
            _answer(espeak, requests)
        os.close(requests)

    def give(self, request: Any) -> bool:
        """Hand it its request, which fits into the pipe. False: it was killed while it waited, for whatever reason."""
        try:
            write_frame(self._requests, request)
        except BrokenPipeError:
            return False
        finally:
            os.close(self._requests)
        return True

    def exit_code(self) -> int:
        """Wait until it ends."""
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _answer(espeak: EspeakLibrary, requests: int) -> NoReturn:
    """Speak one clause and end the process."""
    code = 1
    try:
        request = read_frame(requests)
        if request is None:
            os._exit(0)
        signal.setitimer(signal.ITIMER_PROF, _CLAUSE_LIMIT_S)
        text, rate, volume = request
        try:
            clause = espeak.speak(text, rate, volume)
        except EspeakError as error:
            write_frame(_ANSWERS, str(error))
        else:
            write_frame(_ANSWERS, (clause.num_chars, [tuple(word) for word in clause.words], clause.pcm))
        code = 0
    except BrokenPipeError:  # nobody listens any more
        code = 0
    except Exception:  # a fork must not return into its parent's program
        traceback.print_exc()
    finally:
        os._exit(code)


def write_frame(fd: int, value: Any) -> None:
    """Raises BrokenPipeError when the reader is gone."""
    body = marshal.dumps(value)
    rest = memoryview(len(body).to_bytes(4, "little") + body)
    while rest:
        rest = rest[os.write(fd, rest) :]


def read_frame(fd: int) -> Any:
    """The next frame's value; None at the end."""
    head = _read(fd, 4)
    if head is None:
        return None
    body = _read(fd, int.from_bytes(head, "little"))
    return None if body is None else marshal.loads(body)


def _read(fd: int, num_bytes: int) -> bytearray | None:
    data = bytearray()
    while len(data) < num_bytes:
        part = os.read(fd, min(num_bytes - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return data
