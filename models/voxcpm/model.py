"""VoxCPM as a thing with slots: each step takes any set of them and makes one patch of speech for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..base import Failure, History, ModelError, ModelInfo, ModelOptions, ParamRange, Patch, Pcm, SpeechParams
from ..slots import Done, SlotTable
from . import length
from .cast import Cast
from .config import read_config
from .default_voices import LANGUAGES
from .linear import can_quantize
from .network import State, VoxCPM
from .placement import num_cores, placed, precision
from .slot import VoxCPMSlot
from .vae import CHUNK_LATENTS
from .vae_stream import StreamingDecoder

log = logging.getLogger(__name__)

T = TypeVar("T")

PARAMS = {
    "cfg_value": ParamRange(min=1.0, max=5.0, default=2.0),
    "inference_timesteps": ParamRange(min=2, max=50, default=10),
    "min_len": ParamRange(min=0, max=100, default=length.MIN_PATCHES),
    "max_len": ParamRange(min=1, max=length.MAX_PATCHES, default=length.MAX_PATCHES),
}

CPU_SLOTS = 8
CUDA_SLOTS = 64


def load_speech_model(checkpoint: Path, options: ModelOptions) -> VoxCPMModel:
    """The checkpoint in that directory, ready to speak with every voice it has. Raises ModelError.

    The first loading of a checkpoint makes its default voices: half a minute of speech where each ends by itself.
    """
    device = placed(options.device)
    if options.quantize == "int8" and (device.type != "cpu" or not can_quantize()):
        raise ModelError(f"int8 was asked for, but there are no such layers for {device.type} on this machine.")
    torch.set_num_threads(options.num_threads or num_cores())
    num_slots = options.num_slots or (CPU_SLOTS if device.type == "cpu" else CUDA_SLOTS)
    try:
        network = VoxCPM(
            checkpoint,
            device=device,
            dtype=precision(options.dtype, read_config(checkpoint).dtype, device),
            quantize=options.quantize == "int8",
            adapters=options.adapters,
            merge_adapter=options.merge_adapter,
            num_slots=num_slots,
            num_positions=length.NUM_POSITIONS,
        )
        return VoxCPMModel(network, options)
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
            raise
        raise ModelError(
            f"Memory for {checkpoint} and {num_slots} slots was expected on {device}, but there is not enough: "
            "take fewer --slots or another --dtype."
        ) from error


@dataclass(frozen=True, slots=True)
class _Context:
    """What the language models read for one slot in this step."""

    slot: VoxCPMSlot
    tokens: Tensor  # [tokens, hidden]
    num_text: int  # those before the first patch


class VoxCPMModel:
    """The slot interface (models/base.py) of a loaded network."""

    def __init__(self, network: VoxCPM, options: ModelOptions) -> None:
        self._network = network
        self._cast = Cast(network, options)
        self._decoder = StreamingDecoder(network.decoder, network.num_slots)
        self._max_latest_patches = int(options.context_s * network.config.sample_rate / network.config.patch_samples)
        self._info = self._describe()
        self._slots: SlotTable[VoxCPMSlot] = SlotTable(self._info)

    @property
    def info(self) -> ModelInfo:
        return self._info

    @torch.inference_mode()
    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        speaker = self._cast.speaker(voice)
        opened = VoxCPMSlot(
            slot,
            generation,
            speaker,
            params,
            self._network,
            max_latest_patches=self._max_latest_patches,
            history=history,
        )
        self._slots.open(opened)
        try:
            self._prime(opened)
        except BaseException:
            self._slots.close(slot)
            raise

    def extend(self, slot: int, text: str) -> None:
        self._slots[slot].extend(text)

    def seal(self, slot: int) -> None:
        self._slots[slot].seal()

    @torch.inference_mode()
    def submit(self, slots: Sequence[int]) -> Done:
        results: list[Patch | Failure] = []
        rows: list[VoxCPMSlot] = []
        for slot in self._slots.batch(slots):
            text = slot.text()
            is_spoken = True if text is None else self._own_part(slot, partial(slot.begin, text))
            match is_spoken:
                case True:
                    rows.append(slot)
                case False:
                    results.append(slot.silent())
                case failure:
                    results.append(failure)
        self._embed(rows)
        contexts: list[_Context] = []
        for slot in rows:
            match self._own_part(slot, slot.tokens):
                case Failure() as failure:
                    results.append(failure)
                case tokens, num_text:
                    contexts.append(_Context(slot, tokens, num_text))
        if contexts:
            results += self._speak(contexts)
        return Done(results)

    def close(self, slot: int) -> None:
        self._slots.close(slot)

    def reload_voices(self) -> None:
        self._cast.reload()
        self._info = self._describe()

    def shutdown(self) -> None:
        self._slots.clear()

    def _prime(self, slot: VoxCPMSlot) -> None:
        """Let the codec hear what comes before the slot's first patch."""
        number, speaker = slot.number, slot.speaker
        self._decoder.reset(number)
        if slot.is_reopened:
            earlier, own = slot.delivered()
            if earlier:
                self._decoder.warm(number, torch.cat(earlier))
            if own:
                pieces = torch.split(torch.cat(own), CHUNK_LATENTS)  # not at once: a long segment would take gigabytes
                audio = [self._decoder.step([number], piece[None]) for piece in pieces]
                slot.resume(_pcm(torch.cat(audio, dim=1), [slot])[0])
        elif speaker.memory is not None:
            self._decoder.restore(number, speaker.memory)
        elif speaker.priming:
            self._decoder.warm(number, torch.cat(speaker.priming))
            speaker.memory = self._decoder.memory(number)

    def _embed(self, slots: Sequence[VoxCPMSlot]) -> None:
        """Give the language models' side of every patch that still lacks it, those of all slots in one batch."""
        passages = list({id(each): (each, slot) for slot in slots for each in slot.passages}.values())
        latents = [patch for passage, _ in passages for patch in passage.unembedded]
        if not latents:
            return
        rows = self._rows([slot for passage, slot in passages for _ in passage.unembedded])
        embedded = iter(self._network.embed_patches(torch.stack(latents), rows))
        for passage, _ in passages:
            passage.embeddings += [next(embedded) for _ in passage.unembedded]

    def _speak(self, contexts: Sequence[_Context]) -> list[Patch | Failure]:
        """One patch for each."""
        network, slots = self._network, [context.slot for context in contexts]
        spans = [context.slot.span(len(context.tokens)) for context in contexts]
        is_audio = torch.cat([torch.arange(len(each.tokens)) >= each.num_text for each in contexts])
        by_token = self._rows([each.slot for each in contexts for _ in range(len(each.tokens))])
        tokens = torch.cat([context.tokens for context in contexts])
        state = network.advance(tokens, is_audio.to(network.device), spans, by_token)
        flags = network.stops(state)
        latents = self._solved(slots, state)
        audio = self._decoder.step([slot.number for slot in slots], latents)
        sound = torch.isfinite(audio).all(1)
        # From here on all is on the host: nothing was read back before.
        spoken = zip(slots, latents, latents.cpu(), _pcm(audio, slots), flags.tolist(), sound.tolist(), strict=True)
        return [
            self._own_part(slot, partial(slot.spoken, patch, on_host.numpy().astype("<f4").tobytes(), pcm, flag))
            if is_sound
            else _failure(slot, "the voice made no sound out of this text")
            for slot, patch, on_host, pcm, flag, is_sound in spoken
        ]

    def _solved(self, slots: Sequence[VoxCPMSlot], state: State) -> Tensor:
        """The slots' next patches, float32 [batch, patch, feat]; those of one number of steps are solved together."""
        network = self._network
        before = torch.stack([slot.before() for slot in slots])
        noise = torch.stack([slot.noise() for slot in slots]).to(network.device)
        cfg_value = torch.tensor([slot.cfg_value for slot in slots], device=network.device)
        rows = self._rows(slots)
        latents = torch.empty_like(noise)
        by_steps: dict[int, list[int]] = {}
        for index, slot in enumerate(slots):
            by_steps.setdefault(slot.num_steps, []).append(index)
        for steps, indices in by_steps.items():
            same = slice(None) if len(by_steps) == 1 else indices
            latents[same] = network.solve(
                State(state.lm[same], state.residual[same]),
                before[same],
                noise[same],
                num_steps=steps,
                cfg_value=cfg_value[same],
                rows=None if rows is None else rows[same],
            )
        return latents

    def _own_part(self, slot: VoxCPMSlot, part: Callable[[], T]) -> T | Failure:
        """What a slot does for itself in a step, over its user's text: a fault there is not its neighbours'.

        One of the broad nets of the house.
        """
        try:
            return part()
        except ModelError as error:
            return _failure(slot, str(error))
        except Exception:
            log.exception("a slot's own part of a step failed, segment=%d", slot.segment)
            return _failure(slot, "the voice failed while speaking this text")

    def _rows(self, slots: Sequence[VoxCPMSlot]) -> Tensor | None:
        """Each row's adapter number."""
        if self._network.adapters is None:
            return None
        return torch.tensor([slot.speaker.adapter for slot in slots], device=self._network.device)

    def _describe(self) -> ModelInfo:
        network = self._network
        config = network.config
        return ModelInfo(
            name=network.checkpoint.resolve().name,
            sample_rate=config.sample_rate,
            patch_samples=config.patch_samples,
            languages=LANGUAGES,
            voices=self._cast.voices,
            default_voice=self._cast.voices[0].name,
            max_slots=network.num_slots,
            max_batch=network.num_slots,
            neural=True,
            deterministic=False,  # who else is in the batch changes how sums are rounded
            volume="native",
            params=PARAMS,
            adapters=network.adapters.names if network.adapters else (),
        )


def _pcm(audio: Tensor, slots: Sequence[VoxCPMSlot]) -> list[Pcm]:
    """Samples float32 [batch, samples] at each slot's volume."""
    loud = audio.cpu().numpy() * np.array([[32767 * slot.params.volume] for slot in slots], np.float32)
    return list(np.clip(np.rint(loud), -32768, 32767).astype(np.int16))


def _failure(slot: VoxCPMSlot, message: str) -> Failure:
    return Failure(slot=slot.number, generation=slot.generation, message=message)
