"""How likely a model finds the codes of what really comes next."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.evaluation.result import Interval, LevelLikelihood, LikelihoodInfo
from framecast.evaluation.statistics import Accumulator
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
    bits: Accumulator = field(default_factory=Accumulator)
    """Mean bits of a sequence's codes: of all levels, then of each."""
    codes: list[int] = field(default_factory=list)
    """Of each level: codes of a sequence's future."""
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
        groups = {"all": np.concatenate(bits, 1), **{str(n): each for n, each in enumerate(bits)}}
        self.bits.add({name: each.mean(1, keepdims=True) for name, each in groups.items()})
        self.codes = [level.shape[1] for level in bits]
        self.frames = future.length

    def info(self) -> LikelihoodInfo:
        """The figures; there has to be a sequence."""
        summaries = list(self.bits.summaries().values())
        together, *levels = (Interval.each(summary)[0] for summary in summaries)
        per_frame = float(summaries[0].mean[0]) * sum(self.codes) / self.frames
        pairs = zip(self.codes, levels, strict=True)
        return LikelihoodInfo(together, per_frame, [LevelLikelihood(*pair) for pair in pairs])
