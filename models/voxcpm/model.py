"""VoxCPM as a thing with slots: each step takes any set of them and makes one patch of speech for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from ..base import Failure, History, ModelError, ModelInfo, ModelOptions, ParamRange, Patch, SpeechParams
from ..engine.batch import Batch
from ..engine.runner import Launch, Runner
from ..slots import SlottedModel
from . import length
from .cast import Cast
from .config import read_config
from .default_voices import LANGUAGES
from .linear import can_quantize
from .machinery import USUAL_STEPS, Machinery, machinery
from .network import VoxCPM
from .noise import batch_noise
from .placement import num_cores, placed, precision
from .reader import Reader
from .slot import Context, VoxCPMSlot
from .solves import MAX_STEPS
from .step import Rows, VoxCPMStep, failure

log = logging.getLogger(__name__)

T = TypeVar("T")

PARAMS = {
    "cfg_value": ParamRange(min=1.0, max=5.0, default=2.0),
    "inference_timesteps": ParamRange(min=2, max=MAX_STEPS, default=USUAL_STEPS),
    "min_len": ParamRange(min=0, max=100, default=length.MIN_PATCHES),
    "max_len": ParamRange(min=1, max=length.MAX_PATCHES, default=length.MAX_PATCHES),
}

CPU_SLOTS = 8


def load_speech_model(checkpoint: Path, options: ModelOptions) -> VoxCPMModel:
    """The checkpoint in that directory, ready to speak with every voice it has. Raises ModelError.

    The first loading of a checkpoint makes its default voices: half a minute of speech where each ends by itself.
    """
    device = placed(options.device)
    if options.quantize == "int8" and (device.type != "cpu" or not can_quantize()):
        raise ModelError(f"int8 was asked for, but there are no such layers for {device.type} on this machine.")
    torch.set_num_threads(options.num_threads or num_cores())
    num_slots = (options.num_slots or CPU_SLOTS) if device.type == "cpu" else 1  # a GPU's follow from its memory
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
            f"Memory for {checkpoint} and its slots was expected on {device}, but there is not enough: "
            "take fewer --slots or another --dtype."
        ) from error


class VoxCPMModel(SlottedModel[VoxCPMSlot]):
    """The slot interface (models/base.py) of a loaded network."""

    def __init__(self, network: VoxCPM, options: ModelOptions, made: Machinery | None = None) -> None:
        """`made`: instead of the machinery that suits the device."""
        self._network = network
        self._cast = Cast(network, options)
        self._machinery = made or machinery(network, options)
        self._reader = Reader(self._machinery.workshop, self.runner, alone=self._machinery.alone)
        super().__init__(self._describe())

    @property
    def runner(self) -> Runner:
        """The programs of its steps, for benches and checks."""
        return self._machinery.runner

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
            max_latest_patches=self._machinery.max_latest_patches,
            history=history,
        )
        self._slots.open(opened)
        try:
            self._reader.open(opened)
        except BaseException:
            self._slots.close(slot)
            raise

    @torch.inference_mode()
    def expect(self, slot: int, text: str) -> None:
        if self._info.reads_ahead:
            self._reader.read_ahead(self._slots[slot], text)

    @torch.inference_mode()
    def submit(self, slots: Sequence[int]) -> VoxCPMStep:
        results: list[Patch | Failure] = []
        rows: list[VoxCPMSlot] = []
        contexts: list[tuple[VoxCPMSlot, Context]] = []
        for slot in self._slots.batch(slots):
            text = slot.text()
            begun = None if text is None else self._own_part(slot, partial(_begin, slot, text))
            match begun:
                case Failure() as failed:
                    results.append(failed)
                case False:
                    results.append(slot.patch(_SILENCE, (), last=True))
                case Context() as context:
                    contexts.append((slot, context))
                    rows.append(slot)
                case _:
                    rows.append(slot)
        if contexts:
            self._reader.read(contexts)
        usual = [slot for slot in rows if slot.num_steps == USUAL_STEPS]
        others = [slot for slot in rows if slot.num_steps != USUAL_STEPS]
        # What tells which patches are the last comes first.
        under_way = self._launched("begin", others) if others else None
        launched = []
        if usual:
            decode = self._launched("decode", usual)
            launched.append(Rows(usual, decode, decode))
        if under_way is not None:
            launched.append(Rows(others, under_way, self._finished(others)))
        return VoxCPMStep(launched, results)

    def reload_voices(self) -> None:
        self._cast.reload()
        self._info = self._describe()

    def _launched(self, program: str, slots: Sequence[VoxCPMSlot]) -> Launch:
        return self.runner.launch(program, self._given(program, slots), len(slots))

    def _finished(self, slots: Sequence[VoxCPMSlot]) -> Launch:
        """What has begun for them is solved, each with its own number of steps. All in one: a program has room for the
        results of one step beside those of the step before."""
        runner, num_rows = self.runner, len(slots)
        for _ in range(max(len(self._machinery.solves.moments(slot.num_steps)) for slot in slots)):
            runner.launch("turn", runner.batch("turn", num_rows), num_rows)
        return self._launched("finish", slots)

    def _given(self, program: str, slots: Sequence[VoxCPMSlot]) -> Batch:
        """Each slot's row of what a program takes."""
        config, num_rows = self._network.config, len(slots)
        given = self.runner.batch(program, num_rows)
        spare = self._machinery.max_latest_patches

        def fill(name: str, values: Sequence[float]) -> None:
            given[name][:num_rows] = torch.tensor(values, dtype=given[name].dtype)

        fill("slot", [slot.number for slot in slots])
        fill("adapter", [slot.speaker.adapter for slot in slots])
        if program == "begin":
            fill("moment", [self._machinery.solves.moments(slot.num_steps)[0] for slot in slots])
        if program != "begin":
            fill("index", [min(slot.num_made, spare) for slot in slots])
            fill("volume", [slot.params.volume for slot in slots])
        if program != "finish":
            fill("position", [slot.token_position for slot in slots])
            fill("is_audio", [slot.follows_audio for slot in slots])
            fill("cfg_value", [slot.cfg_value for slot in slots])
            keys = [(slot.params.seed, slot.segment, slot.num_made) for slot in slots]
            given["noise"][:num_rows] = batch_noise(keys, patch_size=config.patch_size, feat_dim=config.feat_dim)
        return given

    def _own_part(self, slot: VoxCPMSlot, part: Callable[[], T]) -> T | Failure:
        """What a slot does for itself in a step, over its user's text: a fault there is not its neighbours'.

        One of the broad nets of the house.
        """
        try:
            return part()
        except ModelError as error:
            return failure(slot, str(error))
        except Exception:
            log.exception("a slot's own part of a step failed, segment=%d", slot.segment)
            return failure(slot, "the voice failed while speaking this text")

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
            max_batch=self._machinery.max_batch,
            buckets=self._machinery.buckets,
            neural=True,
            deterministic=self._machinery.alone,  # else who is in the batch changes how sums are rounded
            words="estimated",
            reads_ahead=self._machinery.reads_ahead,
            volume="native",
            params=PARAMS,
            adapters=network.adapters.names if network.adapters else (),
        )


def _begin(slot: VoxCPMSlot, text: str) -> Context | bool:
    """What is to be read for the segment; False: nothing, there is nothing to say in it."""
    return slot.begin(text) and slot.context()


_SILENCE = np.empty(0, np.int16)
