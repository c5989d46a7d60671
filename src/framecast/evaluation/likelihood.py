"""How likely a model finds the codes of what really comes next."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.evaluation.result import Interval, LevelLikelihood, LikelihoodInfo
from framecast.evaluation.statistics import Moments
from framecast.model import Model, evaluating


def check_likelihood(model: Model, context: Clip, future: Clip) -> None:
    """See that a model gives a future's codes a likelihood.

    Raises:
        ConfigError: if it has no codes, or takes no future of this length.
    """
    CodeLikelihood(model).add(context, future)


@dataclass
class CodeLikelihood:
    """Bits of the true futures' codes, each given all before it; sums alone are kept."""

    model: Model
    levels: list[Moments] = field(default_factory=list)
    """Of each level: mean bits of a sequence's codes."""
    codes: list[int] = field(default_factory=list)
    """Of each level: codes of a sequence's future."""
    together: Moments | None = None
    """Mean bits over the codes of all levels."""
    frames: int = 0
    """Of a sequence's future."""

    def add(self, context: Clip, future: Clip) -> None:
        """Take some sequences.

        Raises:
            ConfigError: as in `check_likelihood`.
        """
        with torch.no_grad(), evaluating(self.model):
            try:
                nats = self.model.code_log_probs(
                    context.to(self.model.device), future.to(self.model.device)
                )
            except ValueError as error:
                raise ConfigError(f"--likelihood: {error}") from None
        bits = [-level.double().cpu().numpy() / math.log(2) for level in nats]
        means = [level.mean(1, keepdims=True) for level in bits]
        every = np.concatenate(bits, 1).mean(1, keepdims=True)
        if self.together is None:
            self.levels = [Moments.of(mean) for mean in means]
            self.together = Moments.of(every)
        else:
            self.levels = [old.add(new) for old, new in zip(self.levels, means, strict=True)]
            self.together = self.together.add(every)
        self.codes = [level.shape[1] for level in bits]
        self.frames = future.length

    def info(self) -> LikelihoodInfo:
        """The figures; there has to be a sequence."""
        assert self.together is not None
        levels = [
            LevelLikelihood(count, _interval(moments))
            for count, moments in zip(self.codes, self.levels, strict=True)
        ]
        found = _interval(self.together)
        per_frame = float(self.together.mean[0]) * sum(self.codes) / self.frames
        return LikelihoodInfo(found, per_frame, levels)


def _interval(moments: Moments) -> Interval:
    return Interval.each(moments.summary())[0]
