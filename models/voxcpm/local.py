"""The bidirectional stacks that see one patch at a time: LocEnc, patch to token, and LocDiT, the flow's velocity."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .attention import attend
from .config import Stack
from .layers import Layer, Loader, Rope, rms_norm


class LocalStack:
    """A bidirectional stack over a short, fixed number of tokens."""

    def __init__(self, stack: Stack, load: Loader, name: str, *, num_tokens: int) -> None:
        self._stack = stack
        self._layers = [Layer(stack, load, f"{name}.layers.{index}") for index in range(stack.num_layers)]
        self._norm = load.tensor(f"{name}.norm.weight")
        rope = Rope(stack, num_tokens, load.device)
        self._cos, self._sin = rope.cos, rope.sin

    def forward(self, x: Tensor, *, first: int, last: int, rows: Tensor | None = None) -> Tensor:
        """x [batch, tokens, hidden] -> [batch, last - first, hidden]: only these tokens are read at the end.

        So the last layer computes keys and values of all, and everything else of these alone. `rows`: each batch
        row's adapter number, [batch].
        """
        by_token = None if rows is None else rows[:, None].expand(x.shape[:2])
        for layer in self._layers:
            q, k, v = layer.qkv(x, self._cos, self._sin, by_token)  # [batch, tokens, heads, dim]
            if layer is self._layers[-1]:
                q, x = q[:, first:last], x[:, first:last]
                by_token = None if by_token is None else by_token[:, first:last]
            x = layer.close(x, attend(q, k, v), by_token)
        return rms_norm(x, self._norm, self._stack.rms_norm_eps)


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

    def velocity(self, x: Tensor, first: Tensor, condition: Tensor, rows: Tensor | None = None) -> Tensor:
        """x [batch, patch, feat], the first token mu + tau [batch, hidden], `condition` [batch, patch, hidden] ->
        [batch, patch, feat]."""
        tokens = torch.cat([first[:, None], condition, self._in(x)], dim=1)  # [batch, 1 + 2 patch, hidden]
        num_tokens = 1 + 2 * self._patch_size
        return self._out(self._stack.forward(tokens, first=1 + self._patch_size, last=num_tokens, rows=rows))
