"""How much of a tree's codebooks is in use.

The codebooks of all layers stand in one table: the codeword `index` of codebook `c` has the slot
`c * M + index`, and what it left over is quantised by codebook `slot + 1`.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from framecast.errors import ConfigError
from framecast.layers import agreement
from framecast.layers.quantise import ResidualTree
from framecast.stage import Reducer
from framecast.tokens import perplexity


class Usage(nn.Module):
    """Moving average of how many vectors each codeword takes in a step; a buffer."""

    counts: Tensor

    def __init__(self, tree: ResidualTree, decay: float) -> None:
        """Nothing seen yet.

        Args:
            tree: Whose codewords are counted; it is not kept.
            decay: Of the moving average, in [0, 1).

        Raises:
            ConfigError: if the decay is out of range.
        """
        super().__init__()
        self.decay = checked_decay(decay)
        self.lengths = [len(codebook) for codebook in tree.codebooks]
        self.register_buffer("counts", torch.zeros(sum(self.lengths), tree.size))

    @torch.no_grad()
    def update(self, indices: Int64[Tensor, "p n"], reducer: Reducer) -> None:
        """Count a step's indices of all processes."""
        places = slots(indices, self.counts.shape[1]).flatten()
        new = torch.bincount(places, minlength=self.counts.numel()).to(self.counts.dtype)
        new = agreement.total(reducer, new).view_as(self.counts)
        self.counts.lerp_(new, 1 - self.decay)

    def perplexity(self) -> Float[Tensor, "n"]:
        """exp of the entropy of each layer's codewords, from 1 to M^i; 1 before the first step."""
        return torch.stack([perplexity(layer) for layer in self.counts.split(self.lengths)])

    def used(self, threshold: float) -> Float[Tensor, "n"]:
        """Share of each layer's codewords that are in use, in [0, 1]; 0 before the first step.

        Args:
            threshold: Part of an equal share of all vectors that a codeword in use takes at least,
                above 0.
        """
        layers = self.counts.split(self.lengths)
        in_use = [(layer > 0) & (layer >= threshold * layer.mean()) for layer in layers]
        return torch.stack([each.to(self.counts.dtype).mean() for each in in_use])

    def dead(self, threshold: float) -> Bool[Tensor, "codebooks m"]:
        """Codewords that take too few of the vectors of their own codebook.

        Args:
            threshold: Part of an equal share of the codebook's vectors below which a codeword is
                dead, in [0, 1). In a codebook that gets no vectors none is dead.
        """
        return self.counts < threshold * self.counts.mean(-1, keepdim=True)


def slots(indices: Int64[Tensor, "p n"], size: int) -> Int64[Tensor, "p n"]:
    """Place of each codeword of a path in the table of all codebooks of `size` codewords."""
    found: list[Tensor] = []
    codebook = torch.zeros_like(indices[:, 0])
    for index in indices.unbind(1):
        found.append(codebook * size + index)
        codebook = found[-1] + 1
    return torch.stack(found, 1)


def checked_decay(decay: float) -> float:
    """The decay of a moving average.

    Raises:
        ConfigError: if it is not in [0, 1).
    """
    if not 0 <= decay < 1:
        raise ConfigError(f"the decay of a moving average is from 0 to below 1, got {decay}")
    return decay
