"""Voices of one's own, taken in and thrown out while the server speaks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from models.base import ModelError, Voice
from models.own_voice import OwnVoice, own_voice
from models.voice_folder import (
    PROMPT_FILE,
    VoiceExists,
    VoicesFull,
    abandoned_folders,
    check_free,
    discard_voice,
    publish_voice,
    remove_voice,
    restore_voice,
    stage_voice,
    voice_names,
)

from ..engine_client import EngineClient, EngineUnavailable
from .fitness import check_fits
from .inspection import inspect
from .preparation import PREPARE_S, Preparation, prepare, throw_away
from .prompt import Prompt
from .refusal import VoiceRefused, bad_field, disk_full
from .thread import to_its_end
from .transcript import check_transcript

log = logging.getLogger(__name__)

MAX_UPLOADS = 4
"""That are received or wait for their turn; of these one is decoded and made ready at a time."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class VoiceShelf:
    """What is slow happens elsewhere (the disk in threads, decoder and encoder in processes); the loop only waits."""

    def __init__(
        self,
        engine: EngineClient,
        voices: Path,
        preparation: Preparation | None,
        *,
        default_voice: str = "",
        prepare_s: float = PREPARE_S,
    ) -> None:
        """`preparation` is None for a model that learns no voices."""
        self._engine = engine
        self._voices = voices
        self._preparation = preparation
        self._default_voice = default_voice
        self._prepare_s = prepare_s
        self._num_uploads = 0
        self._turn = asyncio.Lock()

    @property
    def can_add(self) -> bool:
        """Whether this model learns voices."""
        return self._preparation is not None

    async def start(self) -> None:
        """Throw out what crashes have left."""
        if self._preparation is not None:
            for folder in await asyncio.to_thread(abandoned_folders, self._voices):
                await to_its_end(throw_away, folder, self._preparation.forget)

    @property
    def removable(self) -> frozenset[str]:
        """Names of the voices that the model has from the folder, and that `remove` takes."""
        if not self.can_add:
            return frozenset()
        return frozenset(voice.name for voice in self._engine.info.voices if voice.own) - {self._default_voice}

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """For an upload, from before its first byte. Raises VoiceRefused."""
        self._learning()
        if self._num_uploads >= MAX_UPLOADS:
            raise VoiceRefused(503, "busy", f"At most {MAX_UPLOADS} voices at once were expected: try again later.")
        self._num_uploads += 1
        try:
            yield
        finally:
            self._num_uploads -= 1

    async def add(self, values: Mapping[str, str], audio: IO[bytes]) -> tuple[Voice, bool]:
        """The voice, and whether it can be spoken with already; it cannot when the engine is just being restarted.

        Raises VoiceRefused, and then nothing is left of it.
        """
        preparation = self._learning()
        try:
            voice = own_voice(values)
        except ModelError as error:
            raise bad_field(str(error)) from None
        async with self._turn:
            await self._check(voice)
            prompt = await inspect(audio)
            check_transcript(voice.transcript, voice.language, prompt.sound_s)
            await self._store(voice, prompt, preparation)
            return voice.voice, await self._is_spoken(voice.name, preparation)

    async def remove(self, name: str) -> None:
        """Streams under way speak on. Raises VoiceRefused, and then it is there as before."""
        if self._preparation is None or (name in self._names() and name not in self.removable):
            raise self._not_removable(name)
        if name not in await asyncio.to_thread(voice_names, self._voices):
            if name in self._names():  # somebody has deleted its folder
                with contextlib.suppress(EngineUnavailable, ModelError):
                    await self._engine.reload_voices()
            raise _unknown(name)
        with _disk():
            grave = await to_its_end(remove_voice, self._voices, name)
        if grave is None:
            raise _unknown(name)
        try:
            await self._engine.reload_voices()
        except EngineUnavailable:
            pass  # a new engine looks anyway
        except ModelError as error:
            with _disk(), _taken():
                await to_its_end(restore_voice, grave)
            raise _not_reloaded(error) from None
        await to_its_end(throw_away, grave, self._preparation.forget)
        log.info("a voice is removed: %s", name)

    def _learning(self) -> Preparation:
        if self._preparation is None:
            raise VoiceRefused(501, "not_supported", f"The model {self._engine.info.name} has no voices to add to.")
        return self._preparation

    def _not_removable(self, name: str) -> VoiceRefused:
        if name not in self._names():
            return _unknown(name)
        whose = "its default" if name == self._default_voice else "the model's own"
        message = f"A voice that may be removed from this server was expected, but {name!r} is {whose}."
        return VoiceRefused(409, "not_removable", message)

    async def _check(self, voice: OwnVoice) -> None:
        """What can be known before the recording is looked at."""
        info = self._engine.info
        check_fits(voice, languages=info.languages, adapters=info.adapters)
        there = await asyncio.to_thread(voice_names, self._voices)
        with _taken():
            check_free(voice.name, [*there, *self._names()])

    async def _store(self, voice: OwnVoice, prompt: Prompt, preparation: Preparation) -> None:
        with _disk():
            staged = await to_its_end(stage_voice, self._voices, voice, prompt.pcm, prompt.rate_hz, undo=discard_voice)
        try:
            await prepare(preparation, staged / PROMPT_FILE, timeout_s=self._prepare_s)
            with _disk(), _taken():
                await to_its_end(publish_voice, staged, voice, self._names())
        finally:
            await to_its_end(throw_away, staged, preparation.forget)  # nothing, once it is published

    async def _is_spoken(self, name: str, preparation: Preparation) -> bool:
        refused = VoiceRefused(500, "internal", "The model did not take the voice; the server's log says why.")
        try:
            await self._engine.reload_voices()
        except EngineUnavailable:
            return False
        except ModelError as error:
            refused = _not_reloaded(error)
        else:
            if name in self._names():
                log.info("a voice is added: %s", name)
                return True
        with _disk():
            grave = await to_its_end(remove_voice, self._voices, name)
        if grave is not None:
            await to_its_end(throw_away, grave, preparation.forget)
        raise refused

    def _names(self) -> list[str]:
        return [voice.name for voice in self._engine.info.voices]


def _unknown(name: str) -> VoiceRefused:
    return VoiceRefused(404, "unknown_voice", f"A voice of this server was expected, but {name[:80]!r} came.")


def _not_reloaded(error: ModelError) -> VoiceRefused:
    log.error("the model did not look at its voices again: %s", error)
    return VoiceRefused(500, "internal", "The model could not look at its voices again; the server's log says why.")


@contextlib.contextmanager
def _taken() -> Iterator[None]:
    try:
        yield
    except VoiceExists as error:
        raise VoiceRefused(409, "voice_exists", f"'name': {error}") from None
    except VoicesFull as error:
        raise VoiceRefused(409, "too_many_voices", str(error)) from None


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_refusal(error) from None


def disk_refusal(error: OSError) -> VoiceRefused:
    """What is said of a disk that takes no more, or nothing."""
    log.error("a voice cannot be stored or removed: %s", error)
    if error.errno in _FULL:
        return disk_full()
    return VoiceRefused(500, "internal", "The voices on the server's disk cannot be changed; its log says why.")
