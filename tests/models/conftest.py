from __future__ import annotations

from collections.abc import Iterator

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
