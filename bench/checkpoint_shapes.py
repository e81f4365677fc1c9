"""The sizes of the checkpoints that bench.checkpoint writes: the published ones, and tiny ones for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROPE_FACTORS = (
    1.0004360675811768, 1.0668443441390991, 1.1631425619125366, 1.3025742769241333, 1.5040205717086792,
    1.7941505908966064, 2.2101221084594727, 2.802666664123535, 3.6389970779418945, 4.804192543029785,
    6.39855432510376, 8.527148246765137, 11.277542114257812, 14.684998512268066, 18.69317054748535,
    23.13019371032715, 27.72362518310547, 32.1606559753418, 36.168827056884766, 39.57627868652344,
    42.32667541503906, 44.45526885986328, 46.04962921142578, 47.21482849121094, 48.05115509033203,
    48.64370346069336, 49.05967712402344, 49.34980392456055, 49.551246643066406, 49.69068145751953,
    49.78697967529297, 49.85338592529297,
)  # fmt: skip
"""LongRoPE's factors of the published v1.5 (its config.json); there, the long and the short list are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalShape:
    """LocEnc or LocDiT."""

    hidden: int
    ffn: int
    heads: int
    layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointShape:
    """What a config.json says, in few words; `config()` spells it out."""

    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    layers: int
    residual_layers: int
    vocab_size: int
    rope_factors: tuple[float, ...]
    long_rope_factors: tuple[float, ...] | None = None  # None: the same
    max_position: int
    original_max_position: int | None = None  # None: the same
    head_dim: int | None = None  # kv_channels of all four stacks; None: hidden / heads
    use_mup: bool = False
    encoder: LocalShape
    dit: LocalShape
    patch: int  # latents in a patch
    feat: int  # of a latent
    fsq: int
    vae_encoder_dim: int
    vae_decoder_dim: int
    vae_rates: tuple[int, ...]  # of the encoder; the decoder has them reversed
    sample_rate: int  # Hz
    max_length: int
    byte_fallback: bool = True  # of the tokenizer; without it, unknown characters become <unk>

    def config(self, dtype: str) -> dict[str, Any]:
        """config.json in the official layout. `dtype` is that of the weights, float32 or bfloat16."""
        channels = {} if self.head_dim is None else {"kv_channels": self.head_dim}
        return {
            "architecture": "voxcpm",
            "lm_config": {
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_size": self.hidden,
                "intermediate_size": self.ffn,
                "max_position_embeddings": self.max_position,
                "num_attention_heads": self.heads,
                "num_hidden_layers": self.layers,
                "num_key_value_heads": self.kv_heads,
                "rms_norm_eps": 1e-5,
                "rope_theta": 10000,
                "rope_scaling": {
                    "type": "longrope",
                    "long_factor": list(self.long_rope_factors or self.rope_factors),
                    "short_factor": list(self.rope_factors),
                    "original_max_position_embeddings": self.original_max_position or self.max_position,
                },
                "vocab_size": self.vocab_size,
                "scale_emb": 12,
                "dim_model_base": 256,
                "scale_depth": 1.4,
                "use_mup": self.use_mup,
                **channels,
            },
            "patch_size": self.patch,
            "feat_dim": self.feat,
            "scalar_quantization_latent_dim": self.fsq,
            "scalar_quantization_scale": 9,
            "residual_lm_num_layers": self.residual_layers,
            "encoder_config": {**_local(self.encoder), **channels},
            "dit_config": {
                **_local(self.dit),
                **channels,
                "cfm_config": {
                    "sigma_min": 1e-6,
                    "solver": "euler",
                    "t_scheduler": "log-norm",
                    "inference_cfg_rate": 2.0,
                },
            },
            "audio_vae_config": {
                "encoder_dim": self.vae_encoder_dim,
                "encoder_rates": list(self.vae_rates),
                "latent_dim": self.feat,
                "decoder_dim": self.vae_decoder_dim,
                "decoder_rates": list(reversed(self.vae_rates)),
                "sample_rate": self.sample_rate,
            },
            "max_length": self.max_length,
            "device": "cuda",
            "dtype": dtype,
        }


def _local(shape: LocalShape) -> dict[str, int]:
    return {
        "hidden_dim": shape.hidden,
        "ffn_dim": shape.ffn,
        "num_heads": shape.heads,
        "num_layers": shape.layers,
    }


