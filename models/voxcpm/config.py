"""`config.json` of a checkpoint: every size of the model, read strictly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base import ModelError
from .fields import Fields

ARCHITECTURES = ("voxcpm",)
"""`architecture` of the checkpoints that are served: v1 (0.5B) and v1.5. v2 says `voxcpm2`."""

AUDIO_START = 101
"""The control token between text and speech; a number fixed in training, not looked up in the tokenizer."""

_DTYPES = {
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float32": "float32",
    "fp32": "float32",
    "float16": "bfloat16",  # the same memory, and no overflow
    "fp16": "bfloat16",
}

MOST_LAYERS = 1024
MOST_RATE = 1024


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


V1_VAE = AudioVaeConfig(
    encoder_dim=128,
    encoder_rates=(2, 5, 8, 8),
    latent_dim=64,
    decoder_dim=1536,
    decoder_rates=(8, 8, 5, 2),
    sample_rate=16_000,
    depthwise=True,
)
"""The codec of v1 (0.5B), whose published config.json is older than the key `audio_vae_config`."""


def read_config(checkpoint: Path) -> VoxCPMConfig:
    """The configuration of the checkpoint in that directory. Raises ModelError, naming file and field.

    The original fills in class defaults for what the file leaves out. That is v1 for nearly all of them, and a v1.5
    file that lacks a key would silently be read as half a v1: here a missing key is an error. One is not: the first
    release had no `audio_vae_config`, so a file of v1's patch and latent sizes without it means v1's codec.
    """
    fields = Fields.read(checkpoint / "config.json")
    config = _config(fields)
    for error in _conflicts(fields, config):
        raise error
    return config


def config_problems(checkpoint: Path) -> list[str]:
    """All that is wrong with the file, a sentence each; those of sizes that do not fit together, if nothing else is."""
    path = checkpoint / "config.json"
    problems: list[str] = []
    try:
        _architecture(Fields.read(path))  # of another one, the rest need not be as ours
        fields = Fields.read(path, problems)
        config = _config(fields)
        if not problems:
            problems += map(str, _conflicts(fields, config))
    except ModelError as error:
        if not problems:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def _architecture(fields: Fields) -> str:
    return fields.choice("architecture", "voxcpm", ARCHITECTURES)


def _config(fields: Fields) -> VoxCPMConfig:
    architecture = _architecture(fields)
    fields.settled("dit_mean_mode", False)
    lm_fields = fields.object("lm_config")
    # Of both branches of a block, before it is divided by the root of the stack's own depth; inactive without muP.
    scale_depth, scale_emb = lm_fields.number("scale_depth"), lm_fields.number("scale_emb")
    use_mup = lm_fields.flag("use_mup", True)
    depth = scale_depth if use_mup else None
    lm = _lm(lm_fields, depth)
    return VoxCPMConfig(
        architecture=architecture,
        lm=lm,
        residual_lm=_like(lm, depth, num_layers=fields.integer("residual_lm_num_layers", most=MOST_LAYERS)),
        encoder=_local(lm, depth, fields.object("encoder_config")),
        dit=_local(lm, depth, fields.object("dit_config")),
        vocab_size=lm_fields.integer("vocab_size", least=AUDIO_START + 1),
        embedding_scale=scale_emb if use_mup else 1.0,
        patch_size=fields.integer("patch_size"),
        feat_dim=fields.integer("feat_dim"),
        fsq_dim=fields.integer("scalar_quantization_latent_dim"),
        fsq_scale=fields.integer("scalar_quantization_scale"),
        max_length=fields.integer("max_length"),
        dtype=_DTYPES[fields.choice("dtype", "bfloat16", tuple(_DTYPES))],
        vae=_vae(fields),
    )


def _lm(fields: Fields, scale_depth: float | None) -> Stack:
    hidden_size = fields.integer("hidden_size")
    num_heads = fields.integer("num_attention_heads")
    num_layers = fields.integer("num_hidden_layers", most=MOST_LAYERS)
    fields.settled("no_rope", False)
    scaling = fields.object("rope_scaling")
    longest = fields.integer("max_position_embeddings", least=2)
    original = scaling.integer("original_max_position_embeddings", least=2)
    return Stack(
        hidden_size=hidden_size,
        ffn_size=fields.integer("intermediate_size"),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=fields.integer("num_key_value_heads"),
        head_dim=_head_dim(fields, hidden_size, num_heads),
        rms_norm_eps=fields.number("rms_norm_eps"),
        residual_scale=_residual_scale(scale_depth, num_layers),
        rope_theta=fields.number("rope_theta"),
        # The list is chosen by the configured length, never by the actual one, as the original does.
        rope_factors=scaling.numbers("long_factor" if longest > original else "short_factor"),
        rope_amplitude=math.sqrt(1 + math.log(longest / original) / math.log(original)),
    )


def _local(lm: Stack, scale_depth: float | None, fields: Fields) -> Stack:
    """LocEnc or LocDiT: its own widths; everything else, the number of key-value heads included, is the LM's."""
    hidden_size = fields.integer("hidden_dim")
    num_heads = fields.integer("num_heads")
    return _like(
        lm,
        scale_depth,
        hidden_size=hidden_size,
        ffn_size=fields.integer("ffn_dim"),
        num_layers=fields.integer("num_layers", most=MOST_LAYERS),
        num_heads=num_heads,
        head_dim=_head_dim(fields, hidden_size, num_heads),
    )


