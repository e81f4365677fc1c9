"""The model under bench.gpu: loaded as the engine loads it, spoken with row by row, and its programs one by one.

Everything that bench.gpu knows of a runner, a program or a kernel is in this file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from models.base import Failure, ModelError, ModelOptions, Patch, SpeechParams
from models.voxcpm.config import read_config
from models.voxcpm.default_voices import DEFAULTS
from models.voxcpm.model import VoxCPMModel, load_speech_model
from models.voxcpm.prompt_cache import PromptCache, checkpoint_fingerprint

from .gpu_stage import Plan
from .peer import TEXT, prompt_latents

DECODE, PREFILL = "decode", "prefill"


def open_model(
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    num_slots: int,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    gpu_memory: float = 0.0,
    deterministic: bool = False,
) -> VoxCPMModel:
    """The checkpoint, `plan`'s own unless another is given, with default voices that were made beforehand."""
    checkpoint = checkpoint or plan.checkpoint
    write_voices(checkpoint, plan.cache)
    options = ModelOptions(
        device=plan.device,
        dtype=dtype,
        num_threads=1 if plan.device == "cpu" else 0,
        num_slots=num_slots,
        cache=plan.cache,
        gpu_memory=gpu_memory,
        deterministic=deterministic,
    )
    return load_speech_model(checkpoint, options)


def open_fitting(plan: Plan, *, num_slots: int) -> VoxCPMModel:
    """With so many slots, or with as many as the device has room for."""
    try:
        return open_model(plan, num_slots=num_slots)
    except ModelError:
        return open_model(plan, num_slots=0)


def write_voices(checkpoint: Path, folder: Path) -> None:
    """The latents of the default voices: random weights would speak them to their cap."""
    cache = PromptCache(folder, checkpoint_fingerprint(checkpoint))
    for voice in DEFAULTS:
        if cache.read(key := voice.key(cache)) is None:
            cache.write(key, prompt_latents(read_config(checkpoint)))


class Rows:
    """Utterances in slots, stepped together: what a batch is to the model."""

    def __init__(
        self,
        model: VoxCPMModel,
        seeds: Sequence[int],
        *,
        text: str = TEXT,
        num_patches: int = 2000,
        first_slot: int = 0,
    ) -> None:
        self._model = model
        self.slots = [first_slot + index for index in range(len(seeds))]
        for slot, seed in zip(self.slots, seeds, strict=True):
            params = SpeechParams(seed=seed, knobs={"max_len": num_patches, "cfg_value": 2.0})
            model.open(slot, 1 + seed, model.info.default_voice, params)
            model.extend(slot, text)
            model.seal(slot)

    def step(self) -> list[Patch]:
        """A patch of each, in order. Raises RuntimeError for one that fails."""
        return self.told(self._model.submit(self.slots))

    def submit(self) -> Any:
        return self._model.submit(self.slots)

    def told(self, pending: Any) -> list[Patch]:
        """What a step made. Raises RuntimeError for a row that failed."""
        by_slot: dict[int, Patch] = {}
        for result in pending.patches():
            if isinstance(result, Failure):
                raise RuntimeError(result.message)
            by_slot[result.slot] = result
        return [by_slot[slot] for slot in self.slots]

    def speak(self, num_patches: int) -> list[list[Patch]]:
        """So many patches of each row: by row."""
        steps = [self.step() for _ in range(num_patches)]
        return [list(patches) for patches in zip(*steps, strict=True)]

    def close(self) -> None:
        for slot in self.slots:
            self._model.close(slot)


def speak(model: VoxCPMModel, seeds: Sequence[int], num_patches: int, *, text: str = TEXT) -> list[list[Patch]]:
    """Patches by row, in slots from 0 on, which are free again."""
    rows = Rows(model, seeds, text=text)
    try:
        return rows.speak(num_patches)
    finally:
        rows.close()


def buckets(model: VoxCPMModel) -> tuple[int, ...]:
    """Numbers of rows that a step is made for, ascending; those of the issue where the model has none."""
    sizes = model.info.buckets or (1, 2, 4, 7, 14, 28, 56, 112)
    return tuple(size for size in sizes if size <= model.info.max_slots)


def is_recorded(model: VoxCPMModel) -> bool:
    """Whether steps are CUDA graphs."""
    runner = _runner(model)
    return runner is not None and any(station.replay is not None for station in runner._stations.values())


def programs(model: VoxCPMModel) -> dict[str, tuple[int, ...]]:
    """The sizes of each program."""
    runner = _runner(model)
    return {} if runner is None else {name: program.sizes for name, program in runner._programs.items()}


def replay(model: VoxCPMModel, program: str, size: int) -> None:
    """A recorded program once more, with what it was given last; the device is not waited for."""
    _runner(model).replay(program, size)


def num_refused(model: VoxCPMModel) -> int:
    """Launches of shapes that nothing was recorded for: none, ever."""
    runner = _runner(model)
    return 0 if runner is None else runner.num_refused


@contextlib.contextmanager
def eagerly(model: VoxCPMModel) -> Iterator[None]:
    """Every launch runs without its graph, on the same buffers."""
    runner = _runner(model)
    recorded = {key: station.replay for key, station in runner._stations.items()}
    try:
        for (name, _), station in runner._stations.items():
            station.replay = partial(runner._run, runner._programs[name], station)
        yield
    finally:
        for key, station in runner._stations.items():
            station.replay = recorded.get(key)


@torch.inference_mode()
def step_without_vae(model: VoxCPMModel, size: int) -> Callable[[], None]:
    """A graph of the whole step of so many rows, except that the codec decodes nothing; on CUDA only."""
    runner = _runner(model)
    program, station = runner._programs[DECODE], runner._stations[DECODE, size]
    decoder: Any = type(model._machinery.workshop.state.decoder)
    silence = torch.zeros(size, model.info.patch_samples, device=station.told.memory.device)
    step = decoder.step
    try:
        decoder.step = lambda self, slots, latents: silence
        recorded: Callable[[], None] = runner._graphs.record(lambda: runner._run(program, station))
    finally:
        decoder.step = step
    return recorded


def kernel_choices(model: VoxCPMModel) -> dict[str, str]:
    """Which form each operation takes at each shape, with times, and the reason where a form failed."""
    choices: dict[str, str] = model._network.kernels.choices()
    return choices


def device_memory(plan: Plan) -> dict[str, float]:
    """GiB: `used` on the device by everybody, `reserved` and `allocated` by this process at their most."""
    if plan.device == "cpu":
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "used_gib": round((total - free) / 2**30, 3),
        "reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 3),
        "allocated_gib": round(torch.cuda.max_memory_allocated() / 2**30, 3),
    }


def synchronize(plan: Plan) -> None:
    if plan.device != "cpu":
        torch.cuda.synchronize()


def _runner(model: VoxCPMModel) -> Any:
    """models.engine.runner.Runner, or None where the model has none."""
    return getattr(model, "runner", None)
