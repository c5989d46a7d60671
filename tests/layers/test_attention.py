"""Causal attention against a softmax over explicit lists of keys."""

import math

import pytest
import torch
from torch import Tensor

from framecast.layers import attention
from framecast.layers.attention import CausalAttention, attend, causal_attention, merge

SCALE = 0.4


def brute(query: Tensor, key: Tensor, value: Tensor, offset: int | None) -> tuple[Tensor, Tensor]:
    """Value and log-normaliser, query by query; query i sees keys up to i + offset, or all."""
    values, sums = torch.empty_like(query), torch.empty(query.shape[:3], dtype=query.dtype)
    for b in range(query.shape[0]):
        for head in range(query.shape[1]):
            for i in range(query.shape[2]):
                end = key.shape[2] if offset is None else i + offset + 1
                scores = torch.stack(
                    [(query[b, head, i] * key[b, head, j]).sum() * SCALE for j in range(end)]
                )
                weights = scores.exp() / scores.exp().sum()
                values[b, head, i] = sum(w * value[b, head, j] for j, w in enumerate(weights))
                sums[b, head, i] = scores.exp().sum().log()
    return values, sums


def operands(queries: int, keys: int, order: str = "n heads d") -> list[Tensor]:
    """Operands whose axes lie in memory in an order."""
    torch.manual_seed(3)
    made = [torch.randn(2, 3, n, 5, dtype=torch.float64) for n in (queries, keys, keys)]
    axes = [["b", "heads", "n", "d"].index(axis) for axis in ("b", *order.split())]
    back = [axes.index(axis) for axis in range(4)]
    return [x.permute(axes).contiguous().permute(back).requires_grad_() for x in made]


ORDERS = pytest.mark.parametrize("order", ["heads n d", "n heads d", "heads d n"])
"""Whatever lies beside what: a kernel may take one of them for granted."""


@ORDERS
@pytest.mark.parametrize("causal", [False, True])
def test_attend_gives_value_and_normaliser(causal, order):
    query, key, value = operands(7, 7, order)
    found = attend(query, key, value, SCALE, causal=causal)
    expected, log_sum = brute(query, key, value, 0 if causal else None)
    torch.testing.assert_close(found.value, expected)
    torch.testing.assert_close(found.log_sum, log_sum)


def test_parts_merge_into_the_whole():
    query, key, value = operands(4, 9)
    parts = [
        attend(query, key[:, :, place], value[:, :, place], SCALE)
        for place in (slice(None, 6), slice(6, None))
    ]
    whole, expected = merge(*parts), attend(query, key, value, SCALE)
    torch.testing.assert_close(whole.value, expected.value)
    torch.testing.assert_close(whole.log_sum, expected.log_sum)


@ORDERS
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (4, 9), (1, 5)])
def test_last_queries_see_what_came_before(queries, keys, order):
    query, key, value = operands(queries, keys, order)
    found = causal_attention(query, key, value, SCALE)
    expected, _ = brute(query, key, value, keys - queries)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(expected).transpose(1, 2).contiguous().transpose(1, 2)
    got = torch.autograd.grad(found, (query, key, value), gradient)
    want = torch.autograd.grad(expected, (query, key, value), gradient)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other)


def test_without_a_fused_kernel_it_is_the_same(monkeypatch):
    query, key, value = (x.detach() for x in operands(6, 6))
    fused = attend(query, key, value, SCALE, causal=True)
    monkeypatch.setattr(attention, "SCORES", 2 * 3 * 6 * 2)  # two queries at a time
    plain = attention.attend_by_rows(query, key, value, SCALE, causal=True)
    torch.testing.assert_close(plain.value, fused.value)
    torch.testing.assert_close(plain.log_sum, fused.log_sum)


@pytest.mark.parametrize("first", [0, 5])
def test_module_is_multi_head_attention(first):
    torch.manual_seed(0)
    module = CausalAttention(12, 4).double()
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    q, k, v = (layer(x) for layer in (module.query, module.key, module.value))
    rows = torch.empty_like(x)
    for head in range(4):
        part = slice(3 * head, 3 * head + 3)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(3)
        scores = scores + torch.full((9, 9), -math.inf).triu(1)
        rows[..., part] = scores.softmax(-1) @ v[..., part]
    torch.testing.assert_close(module(x, first), module.output(rows)[:, first:])
    parameters = list(module.parameters())
    got = torch.autograd.grad(module(x, first).square().sum(), parameters)
    want = torch.autograd.grad(module.output(rows)[:, first:].square().sum(), parameters)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other)


def test_bf16_autocast_is_close():
    torch.manual_seed(0)
    module, x = CausalAttention(16, 4), torch.randn(2, 40, 16)
    exact = module(x, 10)
    with torch.autocast("cpu", torch.bfloat16):
        rough = module(x, 10)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.02)
    rough.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
