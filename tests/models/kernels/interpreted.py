"""Every kernel under Triton's interpreter against the plain form: what a device would compute, one program at a time.

The interpreter is chosen by the environment before triton is imported, so `test_interpreted.py` runs this module in a
process of its own; by hand: TRITON_INTERPRET=1 pytest tests/models/kernels/interpreted.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from models.kernels import Kernels, plain
from models.kernels.choices import difference
from models.kernels.fused import forms

pytestmark = pytest.mark.usefixtures("interpreter")

TYPES = (torch.float32, torch.bfloat16, torch.float16)
SINGLE, HALF = PRODUCT_TYPES = torch.float32, torch.float16  # the interpreter multiplies the bits of bfloat16
EPS = 1e-5


def wider(*values: Any) -> Any:
    """A case that only the long run takes."""
    return pytest.param(*values, marks=pytest.mark.full)


SIZES = [(4, 2, 16), (8, 1, 16), wider((3, 3, 32)), wider((4, 2, 64)), wider((4, 1, 2))]  # heads, kv heads, dim
ATTENTION = [
    *(((4, 2, 16), SINGLE), ((8, 1, 16), HALF), wider((4, 2, 16), HALF), wider((8, 1, 16), SINGLE)),
    *(wider(size, dtype) for size in ((3, 3, 32), (4, 2, 64), (4, 1, 2)) for dtype in PRODUCT_TYPES),
]


def agree(operation: str, *args: Any) -> None:
    """Every form of the operation, on copies of the same inputs, writes and returns what the plain one does."""
    found: dict[str, Any] = getattr(forms, operation)(*args)
    assert found, "there is a form to compare"
    expected, left = outcome(getattr(plain, operation), args)
    for name, run in found.items():
        got, after = outcome(run, args)
        assert not difference([expected], [got]), f"{operation} {name}"
        for should, has in zip(left, after, strict=True):
            torch.testing.assert_close(has, should, equal_nan=True)


def outcome(run: Any, args: tuple[Any, ...]) -> tuple[Tensor, list[Tensor]]:
    """What a form returns, and what its inputs are afterwards."""
    copies = [copied(arg) if isinstance(arg, Tensor) else arg for arg in args]
    return run(*copies), [copy for copy in copies if isinstance(copy, Tensor)]


def copied(x: Tensor) -> Tensor:
    """Of the same strides, gaps included."""
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).copy_(x)


def some(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(dtype)


def unwritten(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Memory that spoils every sum it gets into."""
    return torch.full(shape, torch.nan, dtype=dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5, 48), (2, 3, 64), (1, 1024), (7, 2)])
