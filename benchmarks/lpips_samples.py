"""LPIPS of many samples of a future, where each true frame is looked at once, and for every sample.

SqueezeNet with random weights. Both ways give the same distances, which is checked. Rounds
alternate and the best counts; times are processor time.

    python benchmarks/lpips_samples.py [--samples 50] [--frames 8] [--size 64] [--rounds 3]
"""

import argparse

import torch

from framecast.evaluation.metrics.lpips import Lpips, lpips
from timing import timed


def main() -> None:
    """Read the arguments and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Lpips("squeeze", "0.1")
    shape = (options.samples, 1, options.frames, 1, options.size, options.size)
    samples, truth = torch.rand(shape), torch.rand(shape[1:]).expand(shape)
    copies = truth.contiguous()
    torch.testing.assert_close(lpips(samples, truth, model), lpips(samples, copies, model))
    once, each = [], []
    for _ in range(options.rounds):
        once.append(timed(lambda: lpips(samples, truth, model)))
        each.append(timed(lambda: lpips(samples, copies, model)))
    ratio = min(each) / min(once)
    print(f"once {min(once):.2f} s, for every sample {min(each):.2f} s: {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
