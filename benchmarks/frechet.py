"""How much a Fréchet distance of few features exceeds that of many: one table.

Pairs of sets are drawn from one Gaussian, so that the true distance is zero. Its covariance has the
eigenvalues 1, 1/2, 1/3, … in random directions.

    python benchmarks/frechet.py --features 400 --counts 16 64 256 1024 2048
"""

import argparse
import time

import numpy as np

from framecast.evaluation.metrics.frechet import FeatureMoments, frechet_distance


def main() -> None:
    """Draw, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=400)
    parser.add_argument("--counts", type=int, nargs="+", default=[16, 64, 256, 1024, 2048, 4096])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, size = np.random.default_rng(options.seed), options.features
    scale = np.arange(1, size + 1) ** -0.5
    turn = np.linalg.qr(draw.normal(size=(size, size)))[0]
    print(f"{'clips':>8}  {'% of trace':>10}  {'seconds':>8}")
    for count in options.counts:
        one, two = (
            FeatureMoments.of((draw.normal(size=(count, size)) * scale) @ turn) for _ in range(2)
        )
        begun = time.perf_counter()
        share = 100 * frechet_distance(one, two) / np.square(scale).sum()
        print(f"{count:8,}  {share:10.3g}  {time.perf_counter() - begun:8.2f}")


if __name__ == "__main__":
    main()
