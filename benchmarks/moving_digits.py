"""How many Moving-MNIST sequences per second: many at once against a loop over frames.

The loop is the usual one: for every sequence, digit and frame, move the digit and lay it into the
frame. Both give the same frames (checked before timing), as float32 in batches.

    python benchmarks/moving_digits.py --root FOLDER_WITH_MNIST
"""

import argparse
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from framecast.clip import Key, collate
from framecast.data.moving_digits import MovingDigits, MovingDigitsSource
from framecast.data.order import Order
from framecast.noise import mix


def loop_sequence(images: np.ndarray, frames: int, digits: int, stream: int) -> np.ndarray:
    """One sequence of the kind `srivastava`, digit by digit and frame by frame."""
    numbers = np.random.Generator(np.random.Philox(key=stream)).random(5 * digits)
    video = np.zeros((frames, 64, 64), np.float32)
    for digit in range(digits):
        image = images[int(numbers[digit] * len(images))].astype(np.float32) / np.float32(255)
        y, x, turn = numbers[digits + 4 * digit : digits + 4 * digit + 3]
        vy, vx = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
        for t in range(frames):
            y, x = y + 0.1 * vy, x + 0.1 * vx
            if y <= 0 or y >= 1:
                y, vy = min(max(y, 0.0), 1.0), -vy
            if x <= 0 or x >= 1:
                x, vx = min(max(x, 0.0), 1.0), -vx
            top, left = int(36 * y), int(36 * x)
            spot = video[t, top : top + 28, left : left + 28]
            video[t, top : top + 28, left : left + 28] = np.maximum(spot, image)
    return video


def loop_batch(source: MovingDigitsSource, images: np.ndarray, keys: list[Key]) -> torch.Tensor:
    """A batch by the loop, from the random numbers that the source uses."""
    streams = [mix("moving-digits", source.split, source.seed, epoch, i) for epoch, i in keys]
    count, frames = source.config.count, source.frames
    videos = [loop_sequence(images, frames, count, stream) for stream in streams]
    return torch.from_numpy(np.stack(videos))[:, :, None]


def rate(make: Callable[[int], object], batch: int, seconds: float, rounds: int = 20) -> float:
    """Sequences per second of the best round; `make(step)` makes one batch.

    The best of many short rounds is what a busy machine disturbs least; whatever prepares batches
    ahead needs rounds much longer than its queue.
    """
    best, step = 0.0, 0
    for _ in range(rounds):
        begin, first = time.perf_counter(), step
        while time.perf_counter() - begin < seconds / rounds:
            make(step)
            step += 1
        best = max(best, (step - first) * batch / (time.perf_counter() - begin))
    return best


def loader_rate(source: MovingDigitsSource, batch: int, workers: int, seconds: float) -> float:
    """Sequences per second that reach the training process, batched."""
    loader = DataLoader(
        source, batch_sampler=Order(len(source), batch, 0), collate_fn=collate, num_workers=workers
    )
    batches = iter(loader)
    for _ in islice(batches, 2 * workers + 2):
        pass
    return rate(lambda _: next(batches), batch, seconds, rounds=3)


def thread_rate(source: MovingDigitsSource, batch: int, threads: int, seconds: float) -> float:
    """Sequences per second that threads of one process make together."""
    order = Order(len(source), batch, 0)
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque(pool.submit(source.__getitems__, order.step(k)) for k in range(2 * threads))

        def following(step: int) -> object:
            ahead.append(pool.submit(source.__getitems__, order.step(2 * threads + step)))
            return ahead.popleft().result()

        return rate(following, batch, seconds, rounds=3)


def measure(options: argparse.Namespace) -> list[tuple[str, float]]:
    """The rows of the table: what, and sequences per second."""
    made = {"root": options.root, "fixed_train": False}
    made["digits"] = "glyphs" if options.root is None else "mnist"
    frames, batch = options.frames, options.batch
    source = MovingDigits(**made).source("train", frames, 0)
    images = np.array(source.digits())
    order = Order(len(source), batch, 0)
    keys = order.step(0)
    assert torch.equal(loop_batch(source, images, keys), collate(source.__getitems__(keys)).frames)

    def vectorised(source: MovingDigitsSource) -> float:
        return rate(lambda k: source.__getitems__(order.step(k)), batch, options.seconds)

    def loop(step: int) -> torch.Tensor:
        return loop_batch(source, images, order.step(step))

    def single(step: int) -> list[object]:
        return [source[key] for key in order.step(step)]

    rows = [("loop over frames, 1 process", rate(loop, batch, options.seconds))]
    rows.append(("one by one, 1 process", rate(single, batch, options.seconds)))
    for variant in ("srivastava", "svg-deterministic", "svg-stochastic", "v3d"):
        other = MovingDigits(**made, variant=variant).source("train", frames, 0)
        rows.append((f"{variant}, 1 process", vectorised(other)))
    rows.append(("srivastava, 2 threads", thread_rate(source, batch, 2, options.seconds)))
    for workers in options.workers:
        name = f"srivastava, loader with {workers} processes"
        rows.append((name, loader_rate(source, batch, workers, options.seconds)))
    return rows


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
    rows = measure(options)
    print(f"2 digits, {options.frames} frames of 64×64 float32, batches of {options.batch}")
    print(f"{'':44}{'sequences/s':>12}{'× loop':>9}")
    for name, value in rows:
        print(f"{name:44}{value:12,.0f}{value / rows[0][1]:9.1f}")


if __name__ == "__main__":
    main()
