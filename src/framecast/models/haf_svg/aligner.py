"""How a decoder uses the features of an observed frame: as they lie, or aligned by attention.

Reference:
    Lin, Yuan, Li, HAF-SVG (IJCAI 2020), Section 4.3.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

ValueFrom = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class Recalled:
    """Features F_k^e of observed frames at one level, and what an aligner makes of them."""

    features: Float[Tensor, "b c h w"]
    key: Float[Tensor, "b c h w"] | None = None
    value: Float[Tensor, "b c h w"] | None = None  # where it is made of F_k^e

    def pick(self, rows: Int[Tensor, " n"]) -> "Recalled":
        """Some rows, in any order and number."""
        parts = (self.features, self.key, self.value)
        return Recalled(*(None if part is None else part[rows] for part in parts))  # pyright: ignore[reportArgumentType]


class Skip(nn.Module):
    """A plain skip connection, as in SVG."""

    widths = 2
    """How many times wider the output is than the decoder's features."""

    def recall(self, features: Float[Tensor, "b c h w"]) -> Recalled:
        """What is computed once for an observed frame."""
        return Recalled(features)

    def forward(self, x: Float[Tensor, "n c h w"], recalled: Recalled) -> Tensor:
        """[F_t^d; F_k^e]; with s samples of b observed frames, n = s·b, samples first."""
        return torch.cat([x, repeated(recalled.features, len(x))], 1)


class Aligner(nn.Module):
    """Attention from every position of the decoder's features to those of an observed frame.

    Reference:
        HAF-SVG, Eq 5.
    """

    widths = 3
    """How many times wider the output is than the decoder's features."""

    def __init__(self, channels: int, value_from: ValueFrom, *, scaled: bool) -> None:
        """Make the three projections.

        Args:
            channels: C, of both kinds of features.
            value_from: Which features the value is made of: the encoder's, which the text says are
                aligned, or the decoder's, as the formula is printed.
            scaled: Whether scores are divided by √C; the paper has them as they are.
        """
        super().__init__()
        self.query, self.key, self.value = (
            nn.Conv2d(channels, channels, 1, bias=False) for _ in range(3)
        )
        self.value_from: ValueFrom = value_from
        self.scale = channels**-0.5 if scaled else 1.0

    def recall(self, features: Float[Tensor, "b c h w"]) -> Recalled:
        """What is computed once for an observed frame: K, and V where it is made of F_k^e."""
        value = self.value(features) if self.value_from == "encoder" else None
        return Recalled(features, self.key(features), value)

    def forward(self, x: Float[Tensor, "n c h w"], recalled: Recalled) -> Tensor:
        """[F_t^d; F_k^e; Z_t], without ever holding the N×N attention map.

        With s samples of b observed frames, n = s·b, samples first; the frames' keys are shared.
        """
        return torch.cat([x, repeated(recalled.features, len(x)), self.aligned(x, recalled)], 1)

    def aligned(self, x: Float[Tensor, "n c h w"], recalled: Recalled) -> Float[Tensor, "n c h w"]:
        """Z_t alone."""
        assert recalled.key is not None
        batch, height = len(recalled.features), x.shape[2]
        value = self.value(x) if recalled.value is None else recalled.value
        query = _positions(self.query(x), batch)
        key, value = (
            _positions(part, batch).expand(-1, query.shape[1], -1, -1)
            for part in (recalled.key, value)
        )
        aligned = functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return rearrange(aligned, "b s (h w) c -> (s b) c h w", h=height)

    def attention(
        self, x: Float[Tensor, "b c h w"], recalled: Recalled, positions: Int[Tensor, "p 2"]
    ) -> Float[Tensor, "b p h w"]:
        """Rows of the attention map A, as pictures.

        Args:
            x: Decoder features F_t^d.
            recalled: Of as many observed frames.
            positions: (row, column) of the positions that ask.

        Returns:
            Where each of them looks; each picture sums to 1.
        """
        assert recalled.key is not None
        query = self.query(x)[:, :, positions[:, 0], positions[:, 1]]
        scores = torch.einsum("bcp,bchw->bphw", query, recalled.key) * self.scale
        return scores.flatten(2).softmax(-1).unflatten(2, x.shape[2:])


def repeated(x: Tensor, rows: int) -> Tensor:
    """The rows of a tensor over and over, up to a number of rows."""
    return x.expand(rows // len(x), *x.shape).flatten(0, 1)


def _positions(x: Float[Tensor, "n c h w"], batch: int) -> Float[Tensor, "b s u c"]:
    # fused kernels want the channels of a position side by side; without them the map would be held
    return rearrange(x, "(s b) c h w -> b s (h w) c", b=batch).contiguous()
