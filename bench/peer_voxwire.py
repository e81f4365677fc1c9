"""Our slot model as a peer: one utterance in one slot, step by step as the engine asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from models.base import ModelOptions, Patch, SpeechParams
from models.voxcpm import linear
from models.voxcpm.config import read_config
from models.voxcpm.default_voices import DEFAULTS
from models.voxcpm.local import LocalDit, LocalStack
from models.voxcpm.model import VoxCPMModel, load_speech_model
from models.voxcpm.prompt_cache import PromptCache, checkpoint_fingerprint

from .peer import TEXT, Stopwatch, prompt_latents

WITHOUT = ("packing", "pruning", "hoisting")


class Voxwire:
    """`without`: leaves out some of what makes it fast, to see what each is worth.

    "packing": plain linear layers. "pruning": DiT's last layer computes all tokens. "hoisting": DiT's condition and
    time are computed in each evaluation.
    """

    def __init__(
        self,
        checkpoint: Path,
        watch: Stopwatch,
        *,
        dtype: Any,
        int8: bool,
        threads: int,
        num_steps: int,
        without: Sequence[str],
    ) -> None:
        _leave_out(without)
        with tempfile.TemporaryDirectory() as folder:
            cache = PromptCache(Path(folder), checkpoint_fingerprint(checkpoint))
            for voice in DEFAULTS:  # spoken by random weights they never end
                cache.write(voice.key(cache), prompt_latents(read_config(checkpoint)))
            options = ModelOptions(
                device="cpu",
                dtype=dtype,
                quantize="int8" if int8 else "none",
                num_threads=threads,
                cache=Path(folder),
            )
            self._model = model = load_speech_model(checkpoint, options)
        self._params = SpeechParams(seed=1, knobs={"inference_timesteps": num_steps, "cfg_value": 2.0})
        self._generation = 0
        watch_stages(watch, model)

    def patches(self) -> Iterator[None]:
        model = self._model
        if self._generation:
            model.close(0)
        self._generation += 1
        model.open(0, self._generation, model.info.default_voice, self._params)
        model.extend(0, TEXT)
        model.seal(0)
        while True:
            (result,) = model.submit([0]).patches()
            if not isinstance(result, Patch) or result.last:
                raise ValueError(f"expected a patch, and more of them, got {result}")
            yield


def watch_stages(watch: Stopwatch, model: VoxCPMModel) -> None:
    """Time the parts of its steps, on a CPU."""
    network = model._network
    watch.watch(network._base_lm, "forward", "base LM")
    watch.watch(network._residual_lm, "forward", "residual LM")
    watch.watch(network.solver, "begin", "DiT")
    watch.watch(network.solver, "step", "DiT")
    watch.watch(network._encoder, "forward", "LocEnc")
    watch.watch(model._machinery.workshop.state.decoder, "step", "VAE")


def _leave_out(parts: Sequence[str]) -> None:
    unknown = set(parts) - set(WITHOUT)
    if unknown:
        raise ValueError(f"expected some of {', '.join(WITHOUT)}, got {', '.join(unknown)}")
    if "packing" in parts:
        linear.can_pack = lambda dtype: False
    if "pruning" in parts:
        forward = LocalStack.forward

        def whole(
            self: LocalStack,
            x: Tensor,
            *,
            first: int,
            last: int,
            rows: Tensor | None = None,
            known: Tensor | None = None,
        ) -> Tensor:
            return forward(self, x, first=0, last=x.shape[1], rows=rows, known=known)[:, first:last]

        LocalStack.forward = whole  # type: ignore[method-assign]
    if "hoisting" in parts:
        velocity = LocalDit.velocity

        def repeated(self: LocalDit, x: Tensor, *arguments: Any) -> Tensor:
            self.condition(x)
            self.time.at(x.flatten()[:1].float())
            return velocity(self, x, *arguments)

        LocalDit.velocity = repeated  # type: ignore[method-assign, assignment]
