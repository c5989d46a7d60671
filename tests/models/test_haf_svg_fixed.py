"""The decoder of a rollout beside the decoder itself."""

import pytest
import torch
from torch import nn

from framecast.models.haf_svg import fixed
from framecast.models.haf_svg.coders import CoderConfig, Decoder
from framecast.models.haf_svg.fixed import FixedDecoder


def decoder_of(**fields) -> Decoder:
    """A small decoder in double precision; nothing is what it starts as."""
    torch.manual_seed(0)
    decoder = Decoder(CoderConfig(size=16, width=3, features=6, **fields)).double().eval()
    for name, tensor in decoder.state_dict().items():
        if name.endswith(".variance"):
            tensor.uniform_(0.5, 1.5)
        else:
            nn.init.normal_(tensor, std=0.4)
    return decoder


@pytest.mark.parametrize("value_from", ["encoder", "decoder"])
@pytest.mark.parametrize(("channels", "kind"), [(1, "dcgan"), (7, "dcgan"), (1, "vgg"), (3, "vgg")])
@pytest.mark.parametrize("aligned", [False, True])
@torch.no_grad()
def test_it_decodes_as_the_decoder(aligned, channels, kind, value_from):
    """Two samples of three frames; few and many channels are convolved differently."""
    heights = (8,) if aligned else ()
    decoder = decoder_of(channels=channels, kind=kind, aligned=heights, value_from=value_from)
    config = decoder.config
    maps = [
        torch.randn(3, width, height, height).double()
        for width, height in zip(config.widths, config.heights, strict=True)
    ]
    recalled, vectors = decoder.recall(maps), torch.randn(6, 6).double()
    decode = FixedDecoder(decoder, recalled)
    for part in (vectors, vectors.flip(0)):
        torch.testing.assert_close(decode(part), decoder(part, recalled))


@torch.no_grad()
def test_recalled_features_are_convolved_once():
    """No convolution of a frame has them among its inputs."""
    decoder = decoder_of(aligned=(8,))
    maps = [torch.randn(1, width, side, side).double() for width, side in ((3, 8), (6, 4))]
    decode = FixedDecoder(decoder, decoder.recall(maps))
    seen: list[int] = []
    linear = fixed.Convolution.linear

    def spy(self: fixed.Convolution, x: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape[1])
        return linear(self, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed.Convolution, "linear", spy)
        decode(torch.randn(2, 6).double())
    assert seen == [6, 6, 2 * 3]
