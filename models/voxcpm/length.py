"""How long a text may take to be spoken: the original's guards against a voice that never stops, or stops at once."""

from __future__ import annotations

PATCHES_PER_TOKEN = 6.0
SPARE_PATCHES = 10

MIN_PATCHES = 2
"""The stop flag is heeded only after this many patches and one more (the original's `min_len`)."""

MAX_PATCHES = 2000
"""The original's `max_len`."""

NUM_POSITIONS = 2048
"""Tokens of a slot: a prompt of 30 s is 188 patches of v1.5, the latest segment at most 125 (`context_s`), three texts
some 150 tokens each, and what is left is for speech. Where that is too little, the latest segment is left out."""


def longest(num_tokens: int, max_patches: int = MAX_PATCHES) -> int:
    """Patches that a text of so many tokens (of its own, without prompt) may take."""
    return min(int(PATCHES_PER_TOKEN * num_tokens + SPARE_PATCHES), max_patches)


def stops(num_made: int, flag: bool, *, min_patches: int = MIN_PATCHES) -> bool:
    """Whether the patch after `num_made` others is the last, given its stop flag."""
    return flag and num_made > min_patches
