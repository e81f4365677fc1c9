"""`config.json` of a checkpoint: every size of the model, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import ModelError

ARCHITECTURES = ("voxcpm",)
"""`architecture` of the checkpoints that are served: v1 (0.5B) and v1.5. v2 says `voxcpm2`."""

AUDIO_START = 101
"""The control token between text and speech; a number fixed in training, not looked up in the tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One of the four transformer stacks (MiniCPM-4 blocks: GQA without biases, SwiGLU, RMSNorm)."""

    hidden_size: int
    ffn_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    residual_scale: float  # of both branches of a block; 1.0 but for muP checkpoints
    rope_theta: float
    rope_factors: tuple[float, ...]  # [head_dim / 2], LongRoPE
    rope_amplitude: float
    use_rope: bool = True

    @property
    def qkv_size(self) -> int:
        """Output width of q, k and v in one linear layer."""
        return (self.num_heads + 2 * self.num_kv_heads) * self.head_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioVaeConfig:
    """The codec between latents and samples. Class defaults of the original are v1's (16 kHz)."""

    encoder_dim: int
    encoder_rates: tuple[int, ...]
    latent_dim: int
    decoder_dim: int
    decoder_rates: tuple[int, ...]
    sample_rate: int  # Hz
    depthwise: bool

    @property
    def hop_samples(self) -> int:
        """Samples of one latent: 1764 for v1.5."""
        return math.prod(self.decoder_rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxCPMConfig:
    """All of a checkpoint's sizes."""

    architecture: str
    lm: Stack
    residual_lm: Stack
    encoder: Stack  # LocEnc
    dit: Stack  # LocDiT
    vocab_size: int
    embedding_scale: float  # 1.0 but for muP checkpoints
    patch_size: int  # latents in a patch
    feat_dim: int  # of a latent
    fsq_dim: int
    fsq_scale: int
    max_length: int  # positions: text tokens and patches
    dtype: str
    vae: AudioVaeConfig

    @property
    def sample_rate(self) -> int:
        return self.vae.sample_rate

    @property
    def patch_samples(self) -> int:
        """Samples of one patch: 7056 for v1.5."""
        return self.patch_size * self.vae.hop_samples


def read_config(checkpoint: Path) -> VoxCPMConfig:
    """The configuration of the checkpoint in that directory. Raises ModelError, naming file and field."""
    path = checkpoint / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"A readable {path} was expected, but it is not: {error.strerror}.") from None
    except ValueError as error:
        raise ModelError(f"{path}: JSON was expected, but it is not: {error}.") from None
    return _Reader(path, values).config()


