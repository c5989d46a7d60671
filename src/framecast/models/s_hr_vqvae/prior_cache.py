"""What one layer's network of an ST-PixelCNN keeps while it draws frame after frame.

Of every convolution: the last two frames that it read, what they give to the frame being drawn, and
that frame as far as it is known. Of the attention: keys and values of all positions so far, those
of the context once per sequence, however many samples are drawn from it; nothing of an attention
that is silent.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from framecast.layers.attention_cache import Memory
from framecast.layers.norm import normalised
from framecast.models.s_hr_vqvae.prior_net import CausalConv3d, LayerNet, MaskedConv3d

PAST = 2
"""Frames before its own that a convolution reads."""


class PastFrames:
    """The last frames that a convolution read, and what they give to the next one."""

    def __init__(self, convolution: CausalConv3d, frames: Float[Tensor, "b c t h w"]) -> None:
        """Keep the last of the frames that a context gave; what is missing before them is zero."""
        self.weight = convolution.taps()[:, :, :PAST].transpose(1, 2).flatten(1, 2).contiguous()
        self.bias = convolution.bias
        missing = max(0, PAST - frames.shape[2])
        padded = functional.pad(frames, (0, 0, 0, 0, missing, 0))
        self.frames = padded[:, :, -PAST:].transpose(1, 2)

    def repeat(self, samples: int) -> None:
        """The same past for all samples of each sequence."""
        self.frames = self.frames.repeat(samples, 1, 1, 1, 1)

    def contribution(self) -> Float[Tensor, "r c h w"]:
        """What the past frames give to each place of the next frame, bias included."""
        return functional.conv2d(self.frames.flatten(1, 2), self.weight, self.bias, padding=1)

    def push(self, frame: Float[Tensor, "r c h w"]) -> None:
        """The next frame becomes the last one."""
        self.frames = torch.stack([*self.frames.unbind(1)[1:], frame], 1)


class Grid:
    """The frame being drawn as a masked convolution reads it, with a border of zeros.

    A place's neighbours before it in raster order are above and to the left, so the border is a row
    on top and a column at either side.
    """

    def __init__(self, convolution: MaskedConv3d, rows: int, height: int, width: int) -> None:
        """Make an empty frame."""
        weight = convolution.taps()[:, :, PAST].flatten(2)
        self.taps = [tap for tap in range(9) if bool(convolution.mask[PAST].view(-1)[tap])]
        self.weight = weight[:, :, self.taps].permute(2, 1, 0).flatten(0, 1).contiguous()
        self.height, self.width, channels = height, width, weight.shape[1]
        self.cells = weight.new_zeros(rows, (height + 1) * (width + 2), channels)
        self.view = self.cells.unflatten(1, (height + 1, width + 2))[:, 1:, 1:-1]
        starts = [y * (width + 2) + x for y in range(height) for x in range(width)]
        steps = torch.tensor([tap // 3 * (width + 2) + tap % 3 for tap in self.taps])
        around = torch.tensor(starts)[:, None] + steps
        self.around = around.to(weight.device)
        self.neighbours = self.around.unbind(0)
        place = self.cells.unbind(1)
        self.places = [place[start + width + 3] for start in starts]

    def at(self, position: int) -> Float[Tensor, "r n"]:
        """The channels of all neighbours of one place."""
        return self.cells.index_select(1, self.neighbours[position]).flatten(1)

    def everywhere(self) -> Float[Tensor, "r p n"]:
        """The channels of the neighbours of every place."""
        found = self.cells.index_select(1, self.around.flatten())
        return found.view(len(found), len(self.neighbours), -1)

    def fill(self, frame: Float[Tensor, "r p c"]) -> None:
        """Put a whole frame."""
        self.view.copy_(frame.unflatten(1, (self.height, self.width)))

    def frame(self) -> Float[Tensor, "r c h w"]:
        """The frame as it stands."""
        return self.view.permute(0, 3, 1, 2).clone()


class LayerCache:
    """One layer's network, frame by frame: all positions at once, or one after another."""

    def __init__(
        self,
        net: LayerNet,
        own: Float[Tensor, "b d t h w"],
        given: Float[Tensor, "b d t h w"],
        samples: int,
    ) -> None:
        """Read the context, given as in the network's forward, for `samples` rows of each."""
        features, places = net.features(own, given)
        batch, *_, self.height, self.width = own.shape
        rows = samples * batch
        self.net = net
        self.grids = [Grid(c, rows, self.height, self.width) for c in net.convolutions]
        self.pasts = [PastFrames(*pair) for pair in zip(net.convolutions, features, strict=True)]
        self.given = None if net.conditioning is None else PastFrames(net.conditioning, given)
        for past in (*self.pasts, *([self.given] if self.given else [])):
            past.repeat(samples)
        attention = net.attention
        self.memory = None
        if not attention.silent:
            self.memory = Memory(attention, normalised(places), samples)

    def begin(self, given: Float[Tensor, "r d h w"], candidates: Float[Tensor, "r p m d"]) -> None:
        """Start the next frame.

        Args:
            given: The sum of the codewords of the layers before this one, in this frame.
            candidates: The codeword that each token would stand for at each position.
        """
        contributions = [past.contribution() for past in self.pasts]
        if self.given is not None and self.net.conditioning is not None:
            weight = self.net.conditioning.taps()[:, :, PAST]
            now = functional.conv2d(given, weight, padding=1)
            contributions[0] = contributions[0] + self.given.contribution() + now
            self.given.push(given)
        flat = [part.flatten(2).transpose(1, 2).contiguous() for part in contributions]
        self.constant = [part.unbind(1) for part in flat]
        self.constants = flat
        rows, positions, values, _ = candidates.shape
        self.candidates = candidates.flatten(0, 2)
        starts = torch.arange(rows * positions, device=candidates.device) * values
        self.starts = starts.view(rows, positions)
        self.start = self.starts.unbind(1)
        if self.memory is not None:
            self.memory.begin(positions)

    def step(self, position: int, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r m"]:
        """Logits of one position; the tokens before it are known, and were so to earlier calls."""
        first, *rest = self.grids
        if position:
            index = self.start[position - 1] + tokens[:, position - 1]
            first.places[position - 1].copy_(self.candidates.index_select(0, index))
        x = torch.addmm(self.constant[0][position], first.at(position), first.weight)
        for grid, constant in zip(rest, self.constant[1:], strict=True):
            torch.clamp_min(x, 0, out=grid.places[position])
            x = torch.addmm(constant[position], grid.at(position), grid.weight).add_(x)
        memory = self.memory
        if memory is None:
            return self.net.output(x.relu_())
        return self.net.output(memory.step(position, normalised(x)).add_(x).relu_())

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of all positions."""
        first, *rest = self.grids
        first.fill(self._codewords(tokens))
        x = self.constants[0] + first.everywhere() @ first.weight
        for grid, constant in zip(rest, self.constants[1:], strict=True):
            grid.fill(functional.relu(x))
            x = x + constant + grid.everywhere() @ grid.weight
        memory = self.memory
        if memory is None:
            return self.net.output(x.relu_())
        return self.net.output(memory.portion(normalised(x)).add_(x).relu_())

    def finish(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r d h w"]:
        """End the frame with these tokens, which the last calls were given; their codewords."""
        self.grids[0].fill(self._codewords(tokens))
        for past, grid in zip(self.pasts, self.grids, strict=True):
            past.push(grid.frame())
        return self.grids[0].frame()

    def _codewords(self, tokens: Tensor) -> Tensor:
        return functional.embedding(self.starts + tokens, self.candidates)


class LayerReplay:
    """One layer's network without a cache: all frames are gone through again for every answer."""

    def __init__(
        self,
        net: LayerNet,
        own: Float[Tensor, "b d t h w"],
        given: Float[Tensor, "b d t h w"],
        samples: int,
    ) -> None:
        """Keep the context; the arguments are those of `LayerCache`."""
        self.net = net
        self.own, self.given = (x.repeat(samples, 1, 1, 1, 1) for x in (own, given))

    def begin(self, given: Float[Tensor, "r d h w"], candidates: Float[Tensor, "r p m d"]) -> None:
        """Start the next frame, as `LayerCache` does."""
        self.given = torch.cat([self.given, given.unsqueeze(2)], 2)
        self.candidates = candidates

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of all positions."""
        own = torch.cat([self.own, self._codewords(tokens).unsqueeze(2)], 2)
        logits = self.net(own, self.given, self.own.shape[2])
        return logits.squeeze(1).flatten(2).transpose(1, 2)

    def finish(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r d h w"]:
        """End the frame with these tokens; their codewords."""
        codewords = self._codewords(tokens)
        self.own = torch.cat([self.own, codewords.unsqueeze(2)], 2)
        return codewords

    def _codewords(self, tokens: Tensor) -> Tensor:
        index = tokens[..., None, None].expand(-1, -1, 1, self.candidates.shape[-1])
        chosen = self.candidates.gather(2, index).squeeze(2).transpose(1, 2)
        return chosen.unflatten(2, self.own.shape[-2:])
