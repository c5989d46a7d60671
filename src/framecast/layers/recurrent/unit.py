"""What every recurrent unit is: a layer that goes through time in a predictive stack."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

State = TypeVar("State")


@dataclass(frozen=True)
class Turn(Generic[State]):
    """What a unit gives back for one frame's features."""

    output: Float[Tensor, "b k *d h w"]  # to the unit above
    state: State  # to itself, at the next frame
    memory: Float[Tensor, "b m *d h w"] | None = None  # the second stream; None where there is none


class Unit(nn.Module, ABC, Generic[State]):
    """One layer of a predictive stack.

    A unit is made by `Unit(inputs, hidden, kernel)`, and whatever else it has is a keyword with a
    default. In every frame it takes the features from below and its own state; some also hand a
    second stream, the memory, from unit to unit and from the top unit to the bottom one of the next
    frame.
    """

    zigzags: ClassVar[bool] = False
    """Whether the unit has a memory; all units of a stack then have `hidden` features."""
    descends: ClassVar[bool] = False
    """Whether the unit also maps from above to below: it then has `descend`."""

    hidden: int
    axes: int = 2
    """Spatial axes of its maps: (h, w), or (d, h, w)."""

    @abstractmethod
    def initial(self, features: Float[Tensor, "b *c h w"]) -> State:
        """The state before the first frame, for features of this batch and size."""

    @abstractmethod
    def forward(
        self,
        features: Float[Tensor, "b c *d h w"],
        state: State,
        memory: Float[Tensor, "b m *d h w"] | None = None,
    ) -> Turn[Any]:
        """One frame.

        Args:
            features: From the unit below, or the encoder.
            state: From the frame before.
            memory: From the unit below, or from the top unit at the frame before; None at first.
        """

    def zeros(
        self, features: Float[Tensor, "b *c h w"], maps: int = 1
    ) -> Float[Tensor, "b n *d h w"]:
        """Zeros of `maps` times `hidden` channels, for features of this batch and size."""
        return features.new_zeros(len(features), maps * self.hidden, *features.shape[-self.axes :])

    def descend(
        self, above: Float[Tensor, "b k h w"], below: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Update what is below from what is above, after all units have gone up.

        Raises:
            NotImplementedError: if the unit only goes up.
        """
        del above, below
        raise NotImplementedError(f"{type(self).__name__} only goes up")
