"""What black frames have in a protocol: figures that sparse data gives away.

On Moving-MNIST black has a lower absolute error and a higher SSIM than many a blurred prediction.
`framecast compare` takes the folder of its results, for paired tests with a model.

    python benchmarks/black_frames.py MNIST [--protocol moving-mnist/10-10] [--limit 1000] [--out F]
"""

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.cli.evaluate import lines
from framecast.cli.terminal import show
from framecast.clip import Clip
from framecast.evaluation.protocol import find
from framecast.evaluation.runner import evaluate
from framecast.model import Options, Step
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.noise import Noise


@dataclass(frozen=True)
class BlackConfig(CopyLastConfig):
    """There is nothing to configure."""

    type: ClassVar[str] = "black"


class Black(CopyLast):
    """Black frames, where the last observed one would be repeated."""

    config_type = BlackConfig

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Black frames, `horizon` times."""
        for step in super().rollout(context, horizon, samples, noise, options):
            yield Step(torch.zeros_like(step.frame))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """Black as the prediction of every frame."""
        return torch.zeros_like(super().teacher_forced(clip))


def main() -> None:
    """Read the arguments, evaluate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="where the data lies")
    parser.add_argument("--protocol", default="moving-mnist/10-10")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/black"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = evaluate(
        Black(BlackConfig()),
        find(options.protocol),
        root=options.root,
        limit=options.limit,
        out=options.out,
        command=shlex.join(["python", *sys.argv]),
    )
    show({}, lines(result, options.out), as_json=False)


if __name__ == "__main__":
    main()