PUBLISHED_15 = CheckpointShape(
    hidden=1024, ffn=4096, heads=16, kv_heads=2, layers=24, residual_layers=8, vocab_size=73448,
    rope_factors=ROPE_FACTORS, max_position=32768,
    encoder=LocalShape(hidden=1024, ffn=4096, heads=16, layers=8),
    dit=LocalShape(hidden=1024, ffn=4096, heads=16, layers=8),
    patch=4, feat=64, fsq=256,
    vae_encoder_dim=64, vae_decoder_dim=2048, vae_rates=(2, 3, 6, 7, 7), sample_rate=44100, max_length=8192,
)  # fmt: skip

PUBLISHED_05B = CheckpointShape(
    hidden=1024, ffn=4096, heads=16, kv_heads=2, layers=24, residual_layers=6, vocab_size=73448,
    rope_factors=ROPE_FACTORS, max_position=32768,
    encoder=LocalShape(hidden=1024, ffn=4096, heads=16, layers=4),
    dit=LocalShape(hidden=1024, ffn=4096, heads=16, layers=4),
    patch=2, feat=64, fsq=256,
    vae_encoder_dim=128, vae_decoder_dim=1536, vae_rates=(2, 5, 8, 8), sample_rate=16000, max_length=4096,
)  # fmt: skip

TINY = CheckpointShape(
    hidden=64, ffn=160, heads=4, kv_heads=2, layers=3, residual_layers=2, vocab_size=1024,
    rope_factors=tuple(1 + 0.5 * i for i in range(8)), max_position=512,
    encoder=LocalShape(hidden=32, ffn=80, heads=2, layers=2),
    dit=LocalShape(hidden=96, ffn=112, heads=6, layers=2),
    patch=4, feat=16, fsq=24,
    vae_encoder_dim=8, vae_decoder_dim=64, vae_rates=(2, 3, 6, 7, 7), sample_rate=44100, max_length=512,
)  # fmt: skip
"""v1.5 in small: the real strides and rate, another width in each stack."""

TINY_V1 = CheckpointShape(
    hidden=48, ffn=112, heads=6, kv_heads=3, layers=2, residual_layers=3, vocab_size=1024,
    rope_factors=(1.0, 1.25, 2.0, 3.5), max_position=512,
    encoder=LocalShape(hidden=72, ffn=64, heads=9, layers=1),
    dit=LocalShape(hidden=24, ffn=96, heads=3, layers=3),
    patch=2, feat=12, fsq=20,
    vae_encoder_dim=4, vae_decoder_dim=48, vae_rates=(2, 5, 8, 8), sample_rate=16000, max_length=384,
    byte_fallback=False,
)  # fmt: skip
"""v1 in small: its strides, rate and patch."""

TINY_CHANNELS = CheckpointShape(
    hidden=56, ffn=96, heads=4, kv_heads=4, layers=2, residual_layers=2, vocab_size=1024,
    rope_factors=tuple(1 + 0.25 * i for i in range(6)), long_rope_factors=tuple(1.5 + i for i in range(6)),
    max_position=1024, original_max_position=512, head_dim=12,
    encoder=LocalShape(hidden=40, ffn=64, heads=4, layers=2),
    dit=LocalShape(hidden=64, ffn=72, heads=8, layers=2),
    patch=3, feat=8, fsq=16,
    vae_encoder_dim=4, vae_decoder_dim=32, vae_rates=(2, 3, 5), sample_rate=24000, max_length=512,
)  # fmt: skip
"""kv_channels other than width / heads, as many key-value heads as heads, and the long list of rope factors."""

TINY_MUP = CheckpointShape(
    hidden=32, ffn=64, heads=2, kv_heads=1, layers=4, residual_layers=1, vocab_size=1024,
    rope_factors=tuple(1 + 0.5 * i for i in range(8)), max_position=512, use_mup=True,
    encoder=LocalShape(hidden=48, ffn=48, heads=3, layers=2),
    dit=LocalShape(hidden=64, ffn=96, heads=4, layers=3),
    patch=5, feat=10, fsq=12,
    vae_encoder_dim=4, vae_decoder_dim=32, vae_rates=(2, 4, 7), sample_rate=22050, max_length=256,
    byte_fallback=False,
)  # fmt: skip
"""Scaled residual branches and embeddings (use_mup)."""

SHAPES = {"tiny": TINY, "1.5": PUBLISHED_15, "0.5B": PUBLISHED_05B}
