"""The tensors of a checkpoint: which there must be, and each in its turn, so that no file is in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..base import ModelError
from .config import AudioVaeConfig, Stack, VoxCPMConfig
from .tensor_file import TensorFile, refuse

MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
"""The transformer stacks, the preferred format first."""

VAE_FILES = ("audiovae.safetensors", "audiovae.pth")
"""The codec, whose names carry no prefix in a file of its own."""

VAE_PREFIX = "audio_vae."

Shape = tuple[int, ...]


def expected_tensors(config: VoxCPMConfig) -> dict[str, Shape]:
    """Name and shape of every tensor that the checkpoint holds, those of the codec under `audio_vae.`."""
    return dict(_model_tensors(config)) | {VAE_PREFIX + name: shape for name, shape in _vae_tensors(config.vae)}


class Weights:
    """A checkpoint's tensors, all names, shapes and dtypes checked when it is opened, by the files' headers.

    Raises ModelError that names the file, the tensor, what was expected and what came. Nothing is overlooked, by
    choice: the original fills what it does not find with noise, without a word.
    """

    def __init__(self, checkpoint: Path, config: VoxCPMConfig) -> None:
        self._files = open_files(checkpoint)
        try:
            refuse(list(tensor_problems(self._files, config)))
        except BaseException:
            self.close()
            raise

    def take(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor on the CPU, in that dtype or the one it is stored in; its values are finite. Nothing is kept here.

        With a dtype it is converted on its way out of the file, which leaves no holes in the process's memory.
        Raises ModelError for a NaN or an infinity.
        """
        own_name = name.removeprefix(VAE_PREFIX) if len(self._files) > 1 else name
        file = self._files[-1 if name.startswith(VAE_PREFIX) else 0]
        return file.read(own_name, dtype)

    def close(self) -> None:
        for file in self._files:
            file.close()

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_files(checkpoint: Path) -> list[TensorFile]:
    """The model's file and, unless the codec lies in it, the codec's own, which is preferred. Raises ModelError."""
    model = first_of(checkpoint, MODEL_FILES)
    if model is None:
        raise ModelError(f"{checkpoint}: {MODEL_FILES[0]} or {MODEL_FILES[1]} was expected, but there is neither.")
    vae = first_of(checkpoint, VAE_FILES)
    file = TensorFile(model)
    if vae is not None:
        return [file, TensorFile(vae)]
    if any(name.startswith(VAE_PREFIX) for name in file.stored):
        return [file]
    raise ModelError(
        f"{checkpoint}: {VAE_FILES[0]} or {VAE_FILES[1]} was expected, but there is neither, "
        f"and {model.name} holds no codec."
    )


def tensor_problems(files: Sequence[TensorFile], config: VoxCPMConfig) -> Iterator[str]:
    """What is missing, misshapen, of another dtype or not expected in the files there are, a sentence each."""
    expected = expected_tensors(config)
    vae_file = next((file for file in files if file.path.name in VAE_FILES), None)
    for file in files:
        if file is vae_file:
            own = {name.removeprefix(VAE_PREFIX): shape for name, shape in expected.items() if _is_vae(name)}
        elif vae_file is not None or not any(map(_is_vae, file.stored)):
            own = {name: shape for name, shape in expected.items() if not _is_vae(name)}
        else:
            own = expected
        yield from file.problems(own)


