"""The stand-in for flash-attn against attention written out, in float32 and on odd shapes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bench.peer_modules.flash_attn import (
    _paged_kernel,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
)
from bench.report import ROOT

SHAPES = ((16, 2, 64), (6, 3, 16), (4, 4, 12))  # heads, key-value heads, dim


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, *, causal: bool) -> Tensor:
    """q [S, heads, dim], k and v [T, kv_heads, dim], head by head and token by token."""
    out = torch.zeros_like(q)
    group = q.shape[1] // k.shape[1]
    for token in range(len(q)):
        num_seen = len(k) - len(q) + token + 1 if causal else len(k)
        for head in range(q.shape[1]):
            keys, values = k[:num_seen, head // group], v[:num_seen, head // group]
            out[token, head] = ((keys @ q[token, head]) * scale).softmax(0) @ values
    return out


def paged(lengths: list[int], page: int, kv_heads: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Keys' and values' pages in no order, and who has which; what is not used is -1 or nonsense."""
    counts = [-(-length // page) for length in lengths]
    order = torch.randperm(sum(counts) + 3).tolist()
    table = torch.full((len(lengths), max(counts) + 1), -1, dtype=torch.int32)
    for row, count in enumerate(counts):
        for index in range(count):
            table[row, index] = order.pop()
    shape = (sum(counts) + 3, page, kv_heads, dim)
    return torch.randn(shape), torch.randn(shape), table


def in_a_row(pages: Tensor, table: Tensor, length: int) -> Tensor:
    return torch.stack([pages[table[token // pages.shape[1]], token % pages.shape[1]] for token in range(length)])


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), SHAPES)
@pytest.mark.parametrize("length", [1, 5, 9])
@pytest.mark.parametrize("causal", [False, True])
def test_dense_attention_is_that_of_each_row(heads: int, kv_heads: int, dim: int, length: int, causal: bool) -> None:
    q, k, v = (torch.randn(3, length, n, dim) for n in (heads, kv_heads, kv_heads))
    found = flash_attn_func(q, k, v, softmax_scale=0.3, causal=causal)
    expected = [attention(*row, 0.3, causal=causal) for row in zip(q, k, v, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-5)
    assert found.is_contiguous()


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), SHAPES)
def test_packed_sequences_do_not_see_each_other_nor_what_is_to_come(heads: int, kv_heads: int, dim: int) -> None:
    lengths = [3, 1, 7]
    q, k, v = (torch.randn(sum(lengths), n, dim) for n in (heads, kv_heads, kv_heads))
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    found = flash_attn_varlen_func(
        q, k, v, max_seqlen_q=7, cu_seqlens_q=ends, max_seqlen_k=7, cu_seqlens_k=ends, softmax_scale=0.2, causal=True
    )
    pieces = zip(*(torch.split(each, lengths) for each in (q, k, v)), strict=True)
    expected = torch.cat([attention(*piece, 0.2, causal=True) for piece in pieces])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_new_tokens_of_packed_sequences_see_the_pages_before_them() -> None:
    new, lengths = [2, 4], [9, 4]
    q = torch.randn(sum(new), 6, 16)
    keys, values, table = paged(lengths, 4, 3, 16)
    ends_q, ends_k = (torch.tensor([0, *each]).cumsum(0).int() for each in (new, lengths))
    found = flash_attn_varlen_func(
        q, keys, values, max_seqlen_q=4, cu_seqlens_q=ends_q, max_seqlen_k=9, cu_seqlens_k=ends_k,
        softmax_scale=0.5, causal=True, block_table=table,
    )  # fmt: skip
    rows = zip(torch.split(q, new), table, lengths, strict=True)
    expected = [
        attention(own, in_a_row(keys, pages, length), in_a_row(values, pages, length), 0.5, causal=True)
        for own, pages, length in rows
    ]
    torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), SHAPES)
def test_one_token_reads_its_own_pages_and_padding_gives_zeros(heads: int, kv_heads: int, dim: int) -> None:
    lengths, page = [5, 0, 300, 64], 64
    q = torch.randn(len(lengths), 1, heads, dim)
    keys, values, table = paged(lengths, page, kv_heads, dim)
    found = flash_attn_with_kvcache(
        q, keys, values, cache_seqlens=torch.tensor(lengths, dtype=torch.int32), block_table=table, softmax_scale=0.2
    )
    assert not found[1].any()
    for row, length in enumerate(lengths):
        if length:
            k, v = (in_a_row(each, table[row], length) for each in (keys, values))
            torch.testing.assert_close(found[row], attention(q[row], k, v, 0.2, causal=True), rtol=0, atol=1e-5)


INTERPRETED = """
import torch
import triton.runtime.interpreter as interpreter
from bench.peer_modules import flash_attn
from tests.bench.test_flash_attn import SHAPES, paged

patch = interpreter._patch_lang_tensor

def with_scalars(tensor, scope):  # of a newer numpy, an array of one value is no longer an index
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

interpreter._patch_lang_tensor = with_scalars
torch.manual_seed(2)
lengths = torch.tensor([5, 0, 130], dtype=torch.int32)
for heads, kv_heads, dim in SHAPES:
    q = torch.randn(3, 1, heads, dim)
    keys, values, table = paged(lengths.tolist(), 64, kv_heads, dim)
    arguments = dict(cache_seqlens=lengths, block_table=table, softmax_scale=0.2)
    kernel = flash_attn.flash_attn_with_kvcache(q, keys, values, **arguments)
    flash_attn._is_interpreted = lambda: False
    plain = flash_attn.flash_attn_with_kvcache(q, keys, values, **arguments)
    flash_attn._is_interpreted = lambda: True
    assert (kernel - plain).abs().max() < 1e-5, (heads, kv_heads, dim)
    assert not kernel[1].any()
print("as the plain form")
"""


def test_the_kernel_of_the_paged_cache_is_its_plain_form() -> None:
    """In a process of its own: whether Triton interprets is decided when it is imported."""
    command = [sys.executable, "-c", INTERPRETED]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "as the plain form"


@pytest.mark.parametrize("arch", [80, 90])
def test_the_kernel_of_the_paged_cache_compiles_for_a_device_that_is_not_here(arch: int) -> None:
    pointers = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), "*bf16")
    numbers = {"lengths_ptr": "*i32", "table_ptr": "*i32", "table_stride": "i32", "scale": "fp32"}
    sizes = {"PAGE": 256, "KV_HEADS": 2, "GROUP": 8, "DIM": 64, "ROWS": 16, "COLUMNS": 64, "TILE": 64}
    source = ASTSource(_paged_kernel, pointers | numbers | dict.fromkeys(sizes, "constexpr"), sizes)
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32))
    assert compiled.metadata.shared <= 96 * 1024
