"""How many Moving-MNIST sequences per second: many at once against loops over frames.

Two loops, both of the kind `srivastava`, for every sequence, digit and frame. The usual one is that
of published loaders: corners first, then a canvas of gray levels, which is scaled when it is full,
and one tensor per sequence. The lean one scales digits before it lays them, and moves them by plain
numbers. All give the same frames as float32 batches, which is checked before timing. Rows take
turns, so that a busy machine slows all alike; figures are medians of the rounds, and so are ratios.

    python benchmarks/moving_digits.py --root FOLDER_WITH_MNIST
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from framecast.clip import Key, collate
from framecast.data.moving_digits import MovingDigits, MovingDigitsSource
from framecast.data.order import Order
from framecast.noise import mix


@dataclass(frozen=True)
class Row:
    """What is measured in turns with others."""

    name: str
    make: Callable[[int], object]  # makes the batch of a step
    threads: int = 1  # of PyTorch


def usual_sequence(images: np.ndarray, frames: int, digits: int, stream: int) -> torch.Tensor:
    """One sequence, digit by digit and frame by frame: corners first, then gray levels."""
    numbers = np.random.Generator(np.random.Philox(key=stream)).random(5 * digits).tolist()
    video = np.zeros((frames, 64, 64), np.float32)
    for digit in range(digits):
        image = images[int(numbers[digit] * len(images))]
        y, x, turn = numbers[digits + 4 * digit : digits + 4 * digit + 3]
        vy, vx = np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)
        corners = np.zeros((frames, 2))
        for t in range(frames):
            y, x = y + 0.1 * vy, x + 0.1 * vx
            if y <= 0 or y >= 1:
                y, vy = min(max(y, 0.0), 1.0), -vy
            if x <= 0 or x >= 1:
                x, vx = min(max(x, 0.0), 1.0), -vx
            corners[t] = y, x
        corners = (36 * corners).astype(np.int32)
        for t in range(frames):
            top, left = corners[t]
            spot = video[t, top : top + 28, left : left + 28]
            video[t, top : top + 28, left : left + 28] = np.maximum(spot, image)
    return torch.from_numpy(video / 255)[:, None]


def lean_sequence(images: np.ndarray, frames: int, digits: int, stream: int) -> torch.Tensor:
    """The same with little left to save: scaled digits, plain numbers, one pass."""
    numbers = np.random.Generator(np.random.Philox(key=stream)).random(5 * digits).tolist()
    video = np.zeros((frames, 64, 64), np.float32)
    for digit in range(digits):
        image = images[int(numbers[digit] * len(images))].astype(np.float32) / np.float32(255)
        y, x, turn = numbers[digits + 4 * digit : digits + 4 * digit + 3]
        vy, vx = 0.1 * math.sin(2 * math.pi * turn), 0.1 * math.cos(2 * math.pi * turn)
        for frame in video:
            y, x = y + vy, x + vx
            if y <= 0 or y >= 1:
                y, vy = min(max(y, 0.0), 1.0), -vy
            if x <= 0 or x >= 1:
                x, vx = min(max(x, 0.0), 1.0), -vx
            top, left = int(36 * y), int(36 * x)
            spot = frame[top : top + 28, left : left + 28]
            np.maximum(spot, image, out=spot)
    return torch.from_numpy(video)[:, None]


def loop_batch(
    one: Callable[..., torch.Tensor],
    source: MovingDigitsSource,
    images: np.ndarray,
    keys: list[Key],
) -> torch.Tensor:
    """A batch by a loop, from the random numbers that the source uses."""
    streams = [mix("moving-digits", source.split, source.seed, epoch, i) for epoch, i in keys]
    count, frames = source.config.count, source.frames
    return torch.stack([one(images, frames, count, stream) for stream in streams])


def rate(make: Callable[[int], object], batch: int, seconds: float, first: int = 0) -> float:
    """Sequences per second; `make(step)` makes one batch."""
    begin, step = time.perf_counter(), first
    while (spent := time.perf_counter() - begin) < seconds:
        make(step)
        step += 1
    return (step - first) * batch / spent


def in_turns(rows: list[Row], batch: int, seconds: float, rounds: int = 30) -> np.ndarray:
    """Sequences per second by row and round."""
    rates = np.empty((len(rows), rounds))
    for turn in range(-1, rounds):  # the first warms up, and is overwritten by the last
        for number, row in enumerate(rows):
            torch.set_num_threads(row.threads)
            rates[number, turn] = rate(row.make, batch, seconds / rounds, 1000 * turn + 1000)
    torch.set_num_threads(1)
    return rates


def loader_rate(source: MovingDigitsSource, batch: int, workers: int, seconds: float) -> float:
    """Sequences per second that reach the training process, batched."""
    loader = DataLoader(
        source,  # pyright: ignore[reportArgumentType]
        batch_sampler=Order(len(source), batch, 0),
        collate_fn=collate,
        num_workers=workers,
    )
    batches = iter(loader)
    for _ in islice(batches, 2 * workers + 2):
        pass
    return rate(lambda _: next(batches), batch, seconds)


def measure(options: argparse.Namespace) -> list[tuple[str, float, float, float]]:
    """The rows of the table: what, sequences per second, and how many times either loop."""
    made = {"root": options.root, "fixed_train": False}
    made["digits"] = "glyphs" if options.root is None else "mnist"
    frames, batch = options.frames, options.batch
    source = MovingDigits(**made).source("train", frames, 0)
    images = np.array(source.digits())
    order = Order(len(source), batch, 0)
    keys = order.step(0)
    rows = list[Row]()
    for name, one in (("usual", usual_sequence), ("lean", lean_sequence)):
        made_by_loop = partial(loop_batch, one, source, images)
        assert torch.equal(made_by_loop(keys), collate(source.__getitems__(keys)).frames)
        rows.append(
            Row(f"{name} loop over frames", lambda k, made=made_by_loop: made(order.step(k)))
        )
    rows.append(Row("one by one", lambda k: collate([source[key] for key in order.step(k)])))
    for variant in ("srivastava", "svg-deterministic", "svg-stochastic", "v3d"):
        many = MovingDigits(**made, variant=variant).source("train", frames, 0).__getitems__
        rows.append(Row(variant, lambda k, many=many: collate(many(order.step(k)))))
    rows.append(Row("srivastava, 2 threads of PyTorch", rows[3].make, threads=2))
    rates = in_turns(rows, batch, options.seconds)
    medians = np.median(rates, 1)
    ratios = [np.median(rates / rates[loop], 1) for loop in (0, 1)]
    table = [(row.name, *figures) for row, *figures in zip(rows, medians, *ratios, strict=True)]
    for workers in options.workers:
        speed = loader_rate(source, batch, workers, options.seconds)
        name = f"srivastava, loader with {workers} processes"
        table.append((name, speed, speed / medians[0], speed / medians[1]))
    return table


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder with MNIST; glyphs without it")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0, help="per row")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure(options)
    print(f"2 digits, {options.frames} frames of 64×64 float32, batches of {options.batch}")
    print(f"{'':40}{'sequences/s':>12}{'× usual':>9}{'× lean':>9}")
    for name, speed, usual, lean in table:
        print(f"{name:40}{speed:12,.0f}{usual:9.1f}{lean:9.1f}")


if __name__ == "__main__":
    main()
