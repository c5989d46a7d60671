"""A hierarchical residual vector quantiser, and its losses.

Layer i quantises what the layers before it left over, with one of M^(i-1) codebooks: the one of the
path of codewords chosen so far. A tree of one layer is a plain vector quantiser. Nothing here
changes a codebook: see `framecast.layers.codebooks` for what does.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.errors import ConfigError, FramecastError

_WIDE = 4096
"""Numbers in a codebook from which one matrix product replaces differences."""
_BLOCK = 2**22
"""Numbers of the search that are in memory at a time."""


@dataclass(frozen=True)
class Quantised:
    """What a tree made of vectors, layer by layer."""

    indices: Int64[Tensor, "p n"]  # of the codewords, each in [0, M) in its parent's codebook
    codewords: Float[Tensor, "p n d"]  # e^1 … e^n; gradients reach the codebooks
    residuals: Float[Tensor, "p n d"]  # ξ^0 … ξ^(n-1), quantised by the layers; gradients reach ξ^0

    @property
    def vectors(self) -> Float[Tensor, "p d"]:
        """What was quantised, ξ^0."""
        return self.residuals[:, 0]

    @property
    def total(self) -> Float[Tensor, "p d"]:
        """The combined embedding e_C, the sum of the codewords; gradients reach the codebooks."""
        return self.codewords.sum(1)

    @property
    def straight_through(self) -> Float[Tensor, "p d"]:
        """The values of e_C exactly; their gradients go to the vectors unchanged, to no codebook.

        Taken after the residuals: a residual of this would have no gradient left.
        """
        return self.total.detach() + (self.vectors - self.vectors.detach())


@dataclass(frozen=True)
class QuantiserLoss:
    """The quantiser's part of an autoencoder's loss."""

    codebook: Float[Tensor, ""]  # moves codewords to vectors
    commitment: Float[Tensor, ""]  # moves vectors to codewords; weighted

    @property
    def total(self) -> Float[Tensor, ""]:
        """Sum of the parts."""
        return self.codebook + self.commitment

    def __add__(self, other: "QuantiserLoss") -> "QuantiserLoss":
        """Sum part by part."""
        return QuantiserLoss(self.codebook + other.codebook, self.commitment + other.commitment)


class ResidualTree(nn.Module):
    """M^(i-1) codebooks of M codewords in each layer i of n; each codeword has its own next one.

    The codeword `local` of the codebook `parent` has the number `parent * M + local` among all of
    its layer, which is also the number of its codebook in the next layer.

    Reference: Adiban et al., S-HR-VQVAE, Section 4.1 and Eq 3.
    """

    def __init__(self, layers: int, codewords: int, width: int) -> None:
        """Small random codewords.

        Args:
            layers: How many times a vector is quantised, n.
            codewords: Codewords in each codebook, M.
            width: Numbers in a vector, D.

        Raises:
            ConfigError: if one of them is below 1.
        """
        super().__init__()
        if min(layers, codewords, width) < 1:
            raise ConfigError(
                "a quantiser has at least 1 layer, codeword and number in each vector, "
                f"got {layers}, {codewords} and {width}"
            )
        self.layers, self.size, self.width = layers, codewords, width
        shapes = [(codewords**layer, codewords, width) for layer in range(layers)]
        self.codebooks = nn.ParameterList(nn.Parameter(torch.empty(shape)) for shape in shapes)
        for codebook in self.codebooks:
            nn.init.uniform_(codebook, -1 / codewords, 1 / codewords)
        self.drawn = True
        self.register_load_state_dict_post_hook(_learnt)

    drawn: bool
    """Whether the codewords are the first, random ones, and not from a file or another model."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codewords in each layer: M, M² … M^n."""
        return tuple(self.size ** (layer + 1) for layer in range(self.layers))

    @property
    def values(self) -> tuple[int, ...]:
        """Values that an index of each layer can take: M, n times."""
        return (self.size,) * self.layers

    def forward(self, vectors: Float[Tensor, "p d"]) -> Quantised:
        """The nearest codeword of each layer's current codebook; nothing is changed.

        Distances are in float32 at least, under autocast too. Of codewords that are equally near
        the one of the lowest index is taken.

        Args:
            vectors: Rows to quantise, of the tree's width.

        Raises:
            FramecastError: if the vectors are of another width.
        """
        if vectors.shape[1] != self.width:
            raise FramecastError(
                f"this quantiser takes vectors of {self.width} numbers, got {vectors.shape[1]}"
            )
        with torch.autocast(vectors.device.type, enabled=False):
            residual = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
            parents = torch.zeros(len(vectors), dtype=torch.int64, device=vectors.device)
            indices, codewords, residuals = [], [], []
            for codebook in self.codebooks:
                index = nearest(residual.detach(), codebook.detach(), parents)
                parents = parents * self.size + index
                codeword = functional.embedding(parents, codebook.flatten(0, 1))
                indices.append(index)
                codewords.append(codeword)
                residuals.append(residual)
                # earlier codewords are not moved by later layers; the vectors still are
                residual = residual - codeword.detach()
        return Quantised(*(torch.stack(each, 1) for each in (indices, codewords, residuals)))

    def lookup(self, indices: Int64[Tensor, "*p k"]) -> Float[Tensor, "*p k d"]:
        """The codewords of paths, or of their beginnings; gradients reach the codebooks.

        Args:
            indices: Of the first k layers, each in [0, M).

        Raises:
            FramecastError: if there are more layers than the tree has.
        """
        numbers = self.numbers(indices)
        codewords = [
            functional.embedding(numbers[..., layer], self.codebooks[layer].flatten(0, 1))
            for layer in range(indices.shape[-1])
        ]
        return torch.stack(codewords, -2)

    @torch.no_grad()
    def below(
        self, indices: Int64[Tensor, "*p n"], vectors: Float[Tensor, "*p d"]
    ) -> Int64[Tensor, "*p n"]:
        """In each layer, the index that would have been best below the others of a path.

        That is of the codeword nearest to what the codewords of the layers before leave over.

        Args:
            indices: A path for each vector; the last layer's play no part.
            vectors: What the paths stand for, well or badly.
        """
        parents = torch.zeros_like(indices[..., 0])
        codewords, residual, best = self.lookup(indices), vectors, []
        for layer, codebook in enumerate(self.codebooks):
            found = nearest(residual.flatten(0, -2), codebook, parents.flatten())
            best.append(found.view_as(parents))
            parents = parents * self.size + indices[..., layer]
            residual = residual - codewords[..., layer, :]
        return torch.stack(best, -1)

    def numbers(self, indices: Int64[Tensor, "*p k"]) -> Int64[Tensor, "*p k"]:
        """The number of each codeword of a path among all of its layer, in [0, M^i).

        Args:
            indices: Of the first k layers, each in [0, M).

        Raises:
            FramecastError: if there is no layer, or there are more than the tree has.
        """
        layers = indices.shape[-1]
        if not 1 <= layers <= self.layers:
            raise FramecastError(f"a path has from 1 to {self.layers} indices, got {layers}")
        numbers = [indices[..., 0]]
        for layer in range(1, layers):
            numbers.append(numbers[-1] * self.size + indices[..., layer])
        return torch.stack(numbers, -1)

    def leaves(self, indices: Int64[Tensor, "*p k"]) -> Int64[Tensor, "*p"]:
        """One number in [0, M^k) for each path, that of its last codeword; see `paths`."""
        return self.numbers(indices)[..., -1]

    def paths(self, leaves: Int64[Tensor, "*p"]) -> Int64[Tensor, "*p n"]:
        """The path to each codeword of the last layer; the inverse of `leaves`."""
        powers = [self.size ** (self.layers - 1 - layer) for layer in range(self.layers)]
        digits = [leaves.div(power, rounding_mode="floor") % self.size for power in powers]
        return torch.stack(digits, -1)