def first_of(checkpoint: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the files that is there."""
    return next((checkpoint / name for name in names if (checkpoint / name).exists()), None)


def _is_vae(name: str) -> bool:
    return name.startswith(VAE_PREFIX)


def _model_tensors(config: VoxCPMConfig) -> Iterator[tuple[str, Shape]]:
    lm, encoder, dit = config.lm.hidden_size, config.encoder.hidden_size, config.dit.hidden_size
    yield "base_lm.embed_tokens.weight", (config.vocab_size, lm)
    yield from _stack_tensors("base_lm", config.lm)
    yield from _stack_tensors("residual_lm", config.residual_lm)
    yield "feat_encoder.special_token", (1, 1, 1, encoder)
    yield from _linear_tensors("feat_encoder.in_proj", encoder, config.feat_dim)
    yield from _stack_tensors("feat_encoder.encoder", config.encoder)
    yield from _linear_tensors("feat_decoder.estimator.in_proj", dit, config.feat_dim)
    yield from _linear_tensors("feat_decoder.estimator.cond_proj", dit, config.feat_dim)
    yield from _linear_tensors("feat_decoder.estimator.out_proj", config.feat_dim, dit)
    for clock in ("time_mlp", "delta_time_mlp"):
        for linear in ("linear_1", "linear_2"):
            yield from _linear_tensors(f"feat_decoder.estimator.{clock}.{linear}", dit, dit)
    yield from _stack_tensors("feat_decoder.estimator.decoder", config.dit)
    yield from _linear_tensors("fsq_layer.in_proj", config.fsq_dim, lm)
    yield from _linear_tensors("fsq_layer.out_proj", lm, config.fsq_dim)
    yield from _linear_tensors("enc_to_lm_proj", lm, encoder)
    yield from _linear_tensors("lm_to_dit_proj", dit, lm)
    yield from _linear_tensors("res_to_dit_proj", dit, lm)
    yield from _linear_tensors("stop_proj", lm, lm)
    yield "stop_head.weight", (2, lm)


def _stack_tensors(prefix: str, stack: Stack) -> Iterator[tuple[str, Shape]]:
    hidden, ffn = stack.hidden_size, stack.ffn_size
    query, key = stack.num_heads * stack.head_dim, stack.num_kv_heads * stack.head_dim
    for number in range(stack.num_layers):
        layer = f"{prefix}.layers.{number}"
        yield f"{layer}.self_attn.q_proj.weight", (query, hidden)
        yield f"{layer}.self_attn.k_proj.weight", (key, hidden)
        yield f"{layer}.self_attn.v_proj.weight", (key, hidden)
        yield f"{layer}.self_attn.o_proj.weight", (hidden, query)
        yield f"{layer}.mlp.gate_proj.weight", (ffn, hidden)
        yield f"{layer}.mlp.up_proj.weight", (ffn, hidden)
        yield f"{layer}.mlp.down_proj.weight", (hidden, ffn)
        yield f"{layer}.input_layernorm.weight", (hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,)
    yield f"{prefix}.norm.weight", (hidden,)


def _linear_tensors(name: str, num_out: int, num_in: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (num_out, num_in)
    yield f"{name}.bias", (num_out,)


def _vae_tensors(vae: AudioVaeConfig) -> Iterator[tuple[str, Shape]]:
    """The codec's names follow from nn.Sequential: a number for each module, those without tensors counted too."""
    width = vae.encoder_dim
    yield from _conv_tensors("encoder.block.0", width, 1, 7)
    for number, rate in enumerate(vae.encoder_rates, start=1):
        block = f"encoder.block.{number}.block"
        for unit in range(3):
            yield from _residual_unit_tensors(f"{block}.{unit}", width)
        yield f"{block}.3.alpha", (1, width, 1)
        yield from _conv_tensors(f"{block}.4", 2 * width, width, 2 * rate)
        width *= 2
    yield from _conv_tensors("encoder.fc_mu", vae.latent_dim, width, 3)
    yield from _conv_tensors("encoder.fc_logvar", vae.latent_dim, width, 3)

    yield from _conv_tensors("decoder.model.0", vae.latent_dim, 1, 7)  # depthwise
    yield from _conv_tensors("decoder.model.1", vae.decoder_dim, vae.latent_dim, 1)
    width = vae.decoder_dim
    for number, rate in enumerate(vae.decoder_rates, start=2):
        block = f"decoder.model.{number}.block"
        yield f"{block}.0.alpha", (1, width, 1)
        # Transposed: the first dimension, over which weight norm has its gains, is that of the input channels.
        yield f"{block}.1.bias", (width // 2,)
        yield f"{block}.1.weight_g", (width, 1, 1)
        yield f"{block}.1.weight_v", (width, width // 2, 2 * rate)
        width //= 2
        for unit in range(2, 5):
            yield from _residual_unit_tensors(f"{block}.{unit}", width)
    last = 2 + len(vae.decoder_rates)
    yield f"decoder.model.{last}.alpha", (1, width, 1)
    yield from _conv_tensors(f"decoder.model.{last + 1}", 1, width, 7)


def _residual_unit_tensors(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.block.0.alpha", (1, width, 1)
    yield from _conv_tensors(f"{name}.block.1", width, 1, 7)  # depthwise
    yield f"{name}.block.2.alpha", (1, width, 1)
    yield from _conv_tensors(f"{name}.block.3", width, width, 1)


def _conv_tensors(name: str, num_out: int, num_in: int, kernel: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.bias", (num_out,)
    yield f"{name}.weight_g", (num_out, 1, 1)
    yield f"{name}.weight_v", (num_out, num_in, kernel)
