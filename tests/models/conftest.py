from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from models.espeak import EspeakModel


@pytest.fixture(scope="session")
def loaded_espeak() -> Iterator[EspeakModel]:
    model = EspeakModel()
    yield model
    model.shutdown()


@pytest.fixture
def espeak(loaded_espeak: EspeakModel) -> Iterator[EspeakModel]:
    """The same model for all tests; a test that fails leaves no slot open for the next."""
    yield loaded_espeak
    loaded_espeak._slots.clear()


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's, as this machine's NumPy needs it; numbers are drawn anew."""
    import torch
    from triton.runtime import interpreter

    torch.set_num_threads(1)
    torch.manual_seed(0)
    patch_tensor = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        patch_tensor(tensor, scope)
        # A program's number is an array of one element, which NumPy 2.4 no longer takes for a number.
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patched)
