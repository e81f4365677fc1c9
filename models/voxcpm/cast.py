"""The voices of a checkpoint: those it makes for itself, once, and those of the voice folder.

VoxCPM without a prompt speaks with another random voice each time. So a few named ones are made from a fixed sentence
and seed, kept as prompts, and every reply of a voice goes on from its prompt: it is the same speaker.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..base import ModelError, ModelOptions, UnknownVoice, Voice
from ..own_voice import OwnVoice
from ..voice_folder import PROMPT_FILE, read_voices
from .network import VoxCPM
from .offline import generate_latents, prompt_latents
from .prompt import read_recording
from .prompt_cache import PromptCache, checkpoint_fingerprint
from .speaker import Speaker

log = logging.getLogger(__name__)

MAX_PROMPT_S = 6.0
NUM_TRIES = 3


@dataclass(frozen=True, slots=True)
class DefaultVoice:
    """A voice that a checkpoint makes for itself. What it sounds like is the checkpoint's to say."""

    name: str
    language: str
    seed: int
    sentence: str

    def key(self, cache: PromptCache) -> str:
        """Its entry in a checkpoint's cache."""
        return cache.key_of_words("default", self.sentence, str(self.seed))


_ENGLISH = "The morning was quiet, and a light wind came in from the sea."
_CHINESE = "清晨很安静，海上吹来一阵微风，阳光照在窗台上。"
DEFAULTS = (
    DefaultVoice("amber", "en", 1, _ENGLISH),
    DefaultVoice("birch", "en", 2, _ENGLISH),
    DefaultVoice("jade", "zh", 3, _CHINESE),
    DefaultVoice("lotus", "zh", 4, _CHINESE),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """A voice of the folder as it was taken up; `key` stands for its recording."""

    voice: OwnVoice
    key: str
    speaker: Speaker


class Cast:
    """Speakers by name, the default voices first. A broken voice is left out, with one warning.

    Raises ModelError for a cache that cannot be written.
    """

    def __init__(self, network: VoxCPM, options: ModelOptions) -> None:
        self._network = network
        self._folder = options.voices
        self._cache = PromptCache(options.cache, checkpoint_fingerprint(network.checkpoint))
        self._progress = options.progress
        self._defaults = {each.name: self._make(each) for each in DEFAULTS}
        self._own: dict[str, _Own] = {}
        self.reload()

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
        return self._defaults | {name: own.speaker for name, own in self._own.items()}

    def reload(self) -> None:
        """Take up the voice folder as it is now. A voice that has not changed stays as it is, embeddings and all."""
        if self._folder is None:
            return
        own: dict[str, _Own] = {}
        for voice in read_voices(self._folder, tuple(self._defaults)):
            try:
                own[voice.name] = self._read(voice, self._folder / voice.name / PROMPT_FILE)
            except ModelError as error:
                log.warning("a voice is left out: %s", error)
        self._own = own

    def _read(self, voice: OwnVoice, prompt: Path) -> _Own:
        recording = read_recording(prompt)
        key = self._cache.key_of_recording(recording.samples, recording.rate_hz)
        known = self._own.get(voice.name)
        if known is not None and (known.voice, known.key) == (voice, key):
            return known
        adapters = self._network.adapters
        if voice.adapter and adapters is None:
            raise ModelError(f"{prompt.parent}: the adapter {voice.adapter!r} was expected, but none is loaded.")
        adapter = adapters.number(voice.adapter or None) if adapters else 0
        latents = self._cache.read(key)
        if latents is None:
            latents = prompt_latents(self._network, recording.at(self._network.config.sample_rate))
            self._cache.write(key, latents)
        return _Own(voice, key, self._speaker(voice.voice, voice.transcript, latents, adapter))

    def _make(self, default: DefaultVoice) -> Speaker:
        """From the cache, or spoken now. One that does not come to an end is tried again with another seed."""
        network, voice = self._network, Voice(name=default.name, language=default.language)
        key = default.key(self._cache)
        latents = self._cache.read(key)
        if latents is None:
            log.info("making the voice %s of %s", default.name, network.checkpoint.name)
            longest = round(MAX_PROMPT_S * network.config.sample_rate / network.config.patch_samples)
            for number in range(NUM_TRIES):
                self._progress(f"makes the voice {default.name}, once for this checkpoint")
                latents, stopped = generate_latents(
                    network, default.sentence, seed=default.seed + 1000 * number, max_patches=longest
                )
                if stopped:
                    break
            assert latents is not None
            self._cache.write(key, latents)
        return self._speaker(voice, default.sentence, latents, 0)

    def _speaker(self, voice: Voice, text: str, latents: Tensor, adapter: int) -> Speaker:
        config = self._network.config
        if not torch.isfinite(latents).all():
            raise ModelError(f"Finite latents of the voice {voice.name!r} were expected, but some are not.")
        patch_s = config.patch_samples / config.sample_rate
        return Speaker(voice, text, latents.to(self._network.device), patch_s=patch_s, adapter=adapter)
