"""One utterance of the slot model: its voice, the segment under way and what the next one continues from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..base import History, ModelError, Patch, Pcm, SpeechParams
from ..slots import Slot
from ..words import WordTimes
from . import length
from .backbone import Span
from .config import AUDIO_START
from .network import VoxCPM
from .noise import patch_noise
from .passage import Passage, joined, spaced
from .speaker import Speaker


class VoxCPMSlot(Slot):
    """A segment goes on from the voice's prompt and the latest segment alone: a long text neither grows nor drifts.

    Positions of the KV cache start anew with each segment; the codec's memory, the patch counter and the listener's
    samples run on.
    """

    __slots__ = (
        "_earlier",
        "_history",
        "_latest",
        "_longest",
        "_model",
        "_num_positions",
        "_passage",
        "_resumed",
        "_resumed_pcm",
        "_segment_start",
        "_times",
        "max_latest_patches",
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
        self._history = heard = history or History()
        self._resumed = [self._latents(each) for each in heard.latents]  # what was heard of the segment under way
        self._resumed_pcm: Pcm = np.empty(0, np.int16)
        self._longest = self._num_positions = self._segment_start = 0
        self.position = heard.position
        before = [self._latents(each) for each in heard.before]
        self._earlier = [*(self._latents(each) for each in heard.earlier), *before]
        if 0 < len(before) <= max_latest_patches:
            self._latest = Passage(spaced(heard.text), before)
        self._times = WordTimes("", model.config.sample_rate, start=0)

    @property
    def num_steps(self) -> int:
        return round(self.params.knobs.get("inference_timesteps", 10))

    @property
    def cfg_value(self) -> float:
        return self.params.knobs.get("cfg_value", 2.0)

    def begin(self, text: str) -> bool:
        """Start a segment. False: there is nothing to say in it."""
        self._settle()
        self._segment_start = self._history.segment_start if self._resumed else self.position
        self._passage = Passage(spaced(text), self._resumed)
        self._times = WordTimes(
            text,
            self._model.config.sample_rate,
            start=self._segment_start,
            expected_seconds=self.speaker.expected_seconds(text),
        )
        self._num_positions = 0
        if self._resumed:
            self._times.push(self._resumed_pcm, False)  # these words were told
            self._resumed, self._resumed_pcm = [], self._resumed_pcm[:0]
        return bool(text.strip())

    @property
    def passages(self) -> list[Passage]:
        """What the next step's tokens are made of, in order: the whole context at a segment's start."""
        return [each for each in (self.speaker.passage, self._latest, self._passage) if each is not None]

    def tokens(self) -> tuple[Tensor, int]:
        """The tokens [tokens, hidden] that the language models read next, and how many of them are text.

        All patches so far must be embedded. Raises ModelError for a segment that does not fit the model's context.
        """
        if self._num_positions:
            return self._passage.embeddings[-1][None], 0
        ids, num_own = self._ids()
        wanted = self._wanted(num_own)
        if self._room(ids) < wanted and self._latest is not None:
            self._latest = None  # the voice alone will have to do
            ids, num_own = self._ids()
        self._longest = min(wanted, self._room(ids))
        if self._longest <= self._passage.num_patches:
            raise ModelError(
                f"A segment that fits {self._model.num_positions} tokens with its voice's prompt was expected, "
                f"but it has {num_own} tokens of text."
            )
        text = self._model.embed_text(ids)
        patches = [embedding for passage in self.passages for embedding in passage.embeddings]
        return (torch.cat([text, torch.stack(patches)]) if patches else text), len(ids)

    def span(self, num_tokens: int) -> Span:
        """Where those tokens stand in the slot's context; counts them as read."""
        span = Span(self.number, self._num_positions, num_tokens)
        self._num_positions += num_tokens
        return span

    def before(self) -> Tensor:
        """The patch before the next one, float32 [patch, feat]; zeros where there is none."""
        for passage in reversed(self.passages):
            if passage.latents:
                return passage.latents[-1]
        config = self._model.config
        return torch.zeros(config.patch_size, config.feat_dim, device=self._model.device)

    def noise(self) -> Tensor:
        """What the next patch is made from, float32 [patch, feat]."""
        config = self._model.config
        return patch_noise(
            self.params.seed,
            self.segment,
            self._passage.num_patches,
            patch_size=config.patch_size,
            feat_dim=config.feat_dim,
        )

    def spoken(self, latents: Tensor, raw: bytes, pcm: Pcm, flag: bool) -> Patch:
        """The next patch: latents [patch, feat], the same as `Patch.latents`, its samples, and its stop flag."""
        num_made = self._passage.num_patches
        self._passage.latents.append(latents)
        min_patches = round(self.params.knobs.get("min_len", length.MIN_PATCHES))
        last = length.stops(num_made, flag, min_patches=min_patches) or num_made + 1 >= self._longest
        words = self._times.push(pcm, last)
        return self.patch(pcm, words, last=last, estimated=True, latents=raw)

    def silent(self) -> Patch:
        """The only patch of a segment without words."""
        return self.patch(np.empty(0, np.int16), (), last=True, estimated=True)

    @property
    def is_reopened(self) -> bool:
        return self._history.index > 0

    def delivered(self) -> tuple[list[Tensor], list[Tensor]]:
        """What the codec hears before this opening's first patch: patches [patch, feat] before the segment under way,
        as far back as its memory reaches, and those of it."""
        num_earlier = self._history.index - len(self._resumed)
        earlier = self._earlier if num_earlier > len(self._earlier) else [*self.speaker.priming, *self._earlier]
        num_remembered = -(-self._model.decoder.history_latents // self._model.config.patch_size)
        return earlier[-num_remembered:], self._resumed

    def resume(self, pcm: Pcm) -> None:
        """The segment's samples that were heard before this opening."""
        self._resumed_pcm = pcm

    def _ids(self) -> tuple[list[int], int]:
        """The segment's text with its context's, and how many tokens are its own."""
        encode = self._model.tokenizer.encode
        ids = encode(joined(*(passage.text for passage in self.passages)))
        return [*ids, AUDIO_START], len(encode(self._passage.text))

    def _wanted(self, num_tokens: int) -> int:
        """Patches that a segment of so many tokens may take."""
        return length.longest(num_tokens, round(self.params.knobs.get("max_len", length.MAX_PATCHES)))

    def _room(self, ids: list[int]) -> int:
        """Patches that the segment may have, delivered ones included, before the slot is full."""
        context = sum(passage.num_patches for passage in self.passages) - self._passage.num_patches
        return self._model.num_positions - len(ids) - context

    def _settle(self) -> None:
        """The segment that is over becomes the latest: whole, so that its words and its sound agree, or not at all."""
        over = self._passage
        if over.latents:
            self._latest = over if over.num_patches <= self.max_latest_patches else None

    def _latents(self, raw: bytes) -> Tensor:
        config = self._model.config
        num_bytes = 4 * config.patch_size * config.feat_dim
        if len(raw) != num_bytes:
            raise ModelError(f"A patch's latents of {num_bytes} bytes were expected, but {len(raw)} came.")
        values = np.frombuffer(raw, "<f4").reshape(config.patch_size, config.feat_dim)
        return torch.from_numpy(values.astype(np.float32)).to(self._model.device)
