"""copy-last: the last observed frame, repeated. What every other model has to beat."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step
from framecast.noise import Noise


@dataclass(frozen=True)
class CopyLastConfig(ModelConfig):
    """There is nothing to configure."""

    type: ClassVar[str] = "copy-last"


class CopyLast(Model):
    """Repeats the last observed frame; takes frames of any size and channels."""

    config_type = CopyLastConfig

    @property
    def expects(self) -> FrameSpec:
        """Any frames."""
        return FrameSpec(channels=None)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """The last frame, `horizon` times; all samples are equal."""
        del noise, options
        last = context.frames[:, -1].expand(samples or 1, -1, -1, -1, -1)
        for _ in range(horizon):
            yield Step(last)

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """Each frame as the prediction of its next one."""
        return clip.frames[:, :-1]
