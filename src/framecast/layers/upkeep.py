"""All that befalls codebooks beside gradients while they are trained."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.errors import ConfigError
from framecast.layers.codebooks import MovingAverageCodebooks, initialise, restart
from framecast.layers.quantise import Quantised, ResidualTree
from framecast.layers.usage import Usage
from framecast.stage import Reducer

SMOOTHING = 1e-5
"""ε of the moving averages."""
LEAST_USED = 0.01
"""Part of an equal share that a codeword takes at least to be reported as used."""


class Upkeep(nn.Module):
    """Codebooks from data after the first step; averages and replacements after the others.

    Codebooks that were learnt before are kept after the first step, too. A stage hands over what it
    quantised, in as many parts as it likes, and calls `after_step`.
    """

    drawn: Tensor
    """Whether training began with random codewords."""

    def __init__(
        self,
        tree: ResidualTree,
        decay: float,
        restart_every: int,
        restart_below: float,
        *,
        averaged: bool = True,
    ) -> None:
        """Start from the codewords of a tree.

        Args:
            tree: Whose codebooks are kept up; it is not kept.
            decay: γ, of the codewords and of how often each is chosen, in [0, 1).
            restart_every: Steps between replacements of dead codewords; 0 for never.
            restart_below: Part of an equal share below which a codeword is dead, in [0, 1).
            averaged: False leaves the codewords to gradients between the replacements.

        Raises:
            ConfigError: if one of them is out of range.
        """
        super().__init__()
        if restart_every < 0 or not 0 <= restart_below < 1:
            raise ConfigError("restart_every is 0 or more and restart_below from 0 to below 1")
        self.restart_every, self.restart_below = restart_every, restart_below
        self.usage = Usage(tree, decay)
        self.average = MovingAverageCodebooks(tree, decay, SMOOTHING) if averaged else None
        self.register_buffer("drawn", torch.tensor(tree.drawn))
        self._seen: list[tuple[Tensor, Tensor]] = []

    def see(self, quantised: Quantised) -> None:
        """Take note of what the tree quantised in this step."""
        self._seen.append((quantised.vectors.detach(), quantised.indices))

    @torch.no_grad()
    def after_step(self, tree: ResidualTree, step: int, reducer: Reducer) -> None:
        """Change the codebooks, alike in all processes, and forget what was seen.

        Args:
            tree: The one that was given at first; it quantised what was seen.
            step: Counted from 0.
            reducer: Of the process group, in which the global generators are alike.
        """
        vectors, indices = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        seed = int(torch.randint(2**31, ()))
        if step == 0 and self.drawn:
            initialise(tree, vectors, seed, reducer)
            if self.average:
                self.average.reset(tree, None)
            return
        self.usage.update(indices, reducer)
        if self.average:
            self.average.update(tree, vectors, indices, reducer)
        if step and self.restart_every and step % self.restart_every == 0:
            below = self.restart_below
            replaced = restart(tree, self.usage, vectors, indices, seed, below, reducer)
            if self.average:
                self.average.reset(tree, replaced)

    def perplexity(self) -> Float[Tensor, "n"]:
        """exp of the entropy of each layer's codewords; 1 before there are any."""
        return self.usage.perplexity()

    def used(self) -> Float[Tensor, "n"]:
        """Share of each layer's codewords that are in use, in [0, 1]."""
        return self.usage.used(max(self.restart_below, LEAST_USED))