def _learnt(tree: nn.Module, keys: object) -> None:
    """Called when a tree has taken over codewords."""
    del keys
    assert isinstance(tree, ResidualTree)
    tree.drawn = False


@torch.no_grad()
def nearest(
    vectors: Float[Tensor, "p d"],
    codebooks: Float[Tensor, "parents m d"],
    parents: Int64[Tensor, "p"],
) -> Int64[Tensor, "p"]:
    """Index of the codeword nearest to each vector in its parent's codebook, the lowest of several.

    At most p × M distances are computed, a bounded number of them at a time.
    """
    codebooks = codebooks.to(vectors.dtype)
    count, size, width = codebooks.shape
    if count == 1 and size * width >= _WIDE:
        codebook = codebooks[0]
        norms = codebook.square().sum(-1)
        parts = vectors.split(max(1, _BLOCK // size))
        return torch.cat([torch.addmm(norms, v, codebook.T, alpha=-2).argmin(-1) for v in parts])
    rows = max(1, _BLOCK // (size * width))
    found: list[Tensor] = []
    for v, parent in zip(vectors.split(rows), parents.split(rows), strict=True):
        children = functional.embedding(parent, codebooks.flatten(1)).unflatten(-1, (size, width))
        found.append((v.unsqueeze(1) - children).square().sum(-1).argmin(-1))
    return torch.cat(found)


def vector_loss(
    vectors: Float[Tensor, "p d"], codewords: Float[Tensor, "p d"], beta: float
) -> QuantiserLoss:
    """‖sg[ξ] − e‖² + β‖sg[e] − ξ‖² of vectors ξ and codewords e, as means over all elements.

    Reference: Adiban et al., S-HR-VQVAE, Eqs 2 and 5.
    """
    codebook = functional.mse_loss(codewords, vectors.detach())
    return QuantiserLoss(codebook, beta * functional.mse_loss(vectors, codewords.detach()))


def tree_loss(quantised: Quantised, beta: float = 0.25, layer_beta: float = 0.25) -> QuantiserLoss:
    """The quantiser's terms of Eqs 4 and 5; squared norms are means over all elements.

    Eq 4's terms compare the combined embedding with the vectors and move all layers' codewords;
    Eq 5's compare each layer's codewords with what it quantised and move that layer alone. A tree
    of one layer has Eq 4's terms alone: they are plain VQ-VAE's, Eq 2.

    Args:
        quantised: What the tree returned.
        beta: β_0, weight of the commitment to the combined embedding.
        layer_beta: β_i, weight of the commitment to the codewords of each layer.

    Reference: Adiban et al., S-HR-VQVAE, Eqs 4 and 5.
    """
    loss = vector_loss(quantised.vectors, quantised.total, beta)
    layers = quantised.indices.shape[1]
    if layers > 1:
        for layer in range(layers):
            residual, codeword = quantised.residuals[:, layer], quantised.codewords[:, layer]
            loss = loss + vector_loss(residual, codeword, layer_beta)
    return loss
