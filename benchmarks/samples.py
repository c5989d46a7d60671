"""Futures of HAF-SVG in one batch, beside one after another, and beside a large matrix product.

Multiply-adds are counted on the network as it runs; the floor is those of all futures at the rate
of a matrix product. Times are processor time, summed over threads, of a second run.

    python benchmarks/samples.py [--model FOLDER] [--samples 100] [--context 5] [--horizon 25]
"""

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

import framecast
from framecast import registry
from framecast.model import Model
from timing import product_rate, timed

PRESETS = ("haf-svg/moving-mnist-small", "haf-svg/moving-mnist-2-haf-svg-4")


def new(preset: str) -> Model:
    """The model of a preset with new weights."""
    torch.manual_seed(0)
    return registry.find("presets", preset)().model.build().eval()


def report(name: str, model: Model, options: argparse.Namespace, rate: float) -> None:
    """One line of the table."""
    channels, size = model.expects.channels or 1, model.expects.size or (64, 64)
    context = torch.rand(1, options.context, channels, *size)

    def draw(samples: int, first: int = 0) -> None:
        for _ in model.stream(context, options.horizon, samples=samples, first_sample=first):
            pass

    draw(options.samples)
    together = timed(lambda: draw(options.samples))
    few = min(options.samples, options.alone)
    draw(1)
    alone = timed(lambda: [draw(1, number) for number in range(few)]) * options.samples / few
    with FlopCounterMode(display=False) as counter:
        draw(options.samples)
    work = counter.get_total_flops() / 2
    floor = work / rate
    print(
        f"{name:34}{work / 1e9:9.1f} G{together:9.2f} s{alone:10.2f} s{alone / together:7.1f}×"
        f"{floor / together:11.0%}"
    )


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--alone", type=int, default=10, help="futures timed one after another")
    parser.add_argument("--context", type=int, default=5)
    parser.add_argument("--horizon", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rate = product_rate()
    print(f"matrix product: {rate / 1e9:.1f} G multiply-adds a second of one core")
    print(f"{'':34}{'work':>11}{'a batch':>11}{'alone':>12}{'':8}{'of product':>11}")
    if options.model:
        report(options.model, framecast.load(options.model), options, rate)
    for preset in () if options.model else PRESETS:
        report(preset, new(preset), options, rate)


if __name__ == "__main__":
    main()