def test_norm(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    agree("rms_norm", some(*shape, dtype=dtype), some(shape[-1], dtype=dtype), EPS)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5, 96), (2, 3, 14), (1, 2 * 1500)])
def test_gate(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    agree(
        "swiglu",
        some(*shape, dtype=dtype),
    )


@pytest.mark.parametrize("dtype", PRODUCT_TYPES)
@pytest.mark.parametrize("num_rows", [1, 33, wider(18), wider(64)])
def test_linear(num_rows: int, dtype: torch.dtype) -> None:
    agree("linear", some(num_rows, 64, dtype=dtype), some(48, 64, dtype=dtype), some(48, dtype=dtype))


@pytest.mark.parametrize(("num_in", "num_out"), [(48, 40), (300, 17), wider(8, 3), wider(512, 32)])
@pytest.mark.parametrize("num_rows", [18, 70, wider(1), wider(130)])
class TestOddSizes:
    """Nothing is a multiple of a tile."""

    def test_product_and_residual(self, num_rows: int, num_in: int, num_out: int) -> None:
        agree("linear_plus", some(num_rows, num_in), some(num_out, num_in), some(num_rows, num_out))

    def test_norm_and_product(self, num_rows: int, num_in: int, num_out: int) -> None:
        agree("norm_linear", some(num_rows, num_in), some(num_in), EPS, some(num_out, num_in))

    def test_norm_and_gate(self, num_rows: int, num_in: int, num_out: int) -> None:
        agree("norm_swiglu", some(num_rows, num_in), some(num_in), EPS, some(2 * num_out, num_in) / num_in**0.5)


@pytest.mark.parametrize("dtype", PRODUCT_TYPES)
def test_tokens_of_a_patch_as_they_lie(dtype: torch.dtype) -> None:
    """Some tokens of each row: rows with gaps between them."""
    x, residual = some(3, 9, 32, dtype=dtype)[:, 5:], some(3, 9, 24, dtype=dtype)[:, 5:]
    agree("linear_plus", x, some(24, 32, dtype=dtype), residual)
    agree("norm_linear", x, some(32, dtype=dtype), EPS, some(24, 32, dtype=dtype))
    agree("norm_swiglu", x, some(32, dtype=dtype), EPS, some(48, 32, dtype=dtype) / 6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", SIZES)
def test_rotation_into_the_cache(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    num_heads, num_kv_heads, dim = size
    both = unwritten(4, num_kv_heads, 2, 6, dim, dtype=dtype)  # keys and values lie in turn
    slots, positions = torch.tensor([2, 0, 2, 3, 1]), torch.tensor([5, 0, 4, 1, 3])
    qkv = some(5, num_heads + 2 * num_kv_heads, dim, dtype=dtype)
    for keys, values in [(both[:, :, 0], both[:, :, 1]), (both[:, :, 0].clone(), both[:, :, 1].clone())]:
        agree("rope_store", qkv, some(5, dim), some(5, dim), keys, values, slots, positions)


@pytest.mark.parametrize(("size", "dtype"), ATTENTION)
def test_attention_in_a_patch(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    num_heads, num_kv_heads, dim = size
    for num_tokens, first, last in [(9, 5, 9), (5, 0, 1), (3, 0, 3)]:
        qkv = some(2, num_tokens, num_heads + 2 * num_kv_heads, dim, dtype=dtype)
        agree("attend_patch", qkv, some(num_tokens, dim), some(num_tokens, dim), first, last, num_kv_heads)


@pytest.mark.parametrize(("size", "dtype"), ATTENTION)
def test_decoding_from_slots(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Contexts around every border of a split; two padding rows share the scratch slot."""
    positions = torch.tensor([0, 63, 64, 256, 299, 0, 0])
    slots = torch.tensor([4, 2, 0, 1, 3, 5, 5])
    attend(size, dtype, slots, positions, num_slots=6, block=1)


@pytest.mark.parametrize(("size", "dtype"), ATTENTION)
def test_prefilling_slots(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Beginnings, a continuation, a padded tail, and a block of padding alone."""
    tail = torch.cat([torch.arange(16, 21), torch.zeros(11, dtype=torch.int64)])
    positions = torch.cat([torch.arange(16), torch.arange(16), tail, torch.arange(130, 146), torch.zeros(16)]).long()
    slots = torch.tensor([3, 0, 0, 2, 4]).repeat_interleave(16)
    slots[37:48] = 4  # the tail's padding names the scratch slot
    attend(size, dtype, slots, positions, num_slots=5, block=16)


def attend(
    size: tuple[int, int, int], dtype: torch.dtype, slots: Tensor, positions: Tensor, *, num_slots: int, block: int
) -> None:
    """With a cache in which nothing stands but what the tokens see."""
    num_heads, num_kv_heads, dim = size
    keys, values = (unwritten(num_slots, num_kv_heads, 300, dim, dtype=dtype) for _ in range(2))
    for slot, position in zip(slots[::block].repeat_interleave(block).tolist(), positions.tolist(), strict=True):
        for cache in keys, values:
            rest = cache[slot, :, : position + 1]
            rest.copy_(torch.where(rest.isnan(), some(*rest.shape, dtype=dtype), rest))
    agree("attend_slots", some(len(slots), num_heads, dim, dtype=dtype), keys, values, slots, positions, block)

    apart = torch.tensor([place for place, slot in enumerate(slots.tolist()) if slot != num_slots - 1])
    if block > 1:  # whole blocks, without padding
        apart = torch.cat([torch.arange(32), torch.arange(48, 64)])
    for cache in keys, values:
        cache[slots[apart], :, positions[apart]] = torch.nan
    mixed = some(len(apart), num_heads + 2 * num_kv_heads, dim, dtype=dtype)
    tables = some(len(apart), dim), some(len(apart), dim)
    agree("rope_attend", mixed, *tables, keys, values, slots[apart], positions[apart], block)


def test_result_does_not_depend_on_the_company() -> None:
    """Alone, and among others of longer contexts: the same bits."""
    q, keys, values = some(4, 4, 16), some(4, 2, 300, 16), some(4, 2, 300, 16)
    slots, positions = torch.arange(4), torch.tensor([70, 299, 5, 130])
    for name, run in forms.attend_slots(q, keys, values, slots, positions, 1).items():
        together = run(q, keys, values, slots, positions, 1)
        for row in range(4):
            alone = run(q[row : row + 1], keys, values, slots[row : row + 1], positions[row : row + 1], 1)
            assert torch.equal(alone[0], together[row]), name


class TestChoosing:
    """The whole way of a call on a device, whose part the interpreter takes."""

    @pytest.fixture
    def timed(self) -> list[str]:
        return []

    @pytest.fixture
    def kernels(self, timed: list[str]) -> Kernels:
        """The longer the list, the faster the form: the last of them is chosen."""

        def timer(work: Callable[[], object]) -> float:
            work()
            timed.append("")
            return 100.0 - len(timed)

        kernels = Kernels(torch.device("cpu"), timer=timer)
        kernels._fused = forms
        return kernels

    def test_a_shape_is_measured_once_and_only_inside(self, kernels: Kernels, timed: list[str]) -> None:
        x, norm, wide = some(18, 32), some(32), some(96, 32)
        expected = plain.norm_swiglu(x, norm, EPS, wide)
        assert torch.equal(kernels.norm_swiglu(x, norm, EPS, wide), expected)
        assert kernels.choices() == {}
        with kernels.measuring():
            for _ in range(2):
                assert not difference([expected], [kernels.norm_swiglu(x, norm, EPS, wide)])
        assert len(timed) == 1 + len(forms.norm_swiglu(x, norm, EPS, wide))
        assert list(kernels.choices()) == ["norm_swiglu|18x32,32,96x32 float32"]
        assert not torch.equal(kernels.norm_swiglu(x, norm, EPS, wide), expected), "the fused form rounds otherwise"

    @pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
    def test_measuring_reads_nothing_of_the_call(self, kernels: Kernels) -> None:
        """Buffers that hold no numbers yet, all tokens at one entry: the forms are found to agree all the same."""
        cache = unwritten(3, 2, 40, 16)
        nowhere = torch.zeros(16, dtype=torch.int64)
        with kernels.measuring():
            kernels.linear_plus(unwritten(18, 32), some(48, 32), unwritten(18, 48))
            kernels.attend_patch(unwritten(2, 9, 8, 16), some(9, 16), some(9, 16), 5, 9, num_kv_heads=2)
            q = kernels.rope_store(
                unwritten(16, 8, 16), some(16, 16), some(16, 16), cache, cache.clone(), nowhere, nowhere
            )
            kernels.attend_slots(q, cache, cache, nowhere, nowhere, block=1)
            kernels.attend_slots(q, cache, cache, nowhere, nowhere, block=16)
            kernels.rope_attend(
                unwritten(16, 8, 16), some(16, 16), some(16, 16), cache, cache, nowhere, nowhere, block=1
            )
            kernels.rms_norm(unwritten(2, 32), some(32), EPS)
            kernels.linear(unwritten(2, 32), some(48, 32), some(48))
        assert len(kernels.choices()) == 8
        assert all(choice.startswith("fused ") and "failed" not in choice for choice in kernels.choices().values())

    def test_what_was_saved_is_run_without_a_measurement(
        self, kernels: Kernels, timed: list[str], tmp_path: Path
    ) -> None:
        x, norm = some(3, 32), some(32)
        with kernels.measuring():
            kernels.rms_norm(x, norm, EPS)
        kernels.save(tmp_path / "kernels.json")
        text = (tmp_path / "kernels.json").read_text()
        timed.clear()
        later = Kernels(torch.device("cpu"))
        later._fused = forms
        assert later.load(tmp_path / "kernels.json")
        assert later.choices() == kernels.choices()
        assert torch.equal(later.rms_norm(x, norm, EPS), kernels.rms_norm(x, norm, EPS))

        (tmp_path / "kernels.json").write_text(text.replace('"row"', '"column"'))
        assert later.load(tmp_path / "kernels.json")
        assert torch.equal(later.rms_norm(x, norm, EPS), plain.rms_norm(x, norm, EPS))
        assert later.choices()["rms_norm|3x32,32 float32"].startswith("plain"), "no such form any more"
        assert timed == []
