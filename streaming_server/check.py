"""`voxwire check`: whether a checkpoint is whole, and what it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.base import ModelError
from models.registry import require_voxcpm_packages


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="its directory: config.json, tokenizer.json, model and codec")


def check(options: argparse.Namespace) -> int:
    """A line for each thing that is missing or wrong, or what the checkpoint is. The exit status: 0 whole, 2 not."""
    try:
        require_voxcpm_packages()
    except ModelError as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 2
    from models.voxcpm.check import check as find

    findings = find(Path(options.checkpoint))
    for line in findings.problems or (f"{options.checkpoint} is whole.", *findings.facts):
        print(line)
    return 2 if findings.problems else 0
