"""Batch normalisation against torch's own, and when its statistics move."""

import pytest
import torch
from torch import nn

from framecast.layers.batch_norm import BatchNorm
from layers.processes import Alone, Rank, together


@pytest.mark.parametrize(("kind", "size"), [(nn.BatchNorm2d, (5, 5)), (nn.BatchNorm3d, (2, 3, 5))])
def test_norms_are_those_of_torch(kind, size):
    """By the batch in training, and then by running statistics that have moved once."""
    torch.manual_seed(0)
    own, theirs = BatchNorm(3), kind(3)
    for parameter in own.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict({"weight": own.weight, "bias": own.bias}, strict=False)
    first, second = torch.randn(4, 3, *size) * 2 + 1, torch.randn(4, 3, *size)
    for x in (first, second):
        torch.testing.assert_close(own(x), theirs(x))
        assert (own.mean == 0).all() == (x is first)
        own.settle(Alone())
    torch.testing.assert_close(own.mean, theirs.running_mean)
    torch.testing.assert_close(own.variance, theirs.running_var)
    torch.testing.assert_close(own.eval()(first), theirs.eval()(first))


def test_statistics_of_a_step_are_averaged():
    """Those of all micro-batches count once; nothing moves where nothing was seen."""
    norm = BatchNorm(2)
    batches = [torch.randn(4, 2, 3, 3) + number for number in range(3)]
    for batch in batches:
        norm(batch)
    norm.settle(Alone())
    mean = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variance = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(norm.mean, 0.1 * mean)
    torch.testing.assert_close(norm.variance, 0.9 + 0.1 * variance)
    before = norm.mean.clone()
    norm.eval()(batches[0])
    norm.settle(Alone())
    assert torch.equal(norm.mean, before)


def test_processes_agree_on_the_statistics():
    """The mean of theirs, in each of them."""
    batches = [torch.randn(4, 2, 3, 3) + number for number in range(2)]

    def work(rank: Rank) -> torch.Tensor:
        norm = BatchNorm(2)
        norm(batches[rank.global_rank])
        norm.settle(rank)
        return torch.stack([norm.mean, norm.variance])

    both = together(work, 2)
    assert torch.equal(both[0], both[1])
    torch.testing.assert_close(both[0][0], 0.1 * torch.cat(batches).mean((0, 2, 3)))


def test_weights_are_saved_by_these_names():
    """Which stand in model folders."""
    assert list(BatchNorm(2).state_dict()) == ["weight", "bias", "mean", "variance"]
