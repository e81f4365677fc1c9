"""Names and shapes of a checkpoint's tensors."""

from __future__ import annotations

from models.voxcpm.config import AudioVaeConfig, Stack, VoxCPMConfig

Shapes = dict[str, tuple[int, ...]]


def expected_tensors(config: VoxCPMConfig) -> Shapes:
    """Every tensor of a checkpoint with these sizes; the codec's begin with `audio_vae.`."""
    lm, encoder, dit, feat = config.lm.hidden_size, config.encoder.hidden_size, config.dit.hidden_size, config.feat_dim
    return {
        "base_lm.embed_tokens.weight": (config.vocab_size, lm),
        **_stack("base_lm.", config.lm),
        **_stack("residual_lm.", config.residual_lm),
        "feat_encoder.special_token": (1, 1, 1, encoder),
        **_linear("feat_encoder.in_proj", feat, encoder),
        **_stack("feat_encoder.encoder.", config.encoder),
        **_linear("feat_decoder.estimator.in_proj", feat, dit),
        **_linear("feat_decoder.estimator.cond_proj", feat, dit),
        **_linear("feat_decoder.estimator.out_proj", dit, feat),
        **_linear("feat_decoder.estimator.time_mlp.linear_1", dit, dit),
        **_linear("feat_decoder.estimator.time_mlp.linear_2", dit, dit),
        **_linear("feat_decoder.estimator.delta_time_mlp.linear_1", dit, dit),
        **_linear("feat_decoder.estimator.delta_time_mlp.linear_2", dit, dit),
        **_stack("feat_decoder.estimator.decoder.", config.dit),
        **_linear("fsq_layer.in_proj", lm, config.fsq_dim),
        **_linear("fsq_layer.out_proj", config.fsq_dim, lm),
        **_linear("enc_to_lm_proj", encoder, lm),
        **_linear("lm_to_dit_proj", lm, dit),
        **_linear("res_to_dit_proj", lm, dit),
        **_linear("stop_proj", lm, lm),
        "stop_head.weight": (2, lm),
        **_vae(config.vae),
    }


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _stack(prefix: str, stack: Stack) -> Shapes:
    hidden, q, kv = stack.hidden_size, stack.num_heads * stack.head_dim, stack.num_kv_heads * stack.head_dim
    shapes: Shapes = {}
    for layer in range(stack.num_layers):
        name = f"{prefix}layers.{layer}."
        shapes |= {
            f"{name}self_attn.q_proj.weight": (q, hidden),
            f"{name}self_attn.k_proj.weight": (kv, hidden),
            f"{name}self_attn.v_proj.weight": (kv, hidden),
            f"{name}self_attn.o_proj.weight": (hidden, q),
            f"{name}mlp.gate_proj.weight": (stack.ffn_size, hidden),
            f"{name}mlp.up_proj.weight": (stack.ffn_size, hidden),
            f"{name}mlp.down_proj.weight": (hidden, stack.ffn_size),
            f"{name}input_layernorm.weight": (hidden,),
            f"{name}post_attention_layernorm.weight": (hidden,),
        }
    return {**shapes, f"{prefix}norm.weight": (hidden,)}


def _conv(name: str, outputs: int, inputs: int, kernel: int, *, bias: int | None = None) -> Shapes:
    """Weight norm is over all but the first axis, which in a transposed convolution is that of the inputs."""
    return {
        f"{name}.weight_g": (outputs, 1, 1),
        f"{name}.weight_v": (outputs, inputs, kernel),
        f"{name}.bias": (bias or outputs,),
    }


def _units(prefix: str, first: int, channels: int, depthwise: bool) -> Shapes:
    shapes: Shapes = {}
    for unit in range(first, first + 3):
        name = f"{prefix}.block.{unit}.block."
        shapes |= {
            f"{name}0.alpha": (1, channels, 1),
            **_conv(f"{name}1", channels, 1 if depthwise else channels, 7),
            f"{name}2.alpha": (1, channels, 1),
            **_conv(f"{name}3", channels, channels, 1),
        }
    return shapes


def _vae(vae: AudioVaeConfig) -> Shapes:
    shapes = _conv("audio_vae.encoder.block.0", vae.encoder_dim, 1, 7)
    width = vae.encoder_dim
    for number, rate in enumerate(vae.encoder_rates, 1):
        name = f"audio_vae.encoder.block.{number}"
        shapes |= _units(name, 0, width, vae.depthwise)
        shapes |= {f"{name}.block.3.alpha": (1, width, 1), **_conv(f"{name}.block.4", 2 * width, width, 2 * rate)}
        width *= 2
    shapes |= _conv("audio_vae.encoder.fc_mu", vae.latent_dim, width, 3)
    shapes |= _conv("audio_vae.encoder.fc_logvar", vae.latent_dim, width, 3)
    width, model = vae.decoder_dim, "audio_vae.decoder.model."
    if vae.depthwise:
        shapes |= {**_conv(f"{model}0", vae.latent_dim, 1, 7), **_conv(f"{model}1", width, vae.latent_dim, 1)}
    else:
        shapes |= _conv(f"{model}0", width, vae.latent_dim, 7)
    number = 1 + vae.depthwise
    for rate in vae.decoder_rates:
        name = f"{model}{number}"
        shapes |= {f"{name}.block.0.alpha": (1, width, 1)}
        shapes |= _conv(f"{name}.block.1", width, width // 2, 2 * rate, bias=width // 2)
        width //= 2
        shapes |= _units(name, 2, width, vae.depthwise)
        number += 1
    return {**shapes, f"{model}{number}.alpha": (1, width, 1), **_conv(f"{model}{number + 1}", 1, width, 7)}
