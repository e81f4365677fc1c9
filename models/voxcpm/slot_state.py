"""What every slot keeps on the device beside the language models' keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .network import VoxCPM
from .vae_memory import offsets
from .vae_stream import StreamingDecoder


@dataclass(frozen=True, slots=True)
class SlotState:
    """Tensors by slot. The last row is the scratch slot's, that of the rows in which nobody is."""

    token: Tensor  # [slots + 1, hidden]: what the language models read next
    before: Tensor  # float32 [slots + 1, patch, feat]: the latest patch
    spoken: Tensor  # [slots + 1, patches + 1, hidden]: the segment's patches as tokens; those too many go to the last
    context: Tensor  # [tokens, hidden]: patches of contexts on their way into the language models; one for all slots
    heard: Tensor  # float32 [values]: a codec's memory on its way into a slot; one for all
    decoder: StreamingDecoder

    @classmethod
    def of(cls, network: VoxCPM, *, max_spoken: int, max_context: int) -> SlotState:
        """For the network's slots. `max_spoken`: patches of a segment that the next one may go on from; `max_context`:
        tokens of one prefill."""
        config, rows = network.config, network.num_slots + 1
        device, dtype, hidden = network.device, network.dtype, config.lm.hidden_size
        return cls(
            token=torch.zeros(rows, hidden, device=device, dtype=dtype),
            before=torch.zeros(rows, config.patch_size, config.feat_dim, device=device),
            spoken=torch.zeros(rows, max_spoken + 1, hidden, device=device, dtype=dtype),
            context=torch.zeros(max_context, hidden, device=device, dtype=dtype),
            heard=torch.zeros(offsets(network.decoder.pasts)[-1], device=device),
            decoder=StreamingDecoder(network.decoder, network.num_slots),
        )

    @staticmethod
    def slot_bytes(network: VoxCPM, *, max_spoken: int) -> int:
        """Memory of one slot."""
        config = network.config
        tokens = (max_spoken + 2) * config.lm.hidden_size * network.dtype.itemsize
        codec = StreamingDecoder(network.decoder, 0).num_bytes  # of the scratch slot alone
        return tokens + 4 * config.patch_size * config.feat_dim + codec
