"""The whole network for any set of slots: tokens in, LM states, then a patch of latents for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..kernels.kernels import Kernels
from .allocator import returning_memory
from .backbone import Backbone, Places, Span
from .config import read_config
from .flow import Flow, FlowSolver
from .layers import Loader
from .local import LocalDit, LocalEncoder
from .lora import Adapters, Lora
from .tokenizer import Tokenizer
from .vae import AudioVaeDecoder
from .weights import Weights

PREFILL_ROWS = 32


@dataclass(frozen=True, slots=True)
class State:
    """What a patch is made from: the last token's state in both language models, each [batch, hidden]."""

    lm: Tensor  # quantised after audio, as it is after text (paper: the semantic-prosodic plan)
    residual: Tensor


class VoxCPM:
    """A loaded checkpoint: the four stacks, their projections, the tokenizer and the codec's decoder.

    Sequences live in slots; nothing here knows of voices, segments or time. `rows` is each batch row's adapter
    number (int64), None where no adapter is loaded.
    """

    def __init__(
        self,
        checkpoint: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        quantize: bool = False,
        adapters: Sequence[Path] = (),
        merge_adapter: Path | None = None,
        num_slots: int = 1,
        num_positions: int | None = None,
    ) -> None:
        """`adapters`: LoRA folders, for rows to choose from; `merge_adapter`: one that is folded into the weights.

        `num_positions`: tokens a slot holds, the checkpoint's max_length unless given. Raises ModelError.
        """
        self.checkpoint = checkpoint
        self.config = config = read_config(checkpoint)
        self.device, self.dtype = device, dtype
        self.kernels = Kernels(device)
        self.num_slots = 0
        self.num_positions = min(num_positions or config.max_length, config.max_length)
        self.tokenizer = Tokenizer(checkpoint, vocab_size=config.vocab_size)
        self.adapters = Adapters.read(adapters, config, device=device, dtype=dtype) if adapters else None
        with returning_memory(), Weights(checkpoint, config) as weights:
            load = Loader(
                weights=weights,
                device=device,
                dtype=dtype,
                kernels=self.kernels,
                adapters=self.adapters,
                merged=Lora(merge_adapter, config) if merge_adapter else None,
            )
            self._embedding = load.tensor("base_lm.embed_tokens.weight")
            self._base_lm = Backbone(config.lm, load, "base_lm", num_positions=self.num_positions)
            self._residual_lm = Backbone(config.residual_lm, load, "residual_lm", num_positions=self.num_positions)
            self._encoder = LocalEncoder(config.encoder, load, patch_size=config.patch_size)
            # Only the solver is ever int8. It is most of the work, and an error of its is heard in one patch and fades;
            # one of LocEnc or a language model changes the plan of what is said next (bench.precision).
            solving = replace(load, quantize=quantize)
            self.solver = FlowSolver(LocalDit(config.dit, solving, patch_size=config.patch_size), device, dtype)
            self._encoder_to_lm = load.projection("enc_to_lm_proj", bias=True)
            self._lm_to_dit = load.projection("lm_to_dit_proj", bias=True)
            self._residual_to_dit = load.projection("res_to_dit_proj", bias=True)
            self._fsq_in = load.projection("fsq_layer.in_proj", bias=True)
            self._fsq_out = load.projection("fsq_layer.out_proj", bias=True)
            self._stop = load.projection("stop_proj", bias=True)
            self._stop_head = load.projection("stop_head")
            self.decoder = AudioVaeDecoder(config.vae, weights, device=device)
        self.give_slots(num_slots)

    def give_slots(self, num_slots: int) -> None:
        """Room for so many sequences, and for a scratch one (number `num_slots`) that padding is written to."""
        self.num_slots = num_slots
        self._base_lm.give_slots(num_slots + 1)
        self._residual_lm.give_slots(num_slots + 1)

    @property
    def slot_bytes(self) -> int:
        """Memory of a slot's keys and values."""
        stacks = (self.config.lm, self.config.residual_lm)
        return sum(Backbone.slot_bytes(stack, self.num_positions, self.dtype) for stack in stacks)

    def embed_text(self, ids: Sequence[int] | Tensor) -> Tensor:
        """Token ids -> [tokens, hidden]."""
        if not isinstance(ids, Tensor):
            ids = torch.tensor(ids, dtype=torch.int64, device=self.device)
        embedded = self._embedding[ids]
        return embedded if self.config.embedding_scale == 1.0 else embedded * self.config.embedding_scale

    def embed_patches(self, latents: Tensor, rows: Tensor | None = None) -> Tensor:
        """Latents float32 [patches, patch, feat] -> [patches, hidden]; does not depend on where a patch stands."""
        return self._encoder_to_lm(self._encoder.forward(latents.to(self.dtype)), rows)

    def advance(self, tokens: Tensor, is_audio: Tensor, spans: Sequence[Span], rows: Tensor | None = None) -> State:
        """Both language models over the next tokens of some slots.

        `tokens` [tokens, hidden], those of all spans in a row; `is_audio` bool [tokens]; `rows` by token. The state
        is that of each span's last token: [len(spans), hidden].
        """
        num_tokens = padded(len(tokens), len(spans))
        num_padding = num_tokens - len(tokens)
        tokens, is_audio = F.pad(tokens, (0, 0, 0, num_padding)), F.pad(is_audio, (0, num_padding))
        rows = None if rows is None else F.pad(rows, (0, num_padding))
        places = Places.of(spans, num_tokens, scratch=self.num_slots, device=self.device)
        state = self.read(tokens, is_audio, places, rows)
        ends = torch.tensor([span.num_tokens for span in spans], device=self.device).cumsum(0) - 1
        return State(state.lm[ends], state.residual[ends])

    def read(self, tokens: Tensor, is_audio: Tensor, places: Places, rows: Tensor | None = None) -> State:
        """Both language models over tokens [tokens, hidden] that stand there; the state of each of them."""
        hidden = self._base_lm.forward(tokens, places, rows)
        # Only audio positions are quantised: text keeps its state, the start token of a zero-shot utterance included.
        hidden = torch.where(is_audio[:, None], self._quantized(hidden), hidden)
        return State(hidden, self._residual_lm.forward(hidden + is_audio[:, None] * tokens, places, rows))

    def stops(self, state: State) -> Tensor:
        """bool [batch]: whether the patch made from this state is the last. Known before the patch is made."""
        logits = self._stop_head(F.silu(self._stop(state.lm)))
        return logits[:, 1] > logits[:, 0]

    def solve(
        self,
        state: State,
        before: Tensor,
        noise: Tensor,
        *,
        num_steps: int,
        cfg_value: Tensor,
        rows: Tensor | None = None,
    ) -> Tensor:
        """The patch after `state`: float32 [batch, patch, feat]. The arguments are FlowSolver.solve's."""
        return self.solver.solve(
            self._mu(state, rows), before, noise, num_steps=num_steps, cfg_value=cfg_value, rows=rows
        )

    def begin(self, state: State, before: Tensor, cfg_value: Tensor, rows: Tensor | None = None) -> Flow:
        """The same, step by step: `solver.step` goes on."""
        return self.solver.begin(self._mu(state, rows), before, cfg_value, rows)

    def _mu(self, state: State, rows: Tensor | None) -> Tensor:
        return self._lm_to_dit(state.lm, rows) + self._residual_to_dit(state.residual, rows)

    def _quantized(self, hidden: Tensor) -> Tensor:
        """Finite scalar quantisation (`fsq_layer.*`), [tokens, hidden]: 2 x 9 + 1 levels, halves rounded to even."""
        scale = self.config.fsq_scale
        levels = torch.round(torch.tanh(self._fsq_in(hidden).float()) * scale) / scale
        return self._fsq_out(levels.to(hidden.dtype))


def padded(num_tokens: int, num_spans: int) -> int:
    """Rows to compute for so many tokens: with a context among them, whole steps of PREFILL_ROWS.

    A kernel is made and kept for each number of rows that occurs: contexts of any length would fill memory with them
    for hours, and each new length would be waited for.
    """
    return num_tokens if num_tokens == num_spans else -(-num_tokens // PREFILL_ROWS) * PREFILL_ROWS
