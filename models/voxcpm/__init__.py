"""VoxCPM (OpenBMB): text in, speech out, one patch of latents at a time; architecture `voxcpm`, that is v1 and v1.5.

    model = models.voxcpm.load("/path/to/VoxCPM1.5")
    spoken = models.voxcpm.generate(model, "Hello there.")

Paper: VoxCPM: Tokenizer-Free TTS for Context-Aware Speech Generation (OpenBMB, 2025).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network import VoxCPM
    from .offline import Generated, generate, load

__all__ = ["Generated", "VoxCPM", "generate", "load"]


def __getattr__(name: str) -> Any:
    """Lazily, so that a checkpoint's configuration can be read where torch is not installed."""
    if name == "VoxCPM":
        from .network import VoxCPM

        return VoxCPM
    if name in __all__:
        from . import offline as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
