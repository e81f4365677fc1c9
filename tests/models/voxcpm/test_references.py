"""The stored answers are what the official implementation says."""

from __future__ import annotations

import numpy as np
import pytest

from .oracle.ask import VERSION
from .oracle.cases import TINIES
from .oracle.questions import Answers
from .oracle.references import stored, thinned

EXACT = (".ids", ".ends", ".stopped")
FREE_RUNNING = (".latents", ".audio", ".chunks", ".mu", ".stop_logits")


def test_stored_answers_equal_the_live_ones(live_answers: Answers | None) -> None:
    if live_answers is None:
        pytest.skip(f"the wheel voxcpm {VERSION} is not installed: pip install --no-deps voxcpm=={VERSION}")
    kept = stored()
    expected = {name: value for tiny in TINIES for name, value in thinned(tiny.name, live_answers).items()}
    assert kept.keys() == expected.keys()
    for name, value in expected.items():
        if name.endswith(EXACT):
            assert np.array_equal(kept[name], value), name
        else:
            tolerance = 1e-3 if name.endswith(FREE_RUNNING) else 1e-4
            np.testing.assert_allclose(kept[name], value, rtol=0, atol=tolerance, err_msg=name)
