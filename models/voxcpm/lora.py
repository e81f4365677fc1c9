"""LoRA: small additions to some linear layers, y = Wx + b + (alpha / r) B A x, by official adapter folders.

A folder holds lora_weights.safetensors or lora_weights.ckpt, with `<linear>.lora_A` [r, in] and `<linear>.lora_B`
[out, r], and lora_config.json, `{"base_model": ..., "lora_config": {"r": ..., "alpha": ..., "enable_lm": ...}}`.
Paper: LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..base import MAX_ADAPTERS, ModelError, adapter_name
from .config import VoxCPMConfig
from .fields import Fields
from .tensor_file import TensorFile, refuse
from .weights import expected_tensors

CONFIG_FILE = "lora_config.json"
WEIGHT_FILES = ("lora_weights.safetensors", "lora_weights.ckpt")

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
PROJECTIONS = ("enc_to_lm_proj", "lm_to_dit_proj", "res_to_dit_proj")


class Lora:
    """One adapter, read and checked: against its own lora_config.json, and against the checkpoint it is to change.

    Every linear layer that its flags name must have both halves, in the configured rank, and no other may have any.
    Raises ModelError that names file and field, or file and tensor.
    """

    def __init__(self, folder: Path, config: VoxCPMConfig) -> None:
        self.name = adapter_name(folder)
        settings = _Settings.read(folder / CONFIG_FILE)
        path = next((folder / name for name in WEIGHT_FILES if (folder / name).exists()), None)
        if path is None:
            raise ModelError(f"{folder}: {WEIGHT_FILES[0]} or {WEIGHT_FILES[1]} was expected, but there is neither.")
        self.scaling = settings.alpha / settings.rank
        linears = list(settings.linears(config))
        with TensorFile(path) as file:
            shapes = expected_tensors(config)
            expected: dict[str, tuple[int, ...]] = {}
            for linear in linears:
                num_out, num_in = shapes[f"{linear}.weight"]
                expected[f"{linear}.lora_A"] = (settings.rank, num_in)
                expected[f"{linear}.lora_B"] = (num_out, settings.rank)
            refuse(list(file.problems(expected)))
            self._pairs = {
                linear: (file.read(f"{linear}.lora_A").float(), file.read(f"{linear}.lora_B").float())
                for linear in linears
            }

    def pair(self, linear: str) -> tuple[Tensor, Tensor] | None:
        """A [r, in] and B [out, r] of a linear layer, float32, the scaling in B; None where it changes nothing."""
        pair = self._pairs.get(linear)
        return None if pair is None else (pair[0], self.scaling * pair[1])

    def merge(self, name: str, tensor: Tensor) -> Tensor:
        """The checkpoint's tensor of that name with the adapter in it: float32 where it changes it, else as it came."""
        pair = self.pair(name.removesuffix(".weight")) if name.endswith(".weight") else None
        return tensor if pair is None else torch.addmm(tensor.float(), pair[1], pair[0])


@dataclass(frozen=True, slots=True)
class LowRank:
    """What all adapters add to one linear layer, or to several with one input in a row. R: their ranks, added up."""

    a: Tensor  # [R, in]
    b: Tensor  # [out, R], scaled; zero where a column belongs to another of the layers in a row
    mask: Tensor  # [1 + adapters, R], 1 in the columns of that adapter; row 0, no adapter, is zero

    def delta(self, x: Tensor, rows: Tensor) -> Tensor:
        """x [..., in] and each row's adapter number, int64 [...] -> [..., out]."""
        return ((x @ self.a.T) * self.mask[rows]) @ self.b.T


