"""The samplers of S-HR-VQVAE's prior at the paper's Moving-MNIST size, against one another.

16×16 positions, 3 layers, 10 context and 10 future frames, batch 1: 7,680 indices. The naive
sampler is timed on some positions spread over the future, and extrapolated. The floor is the
multiply-adds that the new positions need once, at the rate of a large matrix product. Times are
processor time, summed over threads, which other work on the machine disturbs less.

    python benchmarks/samplers.py [--model FOLDER] [--samples 8] [--threads 1]

With `video-vqvae`, those of Video VQ-VAE's two priors at the paper's geometry instead, of a reduced
width (see `volumes.py`), with the bytes that a cache keeps for a row.

    python benchmarks/samplers.py video-vqvae [--hidden 64] [--side 32] [--samples 8] [--threads 1]
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

import framecast
from framecast.clip import collate
from framecast.data.moving_digits import MovingDigits
from framecast.models.s_hr_vqvae.model import SHRVQVAE, SHRVQVAEConfig
from framecast.models.s_hr_vqvae.prior import Drawn, STPixelCNN, volumes
from framecast.models.s_hr_vqvae.prior_cache import LayerReplay
from framecast.models.s_hr_vqvae.prior_net import LayerNet
from framecast.noise import Noise
from timing import product_rate, timed
from volumes import Priors
from volumes import measure as measure_volumes

CONTEXT, HORIZON = 10, 10
TAPS = 2 * 9 + 4
"""Taps of the first masked convolution; the others have one more."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    seconds: float
    passes: int | None = None


def network_operations(net: LayerNet, frame: int, places: int) -> int:
    """Multiply-adds of all positions of one frame in one layer's network, each counted once."""
    first, *rest = net.convolutions
    hidden = first.out_channels
    fixed = TAPS * first.in_channels * hidden + len(rest) * (TAPS + 1) * hidden**2
    if net.conditioning is not None:
        fixed += 27 * net.conditioning.in_channels * hidden
    fixed += 4 * hidden**2 + hidden * net.output.out_features
    seen = sum(frame * places + place + 1 for place in range(places))
    return places * fixed + 2 * hidden * seen


def operations(prior: STPixelCNN, places: int) -> int:
    """Multiply-adds that one future's positions need once."""
    frames = range(CONTEXT, CONTEXT + HORIZON)
    return sum(network_operations(net, frame, places) for net in prior.nets for frame in frames)


