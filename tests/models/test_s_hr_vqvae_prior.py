"""ST-PixelCNN: sizes, masks and causality."""

import itertools

import pytest
import torch
from torch import Tensor

from framecast.errors import ConfigError
from framecast.models.s_hr_vqvae.prior import PriorConfig, STPixelCNN

TINY = PriorConfig(hidden=8, convolutions=2, heads=2)


def prior(config: PriorConfig = TINY, layers: int = 2) -> STPixelCNN:
    torch.manual_seed(5)
    return STPixelCNN(config, layers, codewords=3, width=2).double()


def volume(frames: int, height: int, width: int, layers: int = 2) -> Tensor:
    torch.manual_seed(7)
    return torch.randn(1, frames, layers, 2, height, width, dtype=torch.float64)


def in_raster_order(logits: Tensor) -> Tensor:
    """Logits of the first sequence, layer by layer: `n (t h w) m`."""
    return logits[0].permute(1, 0, 3, 4, 2).flatten(1, 3)


def test_parameter_count_of_the_paper():
    net = STPixelCNN(PriorConfig(), layers=3, codewords=4, width=4)
    conditioning = sum(
        parameter.numel() for name, parameter in net.named_parameters() if "conditioning" in name
    )
    assert sum(parameter.numel() for parameter in net.parameters()) == 552_132 + 8_720
    assert conditioning == 8_720


@pytest.mark.parametrize("sizes", [{"hidden": 0}, {"convolutions": 0}, {"hidden": 6, "heads": 4}])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ConfigError):
        PriorConfig(**sizes)


@pytest.mark.parametrize("cross_layer", [True, False])
def test_a_code_changes_no_logit_up_to_itself(cross_layer):
    frames, height, width = 3, 3, 4
    config = PriorConfig(hidden=8, convolutions=2, heads=2, cross_layer=cross_layer)
    net, codes = prior(config), volume(frames, height, width)
    with torch.no_grad():
        before = in_raster_order(net(codes))
        for layer, t, y, x in itertools.product(range(2), range(3), range(height), range(width)):
            changed = codes.clone()
            changed[0, t, layer, :, y, x] += 1.5
            moved = (in_raster_order(net(changed)) != before).any(-1)
            place, other = (t * height + y) * width + x, 1 - layer
            assert not moved[layer, : place + 1].any()
            assert x + 1 == width or moved[layer, place + 1]
            # seen by a convolution at the same place a frame later, from there on by attention
            assert moved[layer, place + height * width :].all()
            if layer == 0 and cross_layer:
                assert not moved[other, : t * height * width].any()
                assert moved[other, place:].all()
            else:
                assert not moved[other].any()


def test_attention_reaches_beyond_the_convolutions():
    net, codes = prior(PriorConfig(hidden=8, convolutions=1, heads=2), 1), volume(6, 3, 7, 1)
    changed = codes.clone()
    changed[0, 0, 0, :, 0, 0] += 1.5
    with torch.no_grad():
        assert (net(changed)[0, -1, 0, :, 2, 6] != net(codes)[0, -1, 0, :, 2, 6]).all()
        for layer in net.nets:
            layer.attention.output.weight.zero_()
        assert (net(changed)[0, -1, 0, :, 2, 6] == net(codes)[0, -1, 0, :, 2, 6]).all()


def test_parents_at_later_places_of_the_same_frame_are_seen():
    net, codes = prior(), volume(2, 3, 3)
    changed = codes.clone()
    changed[0, 1, 0, :, 1, 1] += 1.5
    with torch.no_grad():
        moved = (net(changed) != net(codes))[0, 1, 1].any(0)
    assert moved[0, 0]


def test_the_first_frames_can_be_left_out():
    net, codes = prior(), volume(5, 3, 3)
    whole = net(codes)
    for first in range(5):
        torch.testing.assert_close(net(codes, first), whole[:, first:])


def test_hidden_weights_neither_act_nor_learn():
    net, codes = prior(), volume(3, 4, 4)
    before = net(codes)
    before.square().sum().backward()
    for layer in net.nets:
        for i, convolution in enumerate(layer.convolutions):
            hidden = torch.zeros(3, 3, 3, dtype=torch.bool)
            for y, x in itertools.product(range(3), range(3)):
                hidden[2, y, x] = 3 * y + x > 4 or (3 * y + x == 4 and i == 0)
            gradient = convolution.weight.grad
            assert gradient is not None
            assert (gradient[..., hidden] == 0).all()
            assert (gradient[..., ~hidden] != 0).flatten(0, 1).any(0).all()
            with torch.no_grad():
                convolution.weight[..., hidden] = 100.0
    assert torch.equal(net(codes), before)
    assert not any("mask" in name for name in net.state_dict())


def test_every_parameter_learns_also_in_bf16():
    net = prior().float()
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(volume(4, 4, 4).float(), 2)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    for name, parameter in net.named_parameters():
        # a bias of all keys alike changes no softmax
        if "key.bias" not in name:
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0
    torch.testing.assert_close(logits, net(volume(4, 4, 4).float(), 2), rtol=0.1, atol=0.05)


def test_a_clip_alone_gives_what_it_gives_in_a_batch():
    net = prior()
    clips = torch.cat([volume(4, 3, 5), volume(4, 3, 5).flip(1)])
    together = net(clips, 1)
    for i in range(2):
        torch.testing.assert_close(net(clips[i : i + 1], 1), together[i : i + 1])
