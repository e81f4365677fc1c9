"""The official package's streaming loop (the wheel `voxcpm`): as it is, or with what any port puts right first."""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.voxcpm.config import read_config
from models.voxcpm.vae import AudioVaeDecoder
from models.voxcpm.vae_stream import StreamingDecoder
from models.voxcpm.weights import Weights

from .peer import TEXT, Stopwatch, prompt_latents

PROMPT_TEXT = "The morning was quiet, and a light wind came in from the sea."
RIGHT_SIZED = 512


class Official:
    """`is_improved`: the codec keeps its state instead of decoding each patch three times, and the language models'
    caches hold 512 positions: each of their steps goes over the whole cache."""

    def __init__(
        self,
        checkpoint: Path,
        watch: Stopwatch | None,
        *,
        num_steps: int,
        is_improved: bool,
        device: str = "cpu",
        is_compiled: bool = False,
    ) -> None:
        """`is_compiled`: with its own torch.compile, on CUDA; `watch` None: its parts are not timed."""
        for name in ("torchaudio", "librosa"):  # imported by the wheel, and used to read sound files only
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            sys.modules[name] = module
        os.environ["TQDM_DISABLE"] = "1"
        from voxcpm.model.voxcpm import VoxCPMModel

        self._config = read_config(checkpoint)
        self._model = model = VoxCPMModel.from_local(str(checkpoint), optimize=is_compiled, device=device)
        self._num_steps = num_steps
        self._decoder: StreamingDecoder | None = None
        if is_improved:
            for stack in (model.base_lm, model.residual_lm):
                stack.setup_cache(1, RIGHT_SIZED, device, next(model.parameters()).dtype)
            with Weights(checkpoint, self._config) as weights:
                self._decoder = StreamingDecoder(AudioVaeDecoder(self._config.vae, weights), 1)
            model.audio_vae.decode = self._decode_last
        if watch is None:
            return
        watch.watch(model.base_lm, "forward_step", "base LM")
        watch.watch(model.residual_lm, "forward_step", "residual LM")
        watch.watch(model.feat_decoder, "forward", "DiT")
        watch.watch(model.feat_encoder, "forward", "LocEnc")
        watch.watch(model.audio_vae, "decode", "VAE")

    @property
    def tokenizer(self) -> Any:
        """Called with a text, it gives token ids; may be replaced."""
        return self._model.text_tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self._model.text_tokenizer = tokenizer

    def patches(self) -> Iterator[Tensor]:
        """Each patch's sound; the last three patches are decoded for it."""
        prompt = {"prompt_text": PROMPT_TEXT + " ", "audio_feat": prompt_latents(self._config)}
        if self._decoder is not None:
            self._decoder.reset(0)
        torch.manual_seed(1)
        for sound, *_ in self._model.generate_with_prompt_cache_streaming(
            TEXT, prompt, inference_timesteps=self._num_steps, cfg_value=2.0, retry_badcase=False
        ):
            yield sound

    def _decode_last(self, latents: Tensor) -> Tensor:
        """The last patch of latents [1, feat, T], stream-wise: [1, 1, samples]."""
        assert self._decoder is not None
        last = latents[:, :, -self._config.patch_size :].transpose(1, 2)
        return self._decoder.step([0], last)[:, None]