def naive_seconds(model: SHRVQVAE, future: list[Drawn], context: Tensor, count: int) -> float:
    """Seconds of all positions, from about `count` of them spread over frames and layers."""
    prior = model.prior
    rows, layers, height, width = future[0].indices.shape
    indices = torch.stack([drawn.indices for drawn in future], 1)
    whole = torch.cat([context.repeat(rows, 1, 1, 1, 1, 1), model.symbols(indices)], 1)
    repeats = max(1, count // (layers * HORIZON))
    total = 0.0
    for frame in range(HORIZON):
        pairs = zip(prior.nets, volumes(whole), strict=True)
        for layer, (net, (own, given)) in enumerate(pairs):
            past = CONTEXT + frame
            replay = LayerReplay(net, own[:, :, :past], given[:, :, :past], 1)
            values = net.output.out_features
            candidates = torch.zeros(rows, height * width, values, own.shape[1])
            replay.begin(given[:, :, past], candidates)
            tokens = indices[:, frame, layer].flatten(1)
            for _ in range(repeats):
                total += timed(lambda replay=replay, tokens=tokens: replay.logits(tokens))
    return total / repeats * height * width


def measure(
    model: SHRVQVAE, indices: Tensor, samples: int | None, positions: int, rounds: int
) -> Iterator[Row]:
    """All samplers for one context."""
    context = model.symbols(indices)
    futures: dict[str, list[Drawn]] = {}

    def run(sampler: str) -> None:
        noise = Noise.of(0, range(1), samples or 1)
        futures[sampler] = list(
            model.prior.generate(
                context,
                HORIZON,
                model.symbols,
                noise,
                samples=samples,
                sampler=sampler,  # pyright: ignore[reportArgumentType]
            )
        )

    rows = []
    for sampler in ("cached", "fixed-point"):
        seconds = min(timed(lambda sampler=sampler: run(sampler)) for _ in range(rounds))
        rows.append(Row(sampler, seconds, sum(drawn.passes for drawn in futures[sampler])))
    yield Row("naive, extrapolated", naive_seconds(model, futures["cached"], context, positions))
    yield from rows
    pairs = zip(futures["cached"], futures["fixed-point"], strict=True)
    same = all(torch.equal(one.indices, other.indices) for one, other in pairs)
    print("the tokens are the same" if same else "THE TOKENS DIFFER (a tie in single precision)")


def main() -> None:
    """Print one table per number of samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = ("s-hr-vqvae", "video-vqvae")
    parser.add_argument("prior", nargs="?", choices=kinds, default=kinds[0])
    parser.add_argument("--model", help="an S-HR-VQVAE; random weights and codes without")
    parser.add_argument("--hidden", type=int, default=64, help="channels of video-vqvae's priors")
    parser.add_argument("--side", type=int, default=32, help="height of video-vqvae's top grid")
    both = ("top", "bottom")
    parser.add_argument("--levels", nargs="+", choices=both, default=both, help="of video-vqvae")
    kinds = ("cached", "fixed-point")
    parser.add_argument("--samplers", nargs="+", choices=kinds, default=kinds, help="the same")
    parser.add_argument("--samples", type=int, default=8, help="0 for video-vqvae's likeliest")
    parser.add_argument("--positions", type=int, default=66, help="that the naive one is timed on")
    parser.add_argument("--rounds", type=int, default=3, help="of the others; the best counts")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with torch.no_grad():
        if options.prior == "video-vqvae":
            compare_volumes(options)
        else:
            compare(options)


def compare(options: argparse.Namespace) -> None:
    """S-HR-VQVAE's prior."""
    if options.model:
        model = framecast.load(options.model)
        assert isinstance(model, SHRVQVAE)
        clips = MovingDigits(digits="glyphs").source("test", CONTEXT, 0)
        indices = model.indices(collate([clips[(0, 0)]]).frames)
    else:
        model = SHRVQVAE(SHRVQVAEConfig()).eval()
        indices = torch.randint(model.config.codewords, (1, CONTEXT, 3, 16, 16))
    rate = product_rate()
    needed = operations(model.prior, indices[0, 0, 0].numel())
    print(f"{rate / 1e9:.1f} billion multiply-adds per second; {needed / 1e9:.2f} per future")
    for samples in (None, options.samples):
        print(f"\n{samples} samples" if samples else "\nthe likeliest future")
        rows = list(measure(model, indices, samples, options.positions, options.rounds))
        rows.append(Row("floor", (samples or 1) * needed / rate))
        print(f"{'':24}{'seconds':>10}{'× naive':>10}{'× floor':>10}{'passes':>10}")
        for row in rows:
            share = f"{rows[0].seconds / row.seconds:10.0f}{row.seconds / rows[-1].seconds:10.1f}"
            print(f"{row.name:24}{row.seconds:10.2f}{share}{row.passes or '':>10}")


def compare_volumes(options: argparse.Namespace) -> None:
    """Video VQ-VAE's priors."""
    priors = Priors(options.hidden, options.samples, options.side)
    drawn = f"{options.samples} samples" if options.samples else "the likeliest"
    for level in options.levels:
        print(f"\n{level}, {drawn}", flush=True)
        samplers, counts = options.samplers, (options.positions, options.rounds)
        rows = list(measure_volumes(priors, level, samplers, *counts))
        print(f"{'':24}{'seconds':>10}{'× naive':>10}{'passes':>10}{'MB a row':>10}")
        for row in rows:
            kept = "" if row.kept is None else f"{row.kept / 1e6:.1f}"
            share = f"{rows[0].seconds / row.seconds:10.0f}"
            print(f"{row.name:24}{row.seconds:10.2f}{share}{row.passes or '':>10}{kept:>10}")


if __name__ == "__main__":
    main()
