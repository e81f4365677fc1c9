"""The voices of a checkpoint: those it makes for itself, once, and those of the voice folder.

VoxCPM without a prompt speaks with another random voice each time. So a few named ones are made from a fixed sentence
and seed, kept as prompts, and every reply of a voice goes on from its prompt: it is the same speaker.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..base import ModelError, ModelOptions, UnknownVoice, Voice
from ..own_voice import OwnVoice
from ..voice_folder import PROMPT_FILE, Stamp, read_voices
from ..words import measured_pace
from .default_voices import DEFAULTS, DefaultVoice
from .network import VoxCPM
from .offline import generate_latents, prompt_latents
from .prompt_cache import PromptCache, checkpoint_fingerprint
from .recording import read_recording
from .speaker import Speaker

log = logging.getLogger(__name__)

MAX_PROMPT_S = 6.0
NUM_TRIES = 3
MAX_NEW = 8
"""Recordings that a look may read while others speak: some 10 ms each for 30 s at 48 kHz, 40 ms at 192 kHz."""


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """A voice of the folder as it was taken up."""

    voice: OwnVoice
    speaker: Speaker


class Cast:
    """Speakers by name, the default voices first. A broken voice is left out, with one warning.

    Raises ModelError for a cache that cannot be written.
    """

    def __init__(self, network: VoxCPM, options: ModelOptions) -> None:
        self._network = network
        self._folder = options.voices
        self._cache = PromptCache(options.cache, checkpoint_fingerprint(network.checkpoint))
        self._merged = checkpoint_fingerprint(options.merge_adapter) if options.merge_adapter else ""
        self._progress = options.progress
        self._defaults = {each.name: self._make(each) for each in DEFAULTS}
        self._own: dict[Stamp, _Own] = {}
        self._left_out: dict[Stamp, OwnVoice] = {}
        self._look(starting=True)

    @property
    def voices(self) -> tuple[Voice, ...]:
        return tuple(each.voice for each in self._speakers.values())

    def speaker(self, name: str) -> Speaker:
        """Raises UnknownVoice."""
        speakers = self._speakers
        if name not in speakers:
            raise UnknownVoice(
                f"A voice of this model was expected ({', '.join([*speakers][:12])}), but {name!r} came."
            )
        return speakers[name]

    @property
    def _speakers(self) -> dict[str, Speaker]:
        return self._defaults | {own.voice.name: own.speaker for own in self._own.values()}

    def reload(self) -> None:
        """Take up the voice folder as it is now, while others speak: in no time that they could hear.

        A voice whose files have not changed stays as it is, embeddings and all, or stays left out. A recording that is
        not encoded waits for the next start.
        """
        self._look(starting=False)

    def _look(self, *, starting: bool) -> None:
        if self._folder is None:
            return
        known = {stamp: own.voice for stamp, own in self._own.items()} | self._left_out
        there = read_voices(self._folder, tuple(self._defaults), known)
        own = {stamp: own for stamp, own in self._own.items() if stamp in there}
        left_out = {stamp: voice for stamp, voice in self._left_out.items() if stamp in there}
        for number, stamp in enumerate(sorted(there.keys() - known.keys(), reverse=True)):  # the newest first
            voice = there[stamp]
            try:
                if number >= MAX_NEW and not starting:
                    raise _too_late(self._folder / voice.name)
                own[stamp] = self._take_up(voice, self._folder / voice.name / PROMPT_FILE, starting=starting)
            except ModelError as error:
                log.warning("a voice is left out: %s", error)
                left_out[stamp] = voice
        self._own = {stamp: own[stamp] for stamp in there if stamp in own}
        self._left_out = left_out

    def _take_up(self, voice: OwnVoice, prompt: Path, *, starting: bool) -> _Own:
        network, adapters = self._network, self._network.adapters
        if voice.adapter and adapters is None:
            raise ModelError(f"{prompt.parent}: the adapter {voice.adapter!r} was expected, but none is loaded.")
        adapter = adapters.number(voice.adapter or None) if adapters else 0
        recording = read_recording(prompt)
        key = self._cache.key_of_recording(recording)
        latents = self._cache.read(key)
        if latents is None and not starting:
            raise _too_late(prompt.parent)
        if latents is None:
            self._progress(f"encodes the voice {voice.name}")
            latents = prompt_latents(network, recording.at(network.config.sample_rate))
            self._cache.write(key, latents)
        return _Own(voice, self._speaker(voice.voice, voice.transcript, latents, adapter))

    def _make(self, default: DefaultVoice) -> Speaker:
        """From the cache, or spoken now. One that does not come to an end is tried again with another seed."""
        network, voice = self._network, Voice(name=default.name, language=default.language)
        key = default.key(self._cache, self._merged)
        latents = self._cache.read(key)
        if latents is None:
            longest = round(MAX_PROMPT_S * network.config.sample_rate / network.config.patch_samples)
            for number in range(NUM_TRIES):
                self._progress(f"makes the voice {default.name}, once for this checkpoint")
                latents, stopped = generate_latents(
                    network, default.sentence, seed=default.seed + 1000 * number, max_patches=longest
                )
                if stopped:
                    break
            assert latents is not None
            _check_finite(voice, latents)  # or the next start would find them
            self._cache.write(key, latents)
        return self._speaker(voice, default.sentence, latents, 0)

    def _speaker(self, voice: Voice, text: str, latents: Tensor, adapter: int) -> Speaker:
        config = self._network.config
        _check_finite(voice, latents)
        seconds = len(latents) * config.patch_samples / config.sample_rate
        voice = replace(voice, syllable_s=measured_pace(text, seconds))
        return Speaker(voice, text, latents.float(), adapter=adapter)


def _check_finite(voice: Voice, latents: Tensor) -> None:
    if not torch.isfinite(latents).all():
        raise ModelError(f"Finite latents of the voice {voice.name!r} were expected, but some are not.")


def _too_late(folder: Path) -> ModelError:
    return ModelError(
        f"{folder}: a recording that is encoded was expected, but it is not: `voxwire voices add` does that, "
        "and so does the next start."
    )
