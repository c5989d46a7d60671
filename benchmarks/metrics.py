"""Speed of the metrics against scikit-image, or how much their variants differ.

    python benchmarks/metrics.py
    FRAMECAST_WEIGHTS=FOLDER python benchmarks/metrics.py --effect FOLDER_WITH_MNIST

scikit-image takes one frame at a time and ours take all; both give the same values, which is
checked first. Rounds alternate and the best counts, since other processes disturb that least.
LPIPS among the variants needs SqueezeNet's weights and is left out without them.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)
from torch import Tensor
from torch.nn import functional

from framecast.data.moving_digits import MovingDigits
from framecast.evaluation.metrics import lpips, pixel, ssim

Ours = Callable[[Tensor, Tensor], Tensor]
Theirs = Callable[[np.ndarray, np.ndarray], float]  # one frame, h w c


def similarity(**options: object) -> Theirs:
    """scikit-image's SSIM with options."""
    return lambda one, two: float(structural_similarity(one, two, channel_axis=-1, **options))


def as_bytes(function: Theirs) -> Theirs:
    """The function on frames truncated to bytes."""
    return lambda one, two: function((one * 255).astype(np.uint8), (two * 255).astype(np.uint8))


GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
PAIRS: dict[str, tuple[Ours, Theirs]] = {
    "SSIM Gaussian 11×11": (ssim.ssim_gaussian, similarity(**GAUSSIAN)),
    "SSIM 7×7, range 1": (ssim.ssim_uniform_range1, similarity(data_range=1)),
    "SSIM 7×7, range 2": (ssim.ssim_uniform_range2, similarity(data_range=2)),
    "SSIM 7×7, uint8": (ssim.ssim_uint8, as_bytes(similarity())),
    "PSNR": (pixel.psnr, lambda one, two: peak_signal_noise_ratio(two, one, data_range=1)),
    "PSNR, uint8": (pixel.psnr_uint8, as_bytes(lambda a, b: peak_signal_noise_ratio(b, a))),
    "MSE, mean": (pixel.mse_mean, lambda one, two: float(mean_squared_error(one, two))),
}


def seconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def compare_speed(count: int, size: tuple[int, int], channels: int, rounds: int) -> None:
    """Print one row per metric."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(count, channels, *size, generator=generator)
    noise = 0.1 * torch.randn(target.shape, generator=generator)
    prediction = (target + noise).clamp(0, 1)
    pairs = list(
        zip(
            *(x.permute(0, 2, 3, 1).contiguous().numpy() for x in (prediction, target)), strict=True
        )
    )
    print(f"{count} frames of {size[0]}×{size[1]}×{channels}, {torch.get_num_threads()} thread(s)")
    print(f"{'':<22}{'scikit-image':>14}{'framecast':>12}{'times as fast':>15}{'difference':>12}")
    for name, (ours, theirs) in PAIRS.items():
        expected = np.array([theirs(one, two) for one, two in pairs])
        difference = np.abs(ours(prediction, target).numpy() - expected).max()
        if difference > 1e-4:
            raise SystemExit(f"{name} differs from scikit-image by {difference:.1e}")
        slow, fast = np.inf, np.inf
        for _ in range(rounds):
            slow = min(slow, seconds(lambda f=theirs: [f(one, two) for one, two in pairs]))
            for _ in range(4):
                fast = min(fast, seconds(lambda f=ours: f(prediction, target)))
        row = f"{slow * 1e3:>11.0f} ms{fast * 1e3:>9.1f} ms{slow / fast:>15.1f}"
        print(f"{name:<22}{row}{difference:>12.0e}")


def blurred(frames: Tensor, sigma: float) -> Tensor:
    """Frames behind a Gaussian blur of σ pixels, borders reflected."""
    offset = torch.arange(-6, 7, dtype=torch.float32)
    weight = torch.exp(-offset.square() / (2 * sigma**2))
    kernel = torch.outer(weight, weight) / weight.sum() ** 2
    return functional.conv2d(functional.pad(frames, (6, 6, 6, 6), "reflect"), kernel[None, None])


def print_effect(root: Path, sequences: int) -> None:
    """Print what the variants give for the same blurred and noisy digits."""
    source = MovingDigits(root=root).source("test", frames=10, seed=0)
    clips = [source[(0, index)].frames for index in range(sequences)]
    target = torch.stack(clips).flatten(0, 1)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    functions: dict[str, Ours] = {
        "SSIM range 2": ssim.ssim_uniform_range2,
        "SSIM range 1": ssim.ssim_uniform_range1,
        "SSIM Gaussian": ssim.ssim_gaussian,
        "SSIM uint8": ssim.ssim_uint8,
        "PSNR": pixel.psnr,
        "PSNR uint8": pixel.psnr_uint8,
    }
    if lpips.missing("squeeze", "0.1", None) is None:
        model = lpips.load("squeeze", "0.1", None, target.device)
        functions["LPIPS"] = partial(lpips.lpips, model=model)
        functions["LPIPS [0,1]"] = partial(lpips.lpips, model=model, published_range=False)
    noises = {"": 0 * noise, ", noise 2%": 0.02 * noise, ", |noise| 2%": 0.02 * noise.abs()}
    print(f"{len(target)} frames of moving digits")
    print(f"{'prediction':<26}" + "".join(f"{name:>15}" for name in functions))
    for sigma in (0.5, 1.1, 1.5):
        for label, added in noises.items():
            prediction = (blurred(target, sigma) + added).clamp(0, 1)
            values = [float(function(prediction, target).mean()) for function in functions.values()]
            row = "".join(f"{value:>15.3f}" for value in values)
            print(f"{f'blur σ {sigma}{label}':<26}{row}")


def main() -> None:
    """Read the options and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 64), metavar=("H", "W"))
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--effect", type=Path, help="folder with MNIST: compare variants instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.effect is not None:
        print_effect(options.effect, sequences=200)
    else:
        compare_speed(options.frames, tuple(options.size), options.channels, options.rounds)


if __name__ == "__main__":
    main()
