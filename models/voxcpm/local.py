"""The bidirectional stacks that see one patch at a time: LocEnc, patch to token, and LocDiT, the flow's velocity."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import Stack
from .layers import Layer, Loader, Rope


class LocalStack:
    """A bidirectional stack over a short, fixed number of tokens."""

    def __init__(self, stack: Stack, load: Loader, name: str, *, num_tokens: int) -> None:
        self._stack = stack
        self._kernels = load.kernels
        self._layers = [Layer(stack, load, f"{name}.layers.{index}") for index in range(stack.num_layers)]
        self._norm = load.tensor(f"{name}.norm.weight")
        rope = Rope(stack, num_tokens, load.device)
        self._cos, self._sin = rope.cos, rope.sin

    def known(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Some of the tokens, [batch, known, hidden], as the first layer's attention will see them: [batch, known,
        heads + 2 kv_heads, dim]. For tokens that are the same in several calls of `forward`."""
        return self._layers[0].mix(x, _by_token(rows, x))

    def forward(
        self, x: Tensor, *, first: int, last: int, rows: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """x [batch, tokens, hidden] -> [batch, last - first, hidden]: only these tokens are read at the end.

        So the last layer computes keys and values of all, and everything else of these alone. `rows`: each batch
        row's adapter number, [batch]. `known`: of the tokens from the second on.
        """
        by_token = _by_token(rows, x)
        for index, layer in enumerate(self._layers):
            is_last = index == len(self._layers) - 1
            if index == 0 and known is not None:
                mixed = self._with_known(layer, x, by_token, known)
            else:
                mixed = layer.mix(x, by_token)  # [batch, tokens, heads + 2 kv_heads, dim]
            start, end = (first, last) if is_last else (0, x.shape[1])
            attended = self._kernels.attend_patch(
                mixed, self._cos, self._sin, start, end, num_kv_heads=self._stack.num_kv_heads
            )
            if is_last:
                x = x[:, first:last]
                by_token = None if by_token is None else by_token[:, first:last]
            x = layer.close(x, attended, by_token)
        return self._kernels.rms_norm(x, self._norm, self._stack.rms_norm_eps)

    @staticmethod
    def _with_known(layer: Layer, x: Tensor, by_token: Tensor | None, known: Tensor) -> Tensor:
        after = 1 + known.shape[1]
        fresh = torch.cat([x[:, :1], x[:, after:]], dim=1)
        rows = None if by_token is None else by_token[:, : fresh.shape[1]]  # all of a row are the same
        mixed = layer.mix(fresh, rows)
        return torch.cat([mixed[:, :1], known, mixed[:, 1:]], dim=1)


def _by_token(rows: Tensor | None, x: Tensor) -> Tensor | None:
    return None if rows is None else rows[:, None].expand(x.shape[:2])


class LocalEncoder:
    """LocEnc (`feat_encoder.*`): a patch of latents becomes the state of one learnt token."""

    def __init__(self, stack: Stack, load: Loader, *, patch_size: int) -> None:
        self._in = load.projection("feat_encoder.in_proj", bias=True)
        self._token = load.tensor("feat_encoder.special_token").reshape(1, 1, -1)
        self._stack = LocalStack(stack, load, "feat_encoder.encoder", num_tokens=1 + patch_size)

    def forward(self, patches: Tensor) -> Tensor:
        """patches [batch, patch, feat] in the model's dtype -> [batch, hidden]."""
        x = torch.cat([self._token.expand(patches.shape[0], -1, -1), self._in(patches)], dim=1)
        return self._stack.forward(x, first=0, last=1)[:, 0]


class TimeEmbedding:
    """tau(t) = MLP_t(S(t)) + MLP_dt(S(0)), kept in float32: it is computed once for each step of a time grid."""

    def __init__(self, stack: Stack, load: Loader, name: str) -> None:
        self._half = stack.hidden_size // 2
        self._time = self._layers(load, f"{name}.time_mlp")
        # The original feeds a delta of 0 here, whose bias path counts; the whole term is then one constant.
        self._constant = self._mlp(self._layers(load, f"{name}.delta_time_mlp"), torch.zeros(1, device=load.device))

    def at(self, times: Tensor) -> Tensor:
        """times float32 [steps] -> float32 [steps, hidden]."""
        return self._mlp(self._time, times) + self._constant

    @staticmethod
    def _layers(load: Loader, name: str) -> tuple[Tensor, ...]:
        names = (f"{name}.linear_{number}.{part}" for number in (1, 2) for part in ("weight", "bias"))
        return tuple(load.tensor(each, torch.float32) for each in names)

    def _mlp(self, layers: tuple[Tensor, ...], times: Tensor) -> Tensor:
        steps = torch.arange(self._half, dtype=torch.float32, device=times.device)
        frequencies = torch.exp(steps * -(math.log(10000) / (self._half - 1)))
        angles = 1000 * times[:, None] * frequencies  # [steps, half]
        x = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return F.linear(F.silu(F.linear(x, layers[0], layers[1])), layers[2], layers[3])


class LocalDit:
    """LocDiT (`feat_decoder.estimator.*`): the velocity of a noisy patch, given the LM's state and the patch before."""

    def __init__(self, stack: Stack, load: Loader, *, patch_size: int) -> None:
        name = "feat_decoder.estimator"
        self._in = load.projection(f"{name}.in_proj", bias=True, quantize=False)
        self._cond = load.projection(f"{name}.cond_proj", bias=True, quantize=False)
        self._out = load.projection(f"{name}.out_proj", bias=True, quantize=False)
        self._stack = LocalStack(stack, load, f"{name}.decoder", num_tokens=1 + 2 * patch_size)
        self._patch_size = patch_size
        self.time = TimeEmbedding(stack, load, name)

    def condition(self, before: Tensor) -> Tensor:
        """The patches before, [batch, patch, feat] -> their tokens [batch, patch, hidden]: once for a whole solve."""
        return self._cond(before)

    def known(self, condition: Tensor, rows: Tensor | None = None) -> Tensor:
        """What the first layer makes of the condition, which is the same in every call of a solve: for `velocity`."""
        return self._stack.known(condition, rows)

    def velocity(
        self, x: Tensor, first: Tensor, condition: Tensor, rows: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """x [batch, patch, feat], the first token mu + tau [batch, hidden], `condition` [batch, patch, hidden] ->
        [batch, patch, feat]."""
        tokens = torch.cat([first[:, None], condition, self._in(x)], dim=1)  # [batch, 1 + 2 patch, hidden]
        first_read, num_tokens = 1 + self._patch_size, 1 + 2 * self._patch_size
        return self._out(self._stack.forward(tokens, first=first_read, last=num_tokens, rows=rows, known=known))
