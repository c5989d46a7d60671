"""5×5 convolutions by Winograd's minimal filtering beside PyTorch's, by shape.

Forward, and forward and backward, of maps of noise; rounds alternate and the best counts. Times are
processor time of one thread. The error is that of the results, root mean square over that of a
convolution in double precision.

    python benchmarks/convolutions.py [--rounds 5]
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from framecast.layers.winograd import Volumes, pays
from timing import timed


class Shape(NamedTuple):
    """Kernels and maps."""

    inputs: int
    outputs: int
    frames: int
    side: int
    batch: int = 4

    def __str__(self) -> str:
        """A row's name."""
        volume = f"{self.frames}×" if self.frames > 1 else ""
        return f"{self.inputs} to {self.outputs}, {self.batch} of {volume}{self.side}×{self.side}"


SHAPES = (
    Shape(128, 896, 2, 16),
    Shape(256, 128, 2, 16),
    Shape(128, 896, 1, 16),
    Shape(128, 512, 1, 16),
    Shape(128, 512, 1, 16, 40),
    Shape(64, 256, 1, 16, 8),
    Shape(64, 256, 1, 64),
    Shape(64, 256, 1, 12, 8),
)


def measured(shape: Shape, rounds: int) -> str:
    """One row."""
    layer = Volumes(shape.inputs, shape.outputs, (shape.frames, 5, 5), bias=False)
    maps = torch.randn(shape.batch, shape.inputs, shape.frames, shape.side, shape.side)
    if not pays(maps, layer.weight):
        raise SystemExit(f"{shape} is not convolved at points")
    ways: tuple[Callable[[Tensor], Tensor], ...] = (layer.by_frames, layer)
    forward, both = [[float("inf")] * 2 for _ in range(2)]
    for _ in range(rounds):
        for way, convolve in enumerate(ways):
            with torch.no_grad():
                forward[way] = min(forward[way], timed(lambda c=convolve: c(maps)))
            own = maps.clone().requires_grad_()
            both[way] = min(both[way], timed(lambda c=convolve, x=own: c(x).sum().backward()))
    exact = layer.double().by_frames(maps.double())
    layer.float()
    with torch.no_grad():
        errors = [(way(maps) - exact).square().mean().sqrt() / exact.std() for way in ways]
    times = "".join(f"{1e3 * t:9.1f}{1e3 * w:9.1f}{t / w:7.2f}" for t, w in (forward, both))
    return f"{shape!s:30}{times}{errors[0]:10.1e}{errors[1]:10.1e}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'milliseconds':30}{'forward':>9}{'ours':>9}{'':7}{'both':>9}{'ours':>9}{'':7}  errors")
    for shape in SHAPES:
        print(measured(shape, options.rounds), flush=True)


if __name__ == "__main__":
    main()
