"""A list of layers of one kind, so that type checkers know what iterating it gives."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


class Layers(nn.ModuleList, Generic[Layer]):
    """`nn.ModuleList` with the class of its items."""

    def __iter__(self) -> Iterator[Layer]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The layers in order."""
        return super().__iter__()  # pyright: ignore[reportReturnType]
