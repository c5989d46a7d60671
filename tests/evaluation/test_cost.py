"""Multiply–adds of predictions, counted by hand beside them."""

import pytest
import torch

from framecast.errors import FramecastError
from framecast.evaluation.cost import multiply_adds
from framecast.models.convlstm import ConvLSTMConfig
from framecast.models.copy_last import CopyLastConfig
from framecast.models.s_hr_vqvae.model import SHRVQVAEConfig
from framecast.models.unit_stack import UnitStackConfig
from models.tiny_s_hr_vqvae import SMALL as SMALL_S_HR

SMALL = ConvLSTMConfig(patch=2, hidden=(3, 5), kernel=3)


@pytest.mark.parametrize(("context", "horizon"), [(1, 1), (4, 1), (2, 3)])
def test_every_product_of_a_convolutional_network_counts_once(context, horizon):
    """Two layers on maps of 4×6 cells, and a 1×1 output for what is needed of it."""
    steps, cells = context + horizon - 1, 4 * 6
    gates = 9 * 4 * (3 * (4 + 3) + 5 * (3 + 5))
    expected = cells * steps * (gates + 5 * 4)
    assert multiply_adds(SMALL, context, horizon, (8, 12)) == expected


def test_frames_are_padded_first():
    """As they are when they are predicted."""
    assert multiply_adds(SMALL, 2, 2, (7, 11)) == multiply_adds(SMALL, 2, 2, (8, 12))


def test_attention_counts():
    """Of four frames, past memories of 2×2 cells are compared with and averaged by the last."""
    fields = {"channels": 1, "patch": 2, "levels": 1, "layers": 1, "hidden": 3, "kernel": 1}
    config = UnitStackConfig(unit="e3d-lstm", norm="none", **fields)
    two, three, four = (multiply_adds(config, frames, 1, (8, 8)) for frames in (2, 3, 4))
    assert (four - three) - (three - two) == 2 * 4 * 4 * 3


def test_what_copies_costs_nothing():
    """And frames of any number of channels are made for it."""
    assert multiply_adds(CopyLastConfig(), 2, 3, (8, 8), channels=3) == 0


def test_what_depends_on_values_cannot_be_counted():
    """A tokens' sampler goes on by the tokens that it drew."""
    with pytest.raises(FramecastError, match="s-hr-vqvae computes by the values"):
        multiply_adds(SHRVQVAEConfig(), 2, 1, (8, 8))


def test_what_depends_on_values_is_counted_by_doing_it():
    """The same number every time, of more frames more; global randomness stays as it is."""
    state = torch.get_rng_state()
    one, three, again = (multiply_adds(SMALL_S_HR, 2, n, (8, 8), computed=True) for n in (1, 3, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert 0 < one < three == again
    for length in (1, 3):
        usual = multiply_adds(SMALL, 2, length, (8, 12))
        assert multiply_adds(SMALL, 2, length, (8, 12), computed=True) == usual


def test_wrong_frames_are_named():
    """As in predicting."""
    with pytest.raises(FramecastError, match="at least 1 frame"):
        multiply_adds(SMALL, 2, 0, (8, 8))
