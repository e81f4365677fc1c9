"""Voices of one's own on disk: `voices/NAME/` with `voice.toml` and `prompt.wav`.

A voice is there or it is not: it is written in a folder beside, whose name begins with a dot, and then renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
import shutil
import tempfile
import time
import tomllib
import wave
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import soundfile

from models.base import ModelError, Pcm
from models.own_voice import OwnVoice, name_key, own_voice, same_name

log = logging.getLogger(__name__)

VOICE_FILE = "voice.toml"
PROMPT_FILE = "prompt.wav"
MIN_PROMPT_S = 1.0
MAX_PROMPT_S = 30.0
MAX_PROMPT_RATE_HZ = 192_000
MAX_VOICES = 256  # in a folder
STALE_S = 3_600.0
"""A half-written voice so old belongs to nobody any more."""

_MAX_TOML_BYTES = 65_536
_STAGED, _REMOVED = ".new-", ".old-"


class Stamp(NamedTuple):
    """Of a voice in the folder: the same until one of its files is written anew."""

    changed_ns: int  # when the later one was, since the epoch
    name: str
    files: tuple[tuple[int, int, int], ...]  # of each time, size and inode


class VoiceExists(ModelError):
    """There is a voice of that name, or of one that differs in case only."""


class VoicesFull(ModelError):
    """The folder holds as many voices as it may."""


def read_voice(folder: Path) -> OwnVoice:
    """The voice in that folder; its prompt lies there as `prompt.wav`. Raises ModelError, naming file and field."""
    path = folder / VOICE_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TOML_BYTES + 1)
        if len(data) > _MAX_TOML_BYTES:
            raise ModelError(f"{path}: at most {_MAX_TOML_BYTES} bytes were expected, but there are more.")
        values = tomllib.loads(data.decode())
    except OSError as error:
        raise ModelError(f"A readable {path} was expected, but it is not: {error.strerror}.") from None
    except ValueError as error:  # also of TOML and UTF-8
        raise ModelError(f"{path}: TOML was expected, but it is not: {error}.") from None
    try:
        voice = own_voice(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    if folder.name != voice.name and not folder.name.startswith(_STAGED):
        raise ModelError(f"{path}: 'name' was expected to be {folder.name!r} as its folder, but {voice.name!r} came.")
    _check_prompt(folder / PROMPT_FILE)
    return voice


def read_voices(
    voices: Path, taken: Collection[str] = (), known: Mapping[Stamp, OwnVoice] | None = None
) -> dict[Stamp, OwnVoice]:
    """All that are sound, by name. Each other one, and one whose name is in `taken`, is left out with one warning.

    Those with a stamp in `known` are not read.
    """
    found: dict[Stamp, OwnVoice] = {}
    names = {name_key(name): name for name in taken}
    for folder in _folders(voices):
        try:
            stamp = _stamp(folder)
            voice = (known or {}).get(stamp) or read_voice(folder)
            other = names.setdefault(name_key(voice.name), voice.name)
            if other != voice.name or voice.name in taken:
                raise VoiceExists(f"{folder}: another name was expected, for there is the voice {other!r}.")
        except ModelError as error:
            log.warning("a voice is left out: %s", error)
        else:
            found[stamp] = voice
    return found


def voice_names(voices: Path) -> frozenset[str]:
    """Of the folders that are there, whether sound or not."""
    return frozenset(folder.name for folder in _folders(voices))


def stage_voice(voices: Path, voice: OwnVoice, prompt: Pcm, rate_hz: int) -> Path:
    """A folder beside the voices with both files, safely on disk: to be published or discarded. Raises OSError."""
    voices.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=voices))
    try:
        _write(staged / PROMPT_FILE, _wav(prompt, rate_hz))
        _write(staged / VOICE_FILE, _toml(voice).encode())
        staged.chmod(0o755)
        _sync(staged)
    except BaseException:
        discard_voice(staged)
        raise
    return staged


def publish_voice(staged: Path, voice: OwnVoice, taken: Collection[str] = ()) -> Path:
    """Give it its name; whoever comes first has it. Raises VoiceExists, VoicesFull, OSError, having changed nothing."""
    voices = staged.parent
    with _locked(voices):
        names = voice_names(voices)
        check_free(voice.name, [*names, *taken])
        if len(names) >= MAX_VOICES:
            raise VoicesFull(f"At most {MAX_VOICES} voices were expected in {voices}: remove one first.")
        folder = voices / voice.name
        staged.rename(folder)
        with contextlib.suppress(OSError):  # the voice is there; after a power cut it may not be
            _sync(voices)
    return folder


def check_free(name: str, names: Collection[str]) -> None:
    """Raises VoiceExists."""
    other = same_name(name, names)
    if other is not None:
        raise VoiceExists(f"A new name was expected, but there is the voice {other!r} already.")


def discard_voice(folder: Path) -> None:
    """Of what was not published, or was removed, nothing remains."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_voice(voices: Path, name: str) -> Path | None:
    """The folder that the voice lies in from now on, to be discarded or restored; None if it was not there.

    It is gone at once, whatever becomes of its files. `name` must be one of `voice_names`: it is not looked at again.
    Raises OSError, having changed nothing.
    """
    grave = Path(tempfile.mkdtemp(prefix=_REMOVED, dir=voices))
    try:
        with _locked(voices):
            (voices / name).rename(grave / name)
    except FileNotFoundError:
        grave.rmdir()
        return None
    except BaseException:
        grave.rmdir()
        raise
    return grave


