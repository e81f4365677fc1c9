"""The wheel `voxcpm` with ears on it: what goes through its parts while it speaks. For the oracle's process only."""

from __future__ import annotations

import importlib.machinery
import json
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .questions import Speech, Tokens

MIN_PATCHES = 2  # the wheel's min_len: the stop flag counts after one patch more


def stub_modules() -> None:
    """Stand-ins for what the wheel imports and only reads sound files with; to be made before its first import."""
    for name in ("torchaudio", "librosa"):
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # transformers looks for it
        sys.modules[name] = module
    sys.modules["torchaudio"].load = _load_audio  # type: ignore[attr-defined]


def _load_audio(path: str) -> tuple[torch.Tensor, int]:
    with np.load(path) as file:
        return torch.from_numpy(file["audio"])[None], int(file["rate"])


class Official:
    """The official model of a checkpoint, with an adapter or none."""

    def __init__(self, checkpoint: Path, adapter: Path | None = None) -> None:
        from voxcpm.model.voxcpm import LoRAConfig, VoxCPMModel

        lora = None
        if adapter is not None:
            lora = LoRAConfig(**json.loads((adapter / "lora_config.json").read_text())["lora_config"])
        self._model = VoxCPMModel.from_local(str(checkpoint), optimize=False, device="cpu", lora_config=lora)
        self._check_names(checkpoint)
        if adapter is not None:
            loaded, skipped = self._model.load_lora_weights(str(adapter))
            wanted = [name for name, _ in self._model.named_parameters() if "lora_" in name]
            if skipped or set(loaded) != set(wanted):
                raise ValueError(f"the adapter in {adapter} does not fit the official model")

    def _check_names(self, checkpoint: Path) -> None:
        """The wheel leaves a tensor random, and says nothing, when its name is missing from the files."""
        from safetensors.torch import load_file

        names = {f"audio_vae.{name}" for name in torch.load(checkpoint / "audiovae.pth")["state_dict"]}
        if (checkpoint / "model.safetensors").exists():
            names |= load_file(checkpoint / "model.safetensors").keys()
        else:
            names |= torch.load(checkpoint / "pytorch_model.bin")["state_dict"].keys()
        differing = names ^ {name for name in self._model.state_dict() if "lora_" not in name}
        if differing:
            raise ValueError(f"{checkpoint} and the official model differ in {sorted(differing)}")

    def tokens(self, question: Tokens) -> dict[str, NDArray[Any]]:
        ids = [self._model.text_tokenizer(text) for text in question.texts]
        ends = np.cumsum([len(each) for each in ids])
        return {"ids": np.asarray([i for each in ids for i in each], np.int64), "ends": ends.astype(np.int64)}

    def speech(self, question: Speech) -> dict[str, NDArray[Any]]:
        model, found = self._model, {}
        cache = None
        if question.prompt_audio is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "prompt.npz"
                np.savez(path, audio=question.prompt_audio, rate=model.sample_rate)
                cache = model.build_prompt_cache(question.prompt_text, str(path))
            found["prompt_latents"] = cache["audio_feat"]
        arguments: dict[str, Any] = {
            "target_text": question.text,
            "prompt_cache": cache,
            "min_len": MIN_PATCHES,
            "max_len": len(question.noise),
            "inference_timesteps": question.num_steps,
            "cfg_value": question.cfg_value,
        }
        with _Ears(model) as ears, _noise(question.noise):
            if question.streaming:
                chunks = [chunk[0] for chunk, _, _ in model.generate_with_prompt_cache_streaming(**arguments)]
                return {"chunks": torch.stack(chunks).numpy()}
            found["audio"] = model.generate_with_prompt_cache(**arguments)[0][0]
        found |= ears.heard(question.num_detailed)
        stop = found["stop_logits"].argmax(-1)  # [patches]
        found["stopped"] = torch.tensor(len(stop) > MIN_PATCHES + 1 and bool(stop[-1]))
        return {name: value.detach().numpy() for name, value in found.items()}


class _Ears:
    """Forward hooks on the parts of a model, and what they heard."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._calls: dict[str, list[Any]] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> _Ears:
        parts = ("base_lm", "base_lm.embed_tokens", "residual_lm", "fsq_layer", "stop_head")
        for name in (*parts, "feat_decoder", "feat_decoder.estimator"):
            self._calls[name] = []
            part = self._model.get_submodule(name)
            self._handles.append(part.register_forward_hook(self._hook(self._calls[name]), with_kwargs=True))
        return self

    @staticmethod
    def _hook(calls: list[Any]) -> Any:
        def note(_module: Any, arguments: Any, keywords: Any, output: Any) -> None:
            calls.append((arguments, keywords, output))

        return note

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def heard(self, num_detailed: int) -> dict[str, torch.Tensor]:
        calls = self._calls
        solves = calls["feat_decoder"]
        found = {
            "mu": torch.cat([keywords["mu"] for _, keywords, _ in solves]),
            "latents": torch.cat([output for _, _, output in solves]).transpose(1, 2).contiguous(),
            "stop_logits": torch.cat([output for _, _, output in calls["stop_head"]]),
        }
        if not num_detailed:
            return found
        found |= {
            "ids": calls["base_lm.embed_tokens"][0][0][0][0].long(),
            "prefill_base": calls["base_lm"][0][2][0][0],
            "prefill_residual": calls["residual_lm"][0][2][0][0],
            "prefill_fsq": calls["fsq_layer"][0][2][0],
        }
        velocities = calls["feat_decoder.estimator"]
        velocities = velocities[: num_detailed * (len(velocities) // len(solves))]
        x, mu, t, cond, _ = (torch.stack(each) for each in zip(*(call[0] for call in velocities), strict=True))
        if not (torch.equal(x[:, 0], x[:, 1]) and torch.equal(cond[:, 0], cond[:, 1]) and not mu[:, 1].any()):
            raise ValueError("the official model's batch is not the one that is written about here")
        found |= {"dit_x": x[:, 0], "dit_mu": mu[:, 0], "dit_t": t[:, 0], "dit_cond": cond[:, 0]}
        found["dit_v"] = torch.stack([output for _, _, output in velocities])
        return found


@contextmanager
def _noise(noise: NDArray[np.float32]) -> Iterator[None]:
    """Gives out this noise, one patch a time, where the wheel draws its only random numbers."""
    drawn = iter(torch.from_numpy(noise))
    randn = torch.randn

    def given(*_: Any, **__: Any) -> torch.Tensor:
        return next(drawn)[None]

    torch.randn = given  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.randn = randn
