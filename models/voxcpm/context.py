"""What is done before a slot's first step: its context is read, recordings and delivered patches become tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..engine.batch import Batch, Column
from .backbone import Places
from .decode import Workshop

BLOCK = 16
"""Tokens of a context stand in blocks of so many; the last is filled up."""

ENCODED_TOGETHER = 16
"""Patches."""


class Prefill:
    """The language models read contexts, those of all slots one after the other, each in whole blocks.

    A text token is looked up, one of a patch stands in `SlotState.context`. A context's last token is not read: it is
    the first step's (`SlotState.token`).
    """

    name = "prefill"
    early: str | None = None
    told: Sequence[Column] = ()

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self._workshop = workshop
        self.given = (
            Column(name="slot", dtype=torch.int64, padding=workshop.network.num_slots),
            Column(name="adapter", dtype=torch.int64),
            Column(name="position", dtype=torch.int64),
            Column(name="is_audio", dtype=torch.uint8),
            Column(name="id", dtype=torch.int64),
        )

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        network, state = self._workshop.network, self._workshop.state
        is_audio = given["is_audio"] != 0
        text = network.embed_text(given["id"])
        tokens = torch.where(is_audio[:, None], state.context[: given.num_rows], text)  # [tokens, hidden]
        places = Places(given["slot"], given["position"], BLOCK)
        network.read(tokens, is_audio, places, self._workshop.rows(given))


class Encode:
    """Patches become tokens (LocEnc)."""

    name = "encode"
    early: str | None = None

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self._workshop = workshop
        network = workshop.network
        config = network.config
        self.given = (
            Column(name="latents", dtype=torch.float32, shape=(config.patch_size, config.feat_dim)),
            Column(name="adapter", dtype=torch.int64),
        )
        self.told = (Column(name="token", dtype=network.dtype, shape=(config.lm.hidden_size,)),)

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        told["token"].copy_(self._workshop.network.embed_patches(given["latents"], self._workshop.rows(given)))


class Warm:
    """The codec hears a patch that was spoken before: one row, one slot."""

    name = "warm"
    early: str | None = None
    told: Sequence[Column] = ()

    def __init__(self, workshop: Workshop) -> None:
        self.sizes = (1,)
        self._workshop = workshop
        config = workshop.network.config
        self.given = (
            Column(name="slot", dtype=torch.int64, padding=workshop.network.num_slots),
            Column(name="latents", dtype=torch.float32, shape=(config.patch_size, config.feat_dim)),
        )

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        self._workshop.state.decoder.step(given["slot"], given["latents"])