def _like(lm: Stack, scale_depth: float | None, *, num_layers: int, **sizes: Any) -> Stack:
    """A stack with the LM's constants, but for the sizes given."""
    return replace(lm, num_layers=num_layers, residual_scale=_residual_scale(scale_depth, num_layers), **sizes)


def _residual_scale(scale_depth: float | None, num_layers: int) -> float:
    return 1.0 if scale_depth is None else scale_depth / math.sqrt(num_layers)


def _head_dim(fields: Fields, hidden_size: int, num_heads: int) -> int:
    if "kv_channels" in fields:
        return fields.integer("kv_channels")
    return hidden_size // num_heads


def _vae(fields: Fields) -> AudioVaeConfig:
    is_v1 = fields.integer("patch_size") == 2 and fields.integer("feat_dim") == V1_VAE.latent_dim
    if is_v1 and "audio_vae_config" not in fields:
        return V1_VAE
    vae = fields.object("audio_vae_config")
    vae.settled("depthwise", True)
    vae.settled("use_noise_block", False)
    return AudioVaeConfig(
        encoder_dim=vae.integer("encoder_dim"),
        encoder_rates=vae.integers("encoder_rates", most=MOST_RATE),
        latent_dim=vae.integer("latent_dim"),
        decoder_dim=vae.integer("decoder_dim"),
        decoder_rates=vae.integers("decoder_rates", most=MOST_RATE),
        sample_rate=vae.integer("sample_rate"),
        depthwise=True,
    )


def _conflicts(fields: Fields, config: VoxCPMConfig) -> Iterator[ModelError]:
    """What the sizes must have in common; each would otherwise fail deep inside, without a name."""
    for name, stack in (("lm_config", config.lm), ("encoder_config", config.encoder), ("dit_config", config.dit)):
        if stack.num_heads % stack.num_kv_heads:
            yield fields.error(
                f"'{name}': a number of heads that {stack.num_kv_heads} key-value heads divide was expected, "
                f"but {stack.num_heads} came"
            )
        if "kv_channels" not in fields.object(name) and stack.hidden_size % stack.num_heads:
            yield fields.error(
                f"'{name}': a width that {stack.num_heads} heads divide was expected, but {stack.hidden_size} came"
            )
        elif stack.head_dim != 2 * len(stack.rope_factors):
            yield fields.error(
                f"'{name}': a head dimension of twice the {len(stack.rope_factors)} rope factors was expected, "
                f"but {stack.head_dim} came"
            )
    if config.max_length > (num_positions := fields.object("lm_config").integer("max_position_embeddings")):
        yield fields.unexpected("max_length", f"at most lm_config.max_position_embeddings, {num_positions}")
    if config.dit.hidden_size % 2 or config.dit.hidden_size < 4:  # half of it sines of the time, half cosines
        yield fields.object("dit_config").unexpected("hidden_dim", "even, and 4 or more")
    vae = config.vae
    if vae.latent_dim != config.feat_dim:
        yield fields.object("audio_vae_config").unexpected("latent_dim", f"feat_dim, {config.feat_dim}")
    if math.prod(vae.encoder_rates) != vae.hop_samples:
        expected = f"of the product of encoder_rates, {math.prod(vae.encoder_rates)}"
        yield fields.object("audio_vae_config").unexpected("decoder_rates", expected)
    if vae.decoder_dim % 2 ** len(vae.decoder_rates):
        expected = f"divisible by 2 to the {len(vae.decoder_rates)}"
        yield fields.object("audio_vae_config").unexpected("decoder_dim", expected)