class _Reader:
    """Takes fields out of the parsed file; whatever is missing or of another type is named with its path in it."""

    def __init__(self, path: Path, values: Any) -> None:
        self._path = path
        if not isinstance(values, dict):
            raise self._error(f"an object was expected, but a {type(values).__name__} came")
        self._values: Mapping[str, Any] = values

    def config(self) -> VoxCPMConfig:
        values = self._values
        architecture = str(values.get("architecture", "voxcpm")).lower()
        if architecture not in ARCHITECTURES:
            served = ", ".join(ARCHITECTURES)
            raise self._error(f"an architecture that is served ({served}) was expected, but {architecture!r} came")
        lm_values = self._object(values, "lm_config")
        lm = self._lm(lm_values)
        use_mup = self._flag(lm_values, "use_mup", True, "lm_config.")
        vae = self._vae(self._object(values, "audio_vae_config"))
        encoder, dit = self._object(values, "encoder_config"), self._object(values, "dit_config")
        if values.get("dit_mean_mode", False):
            raise self._error("'dit_mean_mode' was expected to be false, but true came")
        config = VoxCPMConfig(
            architecture=architecture,
            lm=lm,
            residual_lm=self._like(lm, num_layers=self._integer(values, "residual_lm_num_layers")),
            encoder=self._local(lm, encoder, "encoder_config."),
            dit=self._local(lm, dit, "dit_config."),
            vocab_size=self._integer(lm_values, "vocab_size", "lm_config."),
            embedding_scale=self._number(lm_values, "scale_emb", "lm_config.") if use_mup else 1.0,
            patch_size=self._integer(values, "patch_size"),
            feat_dim=self._integer(values, "feat_dim"),
            fsq_dim=self._integer(values, "scalar_quantization_latent_dim"),
            fsq_scale=self._integer(values, "scalar_quantization_scale"),
            max_length=self._integer(values, "max_length"),
            dtype=self._dtype(values),
            vae=vae,
        )
        self._check(config)
        return config

    def _lm(self, values: Mapping[str, Any]) -> Stack:
        where = "lm_config."
        hidden_size = self._integer(values, "hidden_size", where)
        num_layers = self._integer(values, "num_hidden_layers", where)
        num_heads = self._integer(values, "num_attention_heads", where)
        scaling = self._object(values, "rope_scaling", where)
        longest = self._integer(values, "max_position_embeddings", where)
        original = self._integer(scaling, "original_max_position_embeddings", where + "rope_scaling.")
        # The list is chosen by the configured length, never by the actual one, as the original does.
        factors = self._numbers(scaling, "long_factor" if longest > original else "short_factor", where)
        use_mup = self._flag(values, "use_mup", True, where)
        scale_depth = self._number(values, "scale_depth", where)
        return Stack(
            hidden_size=hidden_size,
            ffn_size=self._integer(values, "intermediate_size", where),
            num_layers=num_layers,
            num_heads=num_heads,
            num_kv_heads=self._integer(values, "num_key_value_heads", where),
            head_dim=self._head_dim(values, hidden_size, num_heads, where),
            rms_norm_eps=self._number(values, "rms_norm_eps", where),
            residual_scale=scale_depth / math.sqrt(num_layers) if use_mup else 1.0,
            rope_theta=self._number(values, "rope_theta", where),
            rope_factors=factors,
            rope_amplitude=math.sqrt(1 + math.log(longest / original) / math.log(original)),
        )

    def _local(self, lm: Stack, values: Mapping[str, Any], where: str) -> Stack:
        """LocEnc or LocDiT: its own widths; everything else, the number of key-value heads included, is the LM's."""
        hidden_size = self._integer(values, "hidden_dim", where)
        num_heads = self._integer(values, "num_heads", where)
        return self._like(
            lm,
            hidden_size=hidden_size,
            ffn_size=self._integer(values, "ffn_dim", where),
            num_layers=self._integer(values, "num_layers", where),
            num_heads=num_heads,
            head_dim=self._head_dim(values, hidden_size, num_heads, where),
        )

    @staticmethod
    def _like(lm: Stack, *, num_layers: int, **sizes: int) -> Stack:
        """A stack with the LM's constants; muP scales the residual branches by each stack's own depth."""
        scale = lm.residual_scale * math.sqrt(lm.num_layers / num_layers) if lm.residual_scale != 1.0 else 1.0
        values = {name: getattr(lm, name) for name in Stack.__dataclass_fields__}
        return Stack(**{**values, **sizes, "num_layers": num_layers, "residual_scale": scale})

    def _vae(self, values: Mapping[str, Any]) -> AudioVaeConfig:
        where = "audio_vae_config."
        if self._flag(values, "use_noise_block", False, where):
            raise self._error("'audio_vae_config.use_noise_block' was expected to be false, but true came")
        return AudioVaeConfig(
            encoder_dim=self._integer(values, "encoder_dim", where),
            encoder_rates=self._integers(values, "encoder_rates", where),
            latent_dim=self._integer(values, "latent_dim", where),
            decoder_dim=self._integer(values, "decoder_dim", where),
            decoder_rates=self._integers(values, "decoder_rates", where),
            sample_rate=self._integer(values, "sample_rate", where),
            depthwise=self._flag(values, "depthwise", True, where),
        )

    def _check(self, config: VoxCPMConfig) -> None:
        """What the sizes must have in common; each would otherwise fail deep inside, without a name."""
        for name, stack in (("lm_config", config.lm), ("encoder_config", config.encoder), ("dit_config", config.dit)):
            if stack.num_heads % stack.num_kv_heads:
                raise self._error(
                    f"{name}: a number of heads that {stack.num_kv_heads} key-value heads divide was expected, "
                    f"but {stack.num_heads} came"
                )
            if stack.head_dim != 2 * len(stack.rope_factors):
                raise self._error(
                    f"{name}: a head dimension of twice the {len(stack.rope_factors)} rope factors was expected, "
                    f"but {stack.head_dim} came"
                )
        vae = config.vae
        if vae.latent_dim != config.feat_dim:
            raise self._error(
                f"'audio_vae_config.latent_dim' equal to feat_dim {config.feat_dim} was expected, "
                f"but {vae.latent_dim} came"
            )
        if math.prod(vae.encoder_rates) != vae.hop_samples:
            raise self._error("encoder_rates and decoder_rates of one product were expected, but they differ")
        if vae.decoder_dim % 2 ** len(vae.decoder_rates):
            raise self._error(
                f"'audio_vae_config.decoder_dim' divisible by 2 to the {len(vae.decoder_rates)} was expected, "
                f"but {vae.decoder_dim} came"
            )
        if config.vocab_size <= AUDIO_START:
            raise self._error(f"'lm_config.vocab_size' above {AUDIO_START} was expected, but {config.vocab_size} came")

    def _dtype(self, values: Mapping[str, Any]) -> str:
        known = {"bfloat16": "bfloat16", "bf16": "bfloat16", "float32": "float32", "fp32": "float32"}
        known |= {"float16": "bfloat16", "fp16": "bfloat16"}  # the same memory, and no overflow
        value = values.get("dtype", "bfloat16")
        if value not in known:
            raise self._error(f"'dtype' bfloat16 or float32 was expected, but {value!r} came")
        return known[value]

    def _head_dim(self, values: Mapping[str, Any], hidden_size: int, num_heads: int, where: str) -> int:
        if values.get("kv_channels") is not None:
            return self._integer(values, "kv_channels", where)
        if hidden_size % num_heads:
            raise self._error(f"'{where}' hidden size {hidden_size} divisible by {num_heads} heads was expected")
        return hidden_size // num_heads

    def _field(self, values: Mapping[str, Any], name: str, where: str) -> Any:
        if name not in values:
            raise self._error(f"the key '{where}{name}' was expected, but it is missing")
        return values[name]

    def _object(self, values: Mapping[str, Any], name: str, where: str = "") -> Mapping[str, Any]:
        value = self._field(values, name, where)
        if not isinstance(value, dict):
            raise self._error(f"'{where}{name}' was expected to be an object, but {value!r} came")
        return value

    def _integer(self, values: Mapping[str, Any], name: str, where: str = "") -> int:
        value = self._field(values, name, where)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise self._error(f"'{where}{name}' was expected to be a positive integer, but {value!r} came")
        return value

    def _number(self, values: Mapping[str, Any], name: str, where: str) -> float:
        value = self._field(values, name, where)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self._error(f"'{where}{name}' was expected to be a positive number, but {value!r} came")
        return float(value)

    def _numbers(self, values: Mapping[str, Any], name: str, where: str) -> tuple[float, ...]:
        value = self._field(values, name, where)
        if not isinstance(value, list) or not all(isinstance(each, int | float) and each > 0 for each in value):
            raise self._error(f"'{where}{name}' was expected to be a list of positive numbers, but {value!r} came")
        return tuple(float(each) for each in value)

    def _integers(self, values: Mapping[str, Any], name: str, where: str) -> tuple[int, ...]:
        value = self._field(values, name, where)
        if not isinstance(value, list) or not value or not all(isinstance(each, int) and each > 0 for each in value):
            raise self._error(f"'{where}{name}' was expected to be a list of positive integers, but {value!r} came")
        return tuple(value)

    def _flag(self, values: Mapping[str, Any], name: str, default: bool, where: str) -> bool:
        value = values.get(name, default)
        if not isinstance(value, bool):
            raise self._error(f"'{where}{name}' was expected to be true or false, but {value!r} came")
        return value

    def _error(self, sentence: str) -> ModelError:
        return ModelError(f"{self._path}: {sentence}.")
