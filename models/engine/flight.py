"""A step that the model has been given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..base import Pending
from .commands import StreamKey
from .sequence import Sequence


class Flight:
    """Its rows, and which of them end their segment with it, once that is known (`stops`)."""

    __slots__ = (
        "is_done",
        "num_beginning",
        "num_rows",
        "number",
        "on_trial",
        "pending",
        "rows",
        "stops",
        "submitted_at",
    )

    def __init__(
        self,
        pending: Pending,
        rows: list[Sequence],
        submitted_at: float,
        num_beginning: int,
        *,
        number: int,
        on_trial: bool,
    ) -> None:
        self.pending = pending
        self.is_done = pending.is_done
        self.number = number
        self.on_trial = on_trial
        self.num_rows = len(rows)
        self.rows = {row.slot: row for row in rows}  # whose result has not come
        self.submitted_at = submitted_at
        self.num_beginning = num_beginning  # rows whose segment is read in
        self.stops: Mapping[int, bool] = {}  # by slot

    def streams(self) -> Iterator[StreamKey]:
        """Those that wait for their result. Who is gone does not."""
        for row in self.rows.values():
            if not row.is_gone:
                yield row.key
