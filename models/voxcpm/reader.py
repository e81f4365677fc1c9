"""Brings slots to where a step takes them up: voices and delivered patches become tokens, contexts are read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine.batch import Batch
from ..engine.runner import Runner
from .config import AUDIO_START
from .context import BLOCK, ENCODED_TOGETHER
from .decode import Workshop
from .slot import Context, VoxCPMSlot
from .speaker import Speaker

log = logging.getLogger(__name__)


class Reader:
    """All of it is queued on the device behind the steps under way. Only a voice's first utterance is waited for, and
    what was heard of one that is opened again."""

    def __init__(self, workshop: Workshop, runner: Runner, *, alone: bool) -> None:
        """`alone`: each context is read by itself, so that its company changes no rounding."""
        self._network, self._state = workshop.network, workshop.state
        self._runner = runner
        self._alone = alone
        self._start = self._network.embed_text([AUDIO_START])[0]  # [hidden]

    def open(self, slot: VoxCPMSlot) -> None:
        """Let the codec, and after an interruption the slot's state, hold what comes before its first patch."""
        state, speaker, number = self._state, slot.speaker, slot.number
        self._learn(speaker, number)
        assert speaker.memory is not None
        state.heard.copy_(speaker.memory, non_blocking=True)
        state.decoder.restore(number, state.heard)
        if not slot.is_reopened:
            return
        self._hear(number, slot.remembered())
        if 0 < len(slot.before) <= slot.max_latest_patches:
            tokens = self._encoded(torch.stack(slot.before), speaker.adapter)
            state.spoken[number, : len(tokens)] = tokens.to(state.spoken.device)
            state.before[number] = slot.before[-1].to(state.before.device)

    def read(self, contexts: Sequence[tuple[VoxCPMSlot, Context]]) -> None:
        """Let the language models read them, all but the last token, which is left for the slot's next step."""
        most = self._state.context.shape[0]
        batch: list[tuple[VoxCPMSlot, Context, Tensor | None]] = []
        num_rows = 0
        for slot, context in contexts:
            rows = blocks(context.num_tokens - 1 - context.num_known)
            if batch and (self._alone or num_rows + rows > most):
                self._prefill(batch, num_rows)
                batch, num_rows = [], 0
            own = self._encoded(torch.stack(slot.resumed), slot.speaker.adapter) if context.num_own else None
            batch.append((slot, context, own))
            num_rows += rows
        if batch:
            self._prefill(batch, num_rows)
        if num_own := sum([context.num_own for _, context in contexts]):
            log.debug("patches that were heard before an interruption are read: %d", num_own)

    def read_ahead(self, slot: VoxCPMSlot, text: str) -> None:
        """Read what a segment will probably begin with, by whole blocks, while the slot has nothing to speak."""
        ids, num_known = slot.expected(text, at_least=BLOCK)
        if len(ids) > num_known:
            given = self._runner.batch("prefill", blocks(len(ids) - num_known))
            given.pad(0)
            self._write(given, 0, slot, ids, num_known, len(ids))
            self._runner.launch("prefill", given, given.num_rows)

    def _prefill(self, contexts: Sequence[tuple[VoxCPMSlot, Context, Tensor | None]], num_rows: int) -> None:
        given = self._runner.batch("prefill", num_rows)
        given.pad(0)  # the ends of blocks, too
        first = 0
        for slot, context, own in contexts:
            num_read = context.num_tokens - 1
            self._write(given, first, slot, context.ids, context.num_known, num_read)
            origin = first - context.num_known  # the row of position 0, were it among them
            self._place(slot, context, own, origin + len(context.ids), origin + num_read)
            first += blocks(num_read - context.num_known)
        if num_rows:
            self._runner.launch("prefill", given, num_rows)

    @staticmethod
    def _write(given: Batch, first: int, slot: VoxCPMSlot, ids: list[int], start: int, end: int) -> None:
        """A slot's tokens at positions `start` to `end`, from row `first` on: text, then patches."""
        last = first + end - start
        given["slot"][first:last] = slot.number
        given["adapter"][first:last] = slot.speaker.adapter
        given["position"][first:last] = torch.arange(start, end)
        text = ids[start:end]
        given["id"][first : first + len(text)] = torch.tensor(text, dtype=torch.int64)
        given["is_audio"][first + len(text) : last] = 1

    def _place(self, slot: VoxCPMSlot, context: Context, own: Tensor | None, first: int, end: int) -> None:
        """The context's patches into their rows, and its last token and patch to where the step looks for them."""
        state, number, speaker = self._state, slot.number, slot.speaker
        assert speaker.tokens is not None
        tokens, before = self._start, None
        pieces = [(speaker.tokens, speaker.latents[-1:])]
        pieces.append((state.spoken[number, : context.num_latest], state.before[number : number + 1]))
        if own is not None:
            pieces.append((own, slot.resumed[-1][None]))
        for piece, latest in pieces:
            if not len(piece):
                continue
            num_rows = max(0, min(len(piece), end - first))
            state.context[first : first + num_rows].copy_(piece[:num_rows], non_blocking=True)
            first += len(piece)
            tokens, before = piece[-1], latest[0]
        state.token[number].copy_(tokens, non_blocking=True)
        if before is None:
            state.before[number].zero_()
        else:
            state.before[number].copy_(before, non_blocking=True)
        if own is not None:
            kept = own[: state.spoken.shape[1] - 1]
            state.spoken[number, : len(kept)].copy_(kept, non_blocking=True)
            slot.resumed = []

    def _learn(self, speaker: Speaker, number: int) -> None:
        """A voice's first utterance: its prompt as tokens, and the codec's memory of its end."""
        if speaker.tokens is None:
            speaker.latents = self._pinned(speaker.latents)
            speaker.tokens = self._pinned(self._encoded(speaker.latents, speaker.adapter))
        if speaker.memory is None:
            self._hear(number, speaker.priming)
            speaker.memory = self._pinned(self._state.decoder.memory(number).cpu())

    def _hear(self, number: int, patches: Sequence[Tensor]) -> None:
        """Let the codec remember these, from silence on, and nothing else."""
        decoder = self._state.decoder
        decoder.reset(number)
        if decoder.recalls and patches:
            decoder.recall(number, torch.cat([*patches]))
            return
        for patch in patches:
            given = self._runner.batch("warm", 1)
            given["slot"][0] = number
            given["latents"][0] = patch
            self._runner.launch("warm", given, 1)

    def _encoded(self, latents: Tensor, adapter: int) -> Tensor:
        """Patches [patches, patch, feat] as tokens [patches, hidden], on the host."""
        tokens: list[Tensor] = [self._start[:0].cpu().view(0, len(self._start))]
        for piece in torch.split(latents, ENCODED_TOGETHER):
            given = self._runner.batch("encode", len(piece))
            given["latents"][: len(piece)] = piece
            given["adapter"][: len(piece)] = adapter
            told = self._runner.launch("encode", given, len(piece)).told()
            tokens.append(told["token"][: len(piece)].clone())
        return torch.cat(tokens)

    def _pinned(self, tensor: Tensor) -> Tensor:
        """For copies to a GPU that nobody waits for."""
        return tensor.pin_memory() if self._state.token.device.type == "cuda" else tensor


def blocks(num_tokens: int) -> int:
    """Rows that so many tokens take."""
    return -(-num_tokens // BLOCK) * BLOCK
