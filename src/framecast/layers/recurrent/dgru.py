"""dGRU: a GRU that also maps back, so that a stack of them is encoder and decoder at once."""

from typing import ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor

from framecast.layers.recurrent.convgru import ConvGRUUnit
from framecast.layers.recurrent.unit import Turn, Unit


class DGRUState(NamedTuple):
    """The hidden state, which is also what the unit above takes and updates on the way down."""

    hidden: Float[Tensor, "b k h w"]


class DGRUUnit(Unit[DGRUState]):
    """One double-mapping GRU: two sets of gates, one per direction.

    Level 0 is a frame's features and level l the hidden state of unit l. In a frame a stack goes up
    through all units, unit l updating level l from level l − 1 (`forward`), and then down from the
    top one, unit l updating level l − 1 from level l (`descend`). Both directions share the levels:
    a level that came down is the one that the unit below descends from, and the state that its own
    unit has in the next frame, `DGRUState(level)`. What comes down to level 0 is the output. The
    top level only goes up.

    Reference:
        Oliu et al., Folded Recurrent Neural Networks for Future Video Prediction (2018): the
        forward gates are `up`, the backward ones `down`.
    """

    descends: ClassVar[bool] = True

    def __init__(self, inputs: int, hidden: int, kernel: int = 5, *, bias: bool = False) -> None:
        """Make the gates of both directions.

        Args:
            inputs: Channels of the level below.
            hidden: Channels of the hidden state, the level above.
            kernel: Width of the convolutions, odd.
            bias: Whether gates and candidates have a bias.
        """
        super().__init__()
        self.hidden = hidden
        self.up = ConvGRUUnit(inputs, hidden, kernel, bias=bias)
        self.down = ConvGRUUnit(hidden, inputs, kernel, bias=bias)

    def initial(self, features: Float[Tensor, "b *c h w"]) -> DGRUState:
        """A hidden state of zeros."""
        return DGRUState(self.up.initial(features).hidden)

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: DGRUState,
        memory: Tensor | None = None,
    ) -> Turn[DGRUState]:
        """One frame, upwards: the hidden state from the level below."""
        del memory
        hidden = self.up.update(features, state.hidden)
        return Turn(hidden, DGRUState(hidden))

    def descend(
        self, above: Float[Tensor, "b k h w"], below: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Downwards: the level below, updated from the one above."""
        return self.down.update(above, below)
