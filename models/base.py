"""What a speech model is to the engine: a thing with slots.

A slot holds one utterance. Its text arrives as segments, in order; a segment's text may grow (`extend`) until it is
complete (`seal`). Every step takes any set of slots that have a sealed segment and yields one patch for each.
Speech of one slot is continuous over its segments: state (voice, pitch of the last words, decoder tails) carries over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""Mono samples at the model's rate, shape [samples]."""

WordSource = Literal["exact", "estimated"]
"""Who knows when a word sounds: the model (`Patch.words`), or whoever listens to its patches (`models.words`)."""

Control = Literal["native", "stretch", "none"]
"""Who does it: the model itself, a pitch-preserving stretch behind it, or nobody."""


MAX_ADAPTERS = 4
"""LoRAs that are held unmerged, each for the voices that name it."""


class ModelError(Exception):
    """The model cannot do what was asked; the message is one sentence fit for a user."""


class UnknownVoice(ModelError):
    """The voice does not exist; the message lists those that do."""


def adapter_name(folder: Path) -> str:
    """What voices call a LoRA: its folder's name; of a link, not of what it points to."""
    return Path(os.path.abspath(folder)).name


def tell_nobody(doing: str) -> None:
    """For `ModelOptions.progress`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a model is loaded. A model without weights of its own looks at none of it.

    `progress` is called while it loads, from any thread, with what is being done ("makes the voice amber"):
    whoever waits takes it for a sign of life, and loses patience minutes after the last.
    """

    device: str = "auto"  # auto, cpu, cuda, cuda:1
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: the checkpoint's own
    quantize: Literal["none", "int8"] = "none"
    num_threads: int = 0  # of the host; 0: as many as it has cores
    num_slots: int = 0  # utterances at once; 0: 8 on a CPU, 64 on a GPU
    voices: Path | None = None  # folder of NAME/voice.toml and NAME/prompt.wav
    cache: Path | None = None  # folder for what is made once per checkpoint; None: nothing is kept
    adapters: tuple[Path, ...] = ()  # LoRA folders, at most MAX_ADAPTERS, called by `adapter_name`
    merge_adapter: Path | None = None  # one LoRA that every voice speaks with, folded into the weights
    context_s: float = 20.0  # a segment goes on from the one before it unless that took longer
    progress: Callable[[str], None] = tell_nobody
    gpu_memory: float = 0.0  # of the device: GiB above 1, a share of it up to 1; 0: nearly all that is free
    deterministic: bool = False  # every step is made for one number of rows: the same seed gives the same bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamRange:
    """One knob of a model (`ready.model.params`)."""

    min: float
    max: float
    default: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A speaker. `name` is the wire's key; `language` a BCP 47 tag (`en-US`, `cmn`)."""

    name: str
    language: str
    gender: Literal["female", "male", "neutral"] = "neutral"
    description: str = ""
    own: bool = False  # of the voice folder, from where it may be removed
    syllable_s: float = 0.16  # its pace, for a model whose words are estimated


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model is, as `ready.model` tells it."""

    name: str
    sample_rate: int  # Hz
    patch_samples: int  # samples of one full patch; the last of a segment may be shorter
    languages: tuple[str, ...]
    voices: tuple[Voice, ...]
    default_voice: str
    max_slots: int
    max_batch: int  # slots in one step
    neural: bool = False
    deterministic: bool = True
    buckets: tuple[int, ...] = ()  # numbers of rows that a step is made for, ascending; (): any, none is better
    words: WordSource = "exact"
    reads_ahead: bool = False  # makes use of `expect`
    speed: Control = "none"
    volume: Control = "none"
    adapters: tuple[str, ...] = ()  # LoRAs that a voice may name
    params: Mapping[str, ParamRange] = field(default_factory=dict)

    @property
    def token_rate(self) -> float:
        """Patches a second: 6.25 for 160 ms."""
        return self.sample_rate / self.patch_samples

    @property
    def patch_ms(self) -> float:
        return 1000 * self.patch_samples / self.sample_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechParams:
    """How an utterance is spoken; every value resolved, none left to a default."""

    language: str = "auto"
    speed: float = 1.0
    volume: float = 1.0
    seed: int = 0
    knobs: Mapping[str, float] = field(default_factory=dict)


MAX_EARLIER = 16
"""Patches of `History.earlier`: more than any decoder remembers, however short the segments are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was heard of an utterance that is opened again. The text of `segment` and those after it comes anew.

    `earlier`, `before` and `latents` are the `Patch.latents` that were not empty, in order.
    """

    segment: int = 0  # the one under way; those before it are over
    index: int = 0  # patches since the first opening
    segment_start: int = 0  # samples before this segment
    position: int = 0  # samples in all
    text: str = ""  # of the latest segment that is over and left latents
    earlier: tuple[bytes, ...] = ()  # the last patches before those of `before`, MAX_EARLIER of them at most
    before: tuple[bytes, ...] = ()  # the patches of that segment
    latents: tuple[bytes, ...] = ()  # the patches heard of the segment under way


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word: a range of code points of its segment's text, and where it sounds in the utterance."""

    text_start: int
    text_end: int
    start: int  # samples since the utterance's first sample
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One step's speech for one slot.

    `words`: those that the model learns of with this patch; each comes once, and none starts before the patch does.
    Empty where `info.words` is "estimated".
    `last`: the segment ends with this patch.
    """

    slot: int
    generation: int
    segment: int
    index: int  # patches of this slot since open
    pcm: Pcm
    words: tuple[Word, ...] = ()
    latents: bytes = b""  # what a restart continues from (History); empty where there is nothing to know
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One slot's step failed; the others' are good."""

    slot: int
    generation: int
    message: str


class Pending(Protocol):
    """A step under way. A model may have two: `submit` is then called again before the first one's patches are read."""

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is waited for."""

    def stops(self) -> Mapping[int, bool]:
        """By slot, whether the patch under way is its segment's last. Known before the patch is: waits for that only.

        After it the slot may be submitted again, if it has more to say, though its patch is still being made. A slot
        that fails in this step may be missing.
        """

    def patches(self) -> Sequence[Patch | Failure]:
        """One result for each submitted slot, in any order. Waits for the device."""


class SpeechModel(Protocol):
    """Called by one thread only. Slots are small integers below `info.max_slots`, chosen by the caller."""

    @property
    def info(self) -> ModelInfo: ...

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        """Take the slot for a new utterance, or for one that goes on after `history`. Raises UnknownVoice, ModelError.

        What follows a history is what would have followed without the interruption: segments, indices and positions
        are counted on, and words that were told are not told again.
        """

    def extend(self, slot: int, text: str) -> None:
        """Append to the segment that is being written (normalised text). Legal while an earlier one is spoken."""

    def expect(self, slot: int, text: str) -> None:
        """The next segment will probably begin with this text: what can be done with it ahead may be done now.

        A hint, for a slot that has nothing to speak; what is spoken is the text of `extend` alone.
        """

    def seal(self, slot: int) -> None:
        """The segment's text is complete; the slot may be submitted until its `last` patch."""

    def submit(self, slots: Sequence[int]) -> Pending:
        """Start one step for slots that have a sealed, unfinished segment; at most `info.max_batch`."""

    def close(self, slot: int) -> None:
        """Forget the slot; what is pending for it is dropped. Legal at any time after open."""

    def reload_voices(self) -> None:
        """Look at the voice folder again: `info` then tells the voices there are. Open slots keep theirs."""

    def shutdown(self) -> None:
        """Release the device. No call follows."""
