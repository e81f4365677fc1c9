"""One utterance of the slot model: its voice, the segment under way and what the next one continues from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from ..base import History, ModelError, SpeechParams
from ..slots import Slot
from . import length
from .config import AUDIO_START
from .network import VoxCPM
from .passage import Passage, joined, spaced
from .speaker import Speaker


@dataclass(frozen=True, slots=True)
class Context:
    """What the language models read before a segment's first patch, in this order."""

    ids: list[int]  # its text with that of what it goes on from, and the start of audio
    num_prompt: int  # patches of the voice
    num_latest: int  # patches of the segment before, which the device still has
    num_own: int  # patches of its own that were delivered before this opening
    num_known: int  # tokens that the language models have read already: those of a text that began alike

    @property
    def num_tokens(self) -> int:
        return len(self.ids) + self.num_prompt + self.num_latest + self.num_own


class VoxCPMSlot(Slot):
    """A segment goes on from the voice's prompt and the latest segment alone: a long text neither grows nor drifts.

    Positions of the KV cache start anew with each segment; the codec's memory, the patch counter and the listener's
    samples run on. What is on the device is not here: this says where it lies.
    """

    __slots__ = (
        "_context",
        "_earlier",
        "_history",
        "_latest",
        "_longest",
        "_model",
        "_passage",
        "_read",
        "before",
        "max_latest_patches",
        "resumed",
        "speaker",
    )

    def __init__(
        self,
        number: int,
        generation: int,
        speaker: Speaker,
        params: SpeechParams,
        model: VoxCPM,
        *,
        max_latest_patches: int,
        history: History | None,
    ) -> None:
        """Raises ModelError for a history whose latents are not this model's."""
        super().__init__(number, generation, speaker.voice.name, params, history)
        self.speaker = speaker
        self.max_latest_patches = max_latest_patches
        self._model = model
        self._latest: Passage | None = None
        self._passage = Passage("")
        self._context = Context([], 0, 0, 0, 0)
        self._history = heard = history or History()
        self._longest = 0
        self._read: list[int] = []  # text tokens at the beginning of the slot's positions
        self.resumed = [self._latents(each) for each in heard.latents]  # what was heard of the segment under way
        self.before = [self._latents(each) for each in heard.before]  # and of the one before
        self._earlier = [*(self._latents(each) for each in heard.earlier), *self.before]
        if 0 < len(self.before) <= max_latest_patches:
            self._latest = Passage(spaced(heard.text), len(self.before))

    @property
    def num_steps(self) -> int:
        return round(self.params.knobs.get("inference_timesteps", 10))

    @property
    def cfg_value(self) -> float:
        return self.params.knobs.get("cfg_value", 2.0)

    @property
    def num_made(self) -> int:
        """Patches of the segment under way, delivered ones included."""
        return self._passage.num_patches

    @property
    def token_position(self) -> int:
        """Of the token that the next patch follows."""
        return self._context.num_tokens - self._context.num_own + self.num_made - 1

    @property
    def follows_audio(self) -> bool:
        """Whether that token is a patch."""
        return self.token_position >= len(self._context.ids)

    def begin(self, text: str) -> bool:
        """Start a segment. False: there is nothing to say in it."""
        self._settle()
        self._passage = Passage(spaced(text), len(self.resumed))
        return bool(text.strip())

    def context(self) -> Context:
        """What is to be read for the segment that has begun. Raises ModelError for one that does not fit."""
        ids, num_own_tokens = self._ids()
        wanted = self._wanted(num_own_tokens)
        if self._room(ids) < wanted and self._latest is not None:
            self._latest = None  # the voice alone will have to do
            ids, num_own_tokens = self._ids()
        self._longest = min(wanted, self._room(ids))
        if self._longest <= self.num_made:
            raise ModelError(
                f"A segment that fits {self._model.num_positions} tokens with its voice's prompt was expected, "
                f"but it has {num_own_tokens} tokens of text."
            )
        num_latest = self._latest.num_patches if self._latest else 0
        num_prompt = self.speaker.passage.num_patches
        num_tokens = len(ids) + num_prompt + num_latest + self.num_made
        num_known = min(self._known(ids), num_tokens - 1)
        self._context = Context(ids, num_prompt, num_latest, self.num_made, num_known)
        return self._context

    def expected(self, text: str, *, at_least: int) -> tuple[list[int], int]:
        """The text tokens that a segment which begins with this text will begin with, and how many of them are read.

        So many as known while others are spoken, when fewer than `at_least` would be new, or for a text that does not
        fit. Counts all as read.
        """
        if self.ready:
            return self._read, len(self._read)
        latest = self._latest
        if self.num_made:  # what is over will be settled when the segment begins
            latest = self._passage if self.num_made <= self.max_latest_patches else None
        whole_words = spaced(text).rpartition(" ")[0]
        ids = self._encoded(latest, whole_words)[:-1]  # the last one may yet become another
        if len(ids) - self._num_common(ids) < at_least or len(ids) > self._model.num_positions:
            return self._read, len(self._read)
        return ids, self._known(ids)

    def count(self, flag: bool) -> tuple[int, int, bool]:
        """The next patch, with its stop flag, is being made: its segment, its index, and whether it is the last."""
        num_made = self.num_made
        min_patches = round(self.params.knobs.get("min_len", length.MIN_PATCHES))
        last = length.stops(num_made, flag, min_patches=min_patches) or num_made + 1 >= self._longest
        self._passage.num_patches += 1
        return *self.number_patch(last=last), last

    @property
    def is_reopened(self) -> bool:
        return self._history.index > 0

    def remembered(self) -> list[Tensor]:
        """Patches float32 [patch, feat] before this opening's first, as far back as the codec's memory reaches."""
        num_remembered = -(-self._model.decoder.history_latents // self._model.config.patch_size)
        return [*self.speaker.priming, *self._earlier, *self.resumed][-num_remembered:]

    def _ids(self) -> tuple[list[int], int]:
        """The segment's text with its context's, and how many tokens are its own."""
        own = self._passage.text
        return [*self._encoded(self._latest, own), AUDIO_START], len(self._model.tokenizer.encode(own))

    def _encoded(self, latest: Passage | None, text: str) -> list[int]:
        before = (self.speaker.passage, latest) if latest else (self.speaker.passage,)
        return self._model.tokenizer.encode(joined(*(passage.text for passage in before), text))

    def _known(self, ids: list[int]) -> int:
        """How many of these tokens the slot holds already; from here on it holds them all."""
        num_known = self._num_common(ids)
        self._read = ids
        return num_known

    def _num_common(self, ids: list[int]) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._read, ids, strict=False)))

    def _wanted(self, num_tokens: int) -> int:
        """Patches that a segment of so many tokens may take."""
        return length.longest(num_tokens, round(self.params.knobs.get("max_len", length.MAX_PATCHES)))

    def _room(self, ids: list[int]) -> int:
        """Patches that the segment may have, delivered ones included, before the slot is full."""
        num_latest = self._latest.num_patches if self._latest else 0
        return self._model.num_positions - len(ids) - self.speaker.passage.num_patches - num_latest

    def _settle(self) -> None:
        """The segment that is over becomes the latest: whole, so that its words and its sound agree, or not at all."""
        over = self._passage
        if over.num_patches:
            self._latest = over if over.num_patches <= self.max_latest_patches else None

    def _latents(self, raw: bytes) -> Tensor:
        config = self._model.config
        num_bytes = 4 * config.patch_size * config.feat_dim
        if len(raw) != num_bytes:
            raise ModelError(f"A patch's latents of {num_bytes} bytes were expected, but {len(raw)} came.")
        values = np.frombuffer(raw, "<f4").reshape(config.patch_size, config.feat_dim)
        return torch.from_numpy(values.astype(np.float32))
