"""Activations that are computed again instead of kept."""

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from framecast.layers.recompute import recompute


def unroll(net: nn.Module, steps: int, when: bool) -> tuple[torch.Tensor, int]:
    """A net that feeds itself, and the values kept for its backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    def step(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"hidden": net(state["hidden"])}

    state = {"hidden": torch.linspace(-1, 1, 8 * 50).reshape(50, 8)}
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        for _ in range(steps):
            state = recompute(step, state, when=when)
    return state["hidden"].square().sum(), sum(kept.values())


def test_gradients_are_equal_and_less_is_kept():
    """With noise inside, which is drawn again as it was."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Dropout(0.2), nn.Linear(64, 8))
    results = []
    for when in (False, True):
        torch.manual_seed(1)
        loss, kept = unroll(net, 5, when)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        results.append((loss, gradients, kept))
    (loss, gradients, kept), (again, same, fewer) = results
    assert torch.equal(loss, again)
    assert all(torch.equal(a, b) for a, b in zip(gradients, same, strict=True))
    assert fewer < kept / 4


def test_without_gradients_nothing_is_computed_twice():
    """A prediction is a plain call."""
    calls = []
    with torch.no_grad():
        result = recompute(lambda x: calls.append(x) or x + 1, torch.ones(2), when=True)
    assert len(calls) == 1
    assert result.tolist() == [2, 2]
