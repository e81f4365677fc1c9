"""The three functions of the package flash-attn that nano-vllm-voxcpm calls, over what PyTorch and Triton bring.

There is no wheel of flash-attn for every PyTorch. Only bench.peer_nano puts this folder on its path. On CUDA: dense
attention is SDPA's flash kernel, packed attention the flash kernel itself, and the paged cache is read by a kernel of
our own; elsewhere all three are computed plainly, for the tests. What share of a peer's step they are is measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

_TILE = 64  # tokens of the cache at a time; divides every page


def flash_attn_func(
    q: Tensor, k: Tensor, v: Tensor, *, softmax_scale: float | None = None, causal: bool = False
) -> Tensor:
    """q [B, S, heads, dim], k and v [B, S, kv_heads, dim] -> [B, S, heads, dim]."""
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION] if q.is_cuda else [SDPBackend.MATH]):
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=softmax_scale, enable_gqa=True)
    return mixed.transpose(1, 2).contiguous()


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    max_seqlen_q: int,
    cu_seqlens_q: Tensor,
    max_seqlen_k: int,
    cu_seqlens_k: Tensor,
    softmax_scale: float | None = None,
    causal: bool = False,
    block_table: Tensor | None = None,
) -> Tensor:
    """Sequences in a row: q [tokens, heads, dim], k and v [tokens, kv_heads, dim] -> [tokens, heads, dim].

    With a block table k and v are pages [pages, page, kv_heads, dim], which are first put in a row (and waited for):
    the peer asks for that only where a prefix of whole pages is shared, which no speech of a benchmark has.
    """
    if block_table is not None:
        lengths = cu_seqlens_k.diff().tolist()
        k, v = (torch.cat(list(_unpaged(pages, block_table, lengths))) for pages in (k, v))
    if q.is_cuda:
        forward = torch.ops.aten._flash_attention_forward
        mixed: Tensor = forward(
            q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, 0.0, causal, False, scale=softmax_scale
        )[0]
        return mixed
    sizes = [each.diff().tolist() for each in (cu_seqlens_q, cu_seqlens_k)]
    pieces = zip(*(torch.split(x, size) for x, size in zip((q, k, v), (*sizes, sizes[1]), strict=True)), strict=True)
    return torch.cat([_plain(*piece, scale=softmax_scale, causal=causal) for piece in pieces])


def flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    *,
    cache_seqlens: Tensor,
    block_table: Tensor,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """One token of each sequence over its pages: q [B, 1, heads, dim], caches [pages, page, kv_heads, dim].

    `block_table` [B, pages of the longest] int32, `cache_seqlens` [B] int32; a sequence of no tokens gives zeros. The
    one token is the last, so that causal or not is the same.
    """
    scale = softmax_scale if softmax_scale is not None else q.shape[-1] ** -0.5
    if not q.is_cuda and not _is_interpreted():
        lengths = cache_seqlens.tolist()
        pairs = zip(_unpaged(k_cache, block_table, lengths), _unpaged(v_cache, block_table, lengths), strict=True)
        rows = [_plain(row, k, v, scale=scale) if len(k) else row * 0 for row, (k, v) in zip(q, pairs, strict=True)]
        return torch.stack(rows)
    batch, _, num_heads, dim = q.shape
    num_kv_heads = k_cache.shape[2]
    group = num_heads // num_kv_heads
    q = q.contiguous()
    mixed = torch.empty_like(q)
    _paged_kernel[(batch, num_kv_heads)](
        q, k_cache, v_cache, mixed, cache_seqlens, block_table, block_table.stride(0), scale,
        PAGE=k_cache.shape[1], KV_HEADS=num_kv_heads, GROUP=group, DIM=dim,
        ROWS=max(16, triton.next_power_of_2(group)), COLUMNS=triton.next_power_of_2(dim), TILE=_TILE,
    )  # fmt: skip
    return mixed


@triton.jit  # type: ignore[untyped-decorator]
def _paged_kernel(  # type: ignore[no-untyped-def]
    q_ptr, k_ptr, v_ptr, out_ptr, lengths_ptr, table_ptr, table_stride, scale,
    PAGE: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """One sequence and key-value head: its group of query heads over all tokens, with a running softmax."""
    row, head = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths_ptr + row)
    heads, columns, tokens = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, TILE)
    is_value = (heads < GROUP)[:, None] & (columns < DIM)[None, :]
    at = (row * KV_HEADS + head) * GROUP * DIM + heads[:, None] * DIM + columns[None, :]
    q = tl.load(q_ptr + at, mask=is_value, other=0.0)
    highest = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mixed = tl.zeros([ROWS, COLUMNS], tl.float32)
    for start in range(0, length, TILE):
        page = tl.load(table_ptr + row * table_stride + start // PAGE).to(tl.int64)
        token = page * PAGE + start % PAGE + tokens
        is_there = start + tokens < length
        where = (token[:, None] * KV_HEADS + head) * DIM + columns[None, :]
        mask = is_there[:, None] & (columns < DIM)[None, :]
        k = tl.load(k_ptr + where, mask=mask, other=0.0)
        v = tl.load(v_ptr + where, mask=mask, other=0.0)
        scores = tl.where(is_there[None, :], tl.dot(q, tl.trans(k)) * scale, -1e30)
        rise = tl.maximum(highest, tl.max(scores, 1))
        weights = tl.exp(scores - rise[:, None])
        kept = tl.exp(highest - rise)
        total = total * kept + tl.sum(weights, 1)
        mixed = mixed * kept[:, None] + tl.dot(weights.to(v.dtype), v)
        highest = rise
    mixed = mixed / tl.maximum(total, 1e-30)[:, None]
    tl.store(out_ptr + at, mixed.to(out_ptr.dtype.element_ty), mask=is_value)


def _plain(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None, causal: bool = False) -> Tensor:
    """One sequence: q [tokens, heads, dim]. Its last token sees all keys, whatever their number."""
    group = q.shape[1] // k.shape[1]
    k, v = (each.repeat_interleave(group, 1) for each in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) * (scale if scale is not None else q.shape[-1] ** -0.5)
    if causal:
        seen = torch.ones(len(q), len(k), dtype=torch.bool).tril(len(k) - len(q))
        scores = scores.masked_fill(~seen, float("-inf"))
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)


def _unpaged(pages: Tensor, block_table: Tensor, lengths: list[int]) -> Iterator[Tensor]:
    """Each sequence's tokens [length, kv_heads, dim]."""
    for row, length in zip(block_table, lengths, strict=True):
        num_pages = -(-length // pages.shape[1])
        yield pages[row[:num_pages].long()].flatten(0, 1)[:length]


def _is_interpreted() -> bool:
    return not isinstance(_paged_kernel, triton.runtime.JITFunction)
