"""espeak-ng through ctypes: clause by clause, with word events. Imports only the standard library.

espeak-ng is GPL-3.0-or-later. Nothing of the project links it: this module is loaded in a process of its own
(`models.espeak_worker`), and all else works without it.

The library is one per process and not thread-safe: its voice, its parameters and the phases of its oscillators are
global, and a synthesis starts from wherever the last one left them.
API and constants: espeak-ng 1.52, `speak_lib.h` and `espeak_ng.h`.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SAMPLE_RATE = 22_050  # Hz, of every voice that is synthesised from formants

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_WCHAR = 3
_ENDPAUSE = 0x1000  # the last clause keeps its pause, as if another one followed
_POS_CHARACTER = 1
_RATE, _VOLUME = 1, 2  # espeak_PARAMETER: words a minute; percent, above 100 with gain control against overflow
_EVENT_LIST_TERMINATED, _EVENT_WORD, _EVENT_END = 0, 1, 5
_WCHAR = "utf-32-le" if ctypes.sizeof(ctypes.c_wchar) == 4 else "utf-16-le"


class EspeakError(Exception):
    """espeak-ng is missing, or refused; the message is one sentence."""


class WordEvent(NamedTuple):
    """A word of a clause: where it begins in the text, how many code points of it espeak counts, when it sounds."""

    text_start: int
    num_chars: int  # 31 at most, whatever the word's length
    start: int  # samples


class Clause(NamedTuple):
    """A clause's speech with the pause that follows it, and how much of the text it took."""

    num_chars: int
    words: list[WordEvent]
    pcm: bytes  # s16, native byte order


class Language(NamedTuple):
    """A voice file of espeak: one language or dialect."""

    file: str
    name: str
    tag: str  # lower case: `en-us`


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # code points, from 1; of an END event: how many were read
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # (priority byte, tag, NUL)*, NUL
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class EspeakLibrary:
    """The library, initialised. One per process; every call from the thread that made it."""

    def __init__(self, library: Path, data: Path) -> None:
        """Load the shared library and the `espeak-ng-data` directory. Raises EspeakError.

        Changes the process's working directory: the library keeps the data's path in 160 bytes, and a relative one
        always fits.
        """
        try:
            self._library = ctypes.CDLL(str(library.resolve()))
            os.chdir(data.resolve().parent)
        except OSError as error:
            raise EspeakError(f"espeak-ng's library and data were expected, but did not load: {error}.") from None
        rate = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", _INITIALIZE_DONT_EXIT)
        if rate != SAMPLE_RATE:
            raise EspeakError(f"espeak-ng's data at {SAMPLE_RATE} Hz were expected, but loading them gave {rate}.")
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._library.espeak_ListVoices.argtypes = (ctypes.c_void_p,)
        self._library.espeak_ng_SetVoiceByName.argtypes = (ctypes.c_char_p,)
        self._library.espeak_SetParameter.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int)
        self._library.espeak_Synth.argtypes = (
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        self._one_clause = True
        self._pcm: list[bytes] = []
        self._words: list[WordEvent] = []
        self._read = 0
        self._callback = _Callback(self._receive)  # kept: the library holds only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def languages(self) -> list[Language]:
        """All voice files, without the variants and the ones that want MBROLA's data."""
        found = []
        for pointer in itertools.takewhile(bool, self._library.espeak_ListVoices(None)):
            voice = pointer.contents
            file = voice.identifier.decode()
            if not file.startswith(("!v", "mb/")):
                tag = ctypes.string_at(voice.languages + 1).decode()
                found.append(Language(file, voice.name.decode(), tag))
        return found

    def set_voice(self, name: str) -> None:
        """Speak with the voice file, or `file+variant`. Raises EspeakError."""
        if status := self._library.espeak_ng_SetVoiceByName(name.encode()):
            raise EspeakError(f"A voice of espeak-ng was expected, but {name!r} gave status {status:#x}.")

    def speak(self, text: str, rate: int, volume: int, *, one_clause: bool = True) -> Clause:
        """The text's first clause that sounds, with the pause after it; or the whole text.

        `rate` is in words a minute, 80 to 450; `volume` in percent, to 200. Raises EspeakError.
        """
        self._one_clause = one_clause
        self._pcm, self._words, self._read = [], [], 0
        buffer = text.encode(_WCHAR) + bytes(4)
        for parameter, value in ((_RATE, rate), (_VOLUME, volume)):
            if status := self._library.espeak_SetParameter(parameter, value, 0):
                raise EspeakError(f"A rate and a volume were expected, but {rate} and {volume} gave status {status}.")
        flags = _CHARS_WCHAR | _ENDPAUSE
        status = self._library.espeak_Synth(buffer, len(buffer), 0, _POS_CHARACTER, 0, flags, None, None)
        if status:
            raise EspeakError(f"Speech was expected from espeak-ng, but it gave status {status}.")
        read = min(self._read, len(text)) if self._pcm else len(text)
        return Clause(read, self._words, b"".join(self._pcm))

    def _receive(self, pcm: int | None, num_samples: int, events: Iterable[_Event]) -> int:
        """Take a buffer of speech and its events; 1 stops the synthesis. No buffer spans two clauses."""
        if pcm and num_samples:
            self._pcm.append(ctypes.string_at(pcm, 2 * num_samples))
        ended = False
        for event in itertools.takewhile(lambda event: event.type != _EVENT_LIST_TERMINATED, events):
            if event.type == _EVENT_WORD:
                self._words.append(WordEvent(event.text_position - 1, event.length, event.sample))
            elif event.type == _EVENT_END:
                self._read = event.text_position
                ended = True
        return int(ended and self._one_clause and bool(self._pcm))
