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
    check_free,
    discard_voice,
    publish_voice,
    remove_voice,
    stage_voice,
    sweep_voices,
    voice_names,
)
from models.voices import speaks

from ..engine_client import EngineClient, EngineUnavailable
from .inspection import inspect
from .preparation import PREPARE_S, Preparation, prepare
from .prompt import Prompt
from .refusal import VoiceRefused, bad_field, disk_full
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
        preparation: Preparation,
        *,
        default_voice: str = "",
        prepare_s: float = PREPARE_S,
    ) -> None:
        self._engine = engine
        self._voices = voices
        self._preparation = preparation
        self._default_voice = default_voice
        self._prepare_s = prepare_s
        self._num_uploads = 0
        self._turn = asyncio.Lock()
        self.can_add = preparation(voices / PROMPT_FILE) is not None
        """Whether this model learns voices."""

    async def start(self) -> None:
        """Throw out what crashes have left."""
        if self.can_add:
            await asyncio.to_thread(sweep_voices, self._voices)

    async def removable(self) -> frozenset[str]:
        """Names of the voices that `remove` takes."""
        if not self.can_add:
            return frozenset()
        return await asyncio.to_thread(voice_names, self._voices) - {self._default_voice}

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """For an upload, from before its first byte. Raises VoiceRefused."""
        if not self.can_add:
            raise VoiceRefused(501, "not_supported", f"The model {self._engine.info.name} has no voices to add to.")
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
        try:
            voice = own_voice(values)
        except ModelError as error:
            raise bad_field(str(error)) from None
        async with self._turn:
            await self._check(voice)
            prompt = await inspect(audio)
            check_transcript(voice.transcript, voice.language, prompt.sound_s)
            await self._store(voice, prompt)
            return voice.voice, await self._is_spoken(voice.name)

    async def remove(self, name: str) -> None:
        """Streams under way speak on. Raises VoiceRefused."""
        if name not in await self.removable():
            if name in self._names():
                whose = "its default" if name == self._default_voice else "the model's own"
                message = f"A voice that may be removed from this server was expected, but {name!r} is {whose}."
                raise VoiceRefused(409, "not_removable", message)
            raise _unknown(name)
        with _disk():
            if not await asyncio.to_thread(remove_voice, self._voices, name):
                raise _unknown(name)
        with contextlib.suppress(EngineUnavailable):  # a new engine looks anyway
            await self._engine.reload_voices()
        log.info("a voice is removed: %s", name)

    async def _check(self, voice: OwnVoice) -> None:
        """What can be known before the recording is looked at."""
        info = self._engine.info
        if not speaks(info, voice.language):
            languages = ", ".join(info.languages)
            raise bad_field(f"'language' was expected as one of {languages}, but {voice.language!r} came.")
        there = await asyncio.to_thread(voice_names, self._voices)
        with _taken():
            check_free(voice.name, [*there, *self._names()])

    async def _store(self, voice: OwnVoice, prompt: Prompt) -> None:
        with _disk():
            staged = await asyncio.to_thread(stage_voice, self._voices, voice, prompt.pcm, prompt.rate_hz)
        try:
            command = self._preparation(staged / PROMPT_FILE)
            if command is not None:
                await prepare(command, staged / PROMPT_FILE, timeout_s=self._prepare_s)
            with _disk(), _taken():
                await asyncio.to_thread(publish_voice, staged, voice, self._names())
        finally:
            discard_voice(staged)  # nothing, once it is published

    async def _is_spoken(self, name: str) -> bool:
        try:
            await self._engine.reload_voices()
        except EngineUnavailable:
            return False
        if name in self._names():
            log.info("a voice is added: %s", name)
            return True
        await asyncio.to_thread(remove_voice, self._voices, name)
        raise VoiceRefused(500, "internal", "The model did not take the voice; the server's log says why.")

    def _names(self) -> list[str]:
        return [voice.name for voice in self._engine.info.voices]


def _unknown(name: str) -> VoiceRefused:
    return VoiceRefused(404, "unknown_voice", f"A voice of this server was expected, but {name[:80]!r} came.")


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
