"""What a voice that reads ahead is shown of a segment that is still being written."""

from __future__ import annotations

from collections.abc import Callable

STEP_CHARS = 16
"""It is shown again whenever it has grown by so many."""


class Draft:
    """One utterance's. `show`: tells the voice; None for one that does not read ahead."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self._show = show
        self._num_shown = 0  # characters of the segment in work

    def forget(self) -> None:
        """The voice has something to say: what it has been shown is out of date."""
        self._num_shown = 0

    def grow(self, draft: Callable[[], str]) -> None:
        """The segment may have grown, and the voice has nothing to say."""
        if self._show is None:
            return
        text = draft()
        if len(text) >= self._num_shown + STEP_CHARS:
            self._num_shown = len(text)
            self._show(text)
