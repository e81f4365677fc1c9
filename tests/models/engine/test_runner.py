"""Programs of fixed shapes, on the CPU: the same buffers and padding as on a GPU, without the graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.engine.batch import Batch, Column
from models.engine.runner import NOT_YET, Launch, Refused, Runner

CPU = torch.device("cpu")


class Adding:
    """Adds two numbers and tells early whether the sum is odd."""

    name = "add"
    given: Sequence[Column] = (
        Column(name="one", dtype=torch.int64, padding=7),
        Column(name="pair", dtype=torch.float32, shape=(2,)),
    )
    told: Sequence[Column] = (
        Column(name="odd", dtype=torch.uint8),
        Column(name="sum", dtype=torch.float32),
    )
    early = "odd"

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.seen: list[list[int]] = []

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        self.seen.append(given["one"].tolist())
        told["odd"].copy_(given["one"] % 2)
        tell_early()
        told["sum"].copy_(given["one"] + given["pair"].sum(1))


def add(runner: Runner, numbers: Sequence[int]) -> tuple[list[int], list[float]]:
    batch = runner.batch("add", len(numbers))
    batch["one"][: len(numbers)] = torch.tensor(numbers)
    batch["pair"][: len(numbers)] = 0.25
    launch = runner.launch("add", batch, len(numbers))
    return launch.early().tolist(), launch.told()["sum"][: len(numbers)].tolist()


def test_a_launch_tells_what_its_rows_come_to() -> None:
    assert add(Runner([Adding()], CPU), [1, 2, 3]) == ([1, 0, 1], [1.5, 2.5, 3.5])


def test_flags_are_there_when_those_of_padding_are() -> None:
    flags = torch.tensor([1, 0, NOT_YET], dtype=torch.uint8)
    launch = Launch(Batch(Adding.told, 3, CPU), 2, flags, None)
    with pytest.raises(RuntimeError, match="without telling"):
        launch.early()
    flags[2] = 1
    assert launch.early().tolist() == [1, 0]


def test_a_launch_is_padded_to_the_next_size_and_nobody_is_in_the_rest() -> None:
    program = Adding(2, 4)
    runner = Runner([program], CPU)
    add(runner, [1, 2, 3, 4])
    add(runner, [5, 6, 8])
    add(runner, [9])
    assert program.seen == [[1, 2, 3, 4], [5, 6, 8, 7], [9, 7]]


def test_a_program_without_sizes_takes_any_number() -> None:
    program = Adding()
    runner = Runner([program], CPU)
    for num_rows in (3, 1, 3):
        add(runner, range(num_rows))
    assert [len(rows) for rows in program.seen] == [3, 1, 3]


def test_what_is_larger_than_every_size_is_refused_and_counted() -> None:
    runner = Runner([Adding(2, 4)], CPU)
    with pytest.raises(Refused, match="at most 4 rows of add were expected, but 5 came"):
        runner.batch("add", 5)
    assert runner.num_refused == 1


def test_every_size_is_tried_before_the_first_launch_the_largest_first() -> None:
    program = Adding(1, 2, 4)
    told: list[str] = []
    Runner([program], CPU).prepare(told.append)
    assert [len(rows) for rows in program.seen] == [4, 2, 1]
    assert told[0] == "records add for 4 rows"


@given(
    st.lists(st.tuples(st.sampled_from([torch.uint8, torch.int64, torch.float32]), st.integers(0, 5)), max_size=6),
    st.integers(1, 9),
)
def test_columns_share_one_piece_of_memory_and_never_a_byte(
    kinds: list[tuple[torch.dtype, int]], num_rows: int
) -> None:
    columns = [
        Column(name=str(index), dtype=dtype, shape=(width,) if width else (), padding=index)
        for index, (dtype, width) in enumerate(kinds)
    ]
    batch = Batch(columns, num_rows, CPU)
    for index, (column, (_, width)) in enumerate(zip(columns, kinds, strict=True)):
        assert batch[column.name].shape == ((num_rows, width) if width else (num_rows,))
        assert (batch[column.name] == index).all()
        assert batch[column.name].untyped_storage().data_ptr() == batch.memory.untyped_storage().data_ptr()
    for index, column in enumerate(columns):
        batch[column.name].fill_(100 + index)
    assert all((batch[column.name] == 100 + index).all() for index, column in enumerate(columns))
    batch.pad(1)
    for index, column in enumerate(columns):
        assert (batch[column.name][:1] == 100 + index).all()
        assert (batch[column.name][1:] == index).all()
