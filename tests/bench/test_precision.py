"""Precisions compared on a tiny checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.precision import main


def test_each_precision_is_held_against_float32(tmp_path: Path) -> None:
    checkpoint, output = tmp_path / "checkpoint", tmp_path / "results"
    write_checkpoint(checkpoint, TINY, seed=4, never_stop=True)
    arguments = ("--checkpoint", checkpoint, "--output", output, "--patches", 3, "--threads", 1)
    assert main([str(each) for each in arguments]) == 0
    (path,) = output.iterdir()
    rows = {row["precision"]: row for row in json.loads(path.read_text())["rows"]}
    assert list(rows) == ["bfloat16", "float32, DiT int8", "bfloat16, DiT int8"]
    assert rows["float32, DiT int8"]["LM state dB"] is None  # int8 leaves the language models alone
    for row in rows.values():
        assert row["latents, states given dB"] > 10
