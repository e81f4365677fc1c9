"""The operations of a step, each as a Triton kernel beside its plain PyTorch form; `Kernels` picks.

Nothing here imports triton before a CUDA device asks for it: on a CPU, and where triton is missing, the plain forms
run.
"""

from __future__ import annotations

from .kernels import Kernels

__all__ = ["Kernels"]