class Adapters:
    """Up to four adapters side by side, none in the weights; a row of a batch has one of them or none.

    `names[n - 1]` is adapter n's, its folder's name; 0 is none.
    """

    def __init__(
        self, loras: Sequence[Lora], config: VoxCPMConfig, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.names = tuple(lora.name for lora in loras)
        if len(loras) > MAX_ADAPTERS:
            raise ModelError(f"At most {MAX_ADAPTERS} adapters were expected, but {len(loras)} came.")
        if len(set(self.names)) < len(self.names):
            raise ModelError(f"Adapter folders of different names were expected, but {', '.join(self.names)} came.")
        self._loras = loras
        self._sizes = {name: shape[0] for name, shape in expected_tensors(config).items() if name.endswith(".weight")}
        self._device, self._dtype = device, dtype

    @classmethod
    def read(
        cls, folders: Sequence[Path], config: VoxCPMConfig, *, device: torch.device, dtype: torch.dtype
    ) -> Adapters:
        """The adapters of those folders, numbered from 1 in this order. Raises ModelError."""
        return cls([Lora(folder, config) for folder in folders], config, device=device, dtype=dtype)

    def number(self, name: str | None) -> int:
        """An adapter's number; 0 for None. Raises ModelError, listing the names there are."""
        if name is None:
            return 0
        if name not in self.names:
            known = ", ".join(self.names) or "none"
            raise ModelError(f"An adapter that is loaded ({known}) was expected, but {name!r} came.")
        return 1 + self.names.index(name)

    def for_linear(self, linears: Sequence[str]) -> LowRank | None:
        """For the layer whose outputs are those of the named ones, one after the other; None if nothing changes it."""
        sizes = [self._sizes[f"{linear}.weight"] for linear in linears]
        found = [
            (number, sum(sizes[:position]), pair)
            for number, lora in enumerate(self._loras, start=1)
            for position, linear in enumerate(linears)
            if (pair := lora.pair(linear)) is not None
        ]
        if not found:
            return None
        a = torch.cat([pair[0] for _, _, pair in found])
        b = torch.zeros(sum(sizes), len(a))
        mask = torch.zeros(1 + len(self._loras), len(a))
        column = 0
        for number, first, (_, columns) in found:
            num_out, rank = columns.shape
            b[first : first + num_out, column : column + rank] = columns
            mask[number, column : column + rank] = 1
            column += rank
        return LowRank(*(each.to(device=self._device, dtype=self._dtype) for each in (a, b, mask)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """`lora_config` of lora_config.json. Flags that are missing are off, as in the original; rank and alpha must be
    said: the original's package takes 8 and 16 for them, which mis-loads any other adapter."""

    rank: int
    alpha: float
    enable_lm: bool
    enable_dit: bool
    enable_proj: bool
    targets_lm: tuple[str, ...]
    targets_dit: tuple[str, ...]
    targets_proj: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> _Settings:
        fields = Fields.read(path).object("lora_config")
        settings = cls(
            rank=fields.integer("r"),
            alpha=fields.number("alpha"),
            enable_lm=fields.flag("enable_lm", False),
            enable_dit=fields.flag("enable_dit", False),
            enable_proj=fields.flag("enable_proj", False),
            targets_lm=fields.choices("target_modules_lm", ATTENTION),
            targets_dit=fields.choices("target_modules_dit", ATTENTION),
            targets_proj=fields.choices("target_proj_modules", PROJECTIONS),
        )
        if not (settings.enable_lm or settings.enable_dit or settings.enable_proj):
            raise fields.error(
                "one of 'lora_config.enable_lm', 'enable_dit' and 'enable_proj' was expected to be true, but none is"
            )
        return settings

    def linears(self, config: VoxCPMConfig) -> Iterator[str]:
        """Names of the layers that are changed. The local encoder never is."""
        stacks = []
        if self.enable_lm:
            stacks += [("base_lm", config.lm.num_layers, self.targets_lm)]
            stacks += [("residual_lm", config.residual_lm.num_layers, self.targets_lm)]
        if self.enable_dit:
            stacks += [("feat_decoder.estimator.decoder", config.dit.num_layers, self.targets_dit)]
        for prefix, num_layers, targets in stacks:
            for number in range(num_layers):
                yield from (f"{prefix}.layers.{number}.self_attn.{target}" for target in targets)
        if self.enable_proj:
            yield from self.targets_proj
