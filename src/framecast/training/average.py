"""The moving average of the weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of a module's trained parameters.

    After step k (counted from 0) the average is `d · average + (1 − d) · weights` with
    `d = min(decay, (1 + k) / (10 + k))`: short at first, so that the initial weights are forgotten.
    Without a decay there is no average, and the weights stand for themselves.
    """

    def __init__(self, module: nn.Module, decay: float | None) -> None:
        """Begin with the weights as they are; parameters without gradients stay out."""
        self._decay = decay or 0.0
        named = module.named_parameters() if decay is not None else ()
        self._parameters = {name: p for name, p in named if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._parameters.items():
            self._average[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the weights for a while."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state(self) -> dict[str, Tensor]:
        """The average by the parameters' names."""
        return dict(self._average)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, average in self._average.items():
            average.copy_(state[name])

    def _exchange(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self._average[name] = self._average[name], parameter.data