def restore_voice(grave: Path) -> None:
    """Have a removed voice back, unless its name has been given away. Raises VoiceExists, OSError."""
    (folder,) = grave.iterdir()
    with _locked(grave.parent):
        check_free(folder.name, voice_names(grave.parent))
        folder.rename(grave.parent / folder.name)
    grave.rmdir()


def prompts_in(folder: Path) -> list[Path]:
    """Recordings in a folder that is to be discarded."""
    return [path for path in (folder / PROMPT_FILE, *folder.glob(f"*/{PROMPT_FILE}")) if path.is_file()]


def abandoned_folders(voices: Path, *, now: float | None = None) -> list[Path]:
    """What crashes have left half-written or half-removed, to be discarded. `now`: seconds of the epoch."""
    now = time.time() if now is None else now
    with contextlib.suppress(OSError):
        paths = [path for path in voices.iterdir() if path.name.startswith((_STAGED, _REMOVED))]
        return [path for path in paths if now - path.stat().st_mtime > STALE_S]
    return []


def _folders(voices: Path) -> list[Path]:
    try:
        return sorted(path for path in voices.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("the voices in %s cannot be read: %s", voices, error.strerror)
        return []


def _stamp(folder: Path) -> Stamp:
    """Raises ModelError."""
    files: list[tuple[int, int, int]] = []
    for path in (folder / VOICE_FILE, folder / PROMPT_FILE):
        try:
            found = path.stat()
        except OSError as error:
            raise ModelError(f"A readable {path} was expected, but it is not: {error.strerror}.") from None
        files.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return Stamp(max(files)[0], folder.name, tuple(files))


def _check_prompt(path: Path) -> None:
    """By its header alone; its samples are looked at when it is taken up (upload) and when it is spoken with."""
    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        raise ModelError(f"{path}: a sound file was expected, but it is none: {error.error_string}") from None
    if not MIN_PROMPT_S <= info.frames / info.samplerate <= MAX_PROMPT_S:
        raise ModelError(
            f"{path}: {MIN_PROMPT_S:g} to {MAX_PROMPT_S:g} s of speech were expected, "
            f"but it has {info.frames / info.samplerate:.1f} s."
        )


def _wav(pcm: Pcm, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()


def _toml(voice: OwnVoice) -> str:
    """A JSON string is a TOML string where it has no control characters, and those never get here."""
    values = {field: value for field, value in asdict(voice).items() if value}
    return "".join(f"{field} = {json.dumps(value, ensure_ascii=False)}\n" for field, value in values.items())


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _locked(voices: Path) -> Iterator[None]:
    """One process and thread at a time; held for a look and a rename only."""
    fd = os.open(voices, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
