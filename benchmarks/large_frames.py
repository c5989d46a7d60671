"""What a frame of a large video costs on its way to a small one: decoding, RGB, narrowing.

Narrowed whole, as floats, and by `fit_image`, some rows at a time; both give the same values, which
is checked. Milliseconds of processor time per frame, of the first ones of the video, which are all
decoded before the first is narrowed.

    python benchmarks/large_frames.py VIDEO [--frames 40] [--size 128 128]
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch

from framecast.video import fit, fit_image
from framecast.video.stream import moments


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=40, help="that are in memory at once")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128))
    options = parser.parse_args()
    torch.set_num_threads(1)
    height, width = options.size
    total: Counter[str] = Counter()

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = time.process_time_ns()
        yield
        total[name] += time.process_time_ns() - start

    with timed("decoding"):
        decoded = list(islice(moments(options.video, 0), options.frames))
    shape = None
    for moment in decoded:
        with timed("RGB"):
            image = moment.picture()
        with timed("whole"):
            whole = fit(torch.from_numpy(image).permute(2, 0, 1).float() / 255, (height, width))
        with timed("by rows"):
            by_rows = fit_image(image, (height, width), 3)
        assert torch.equal(whole, by_rows)
        shape = image.shape
    print(f"{len(decoded)} frames of {shape} to {height}×{width}, ms each")
    for name, spent in total.items():
        print(f"{name:10}{spent / len(decoded) / 1e6:8.1f}")


if __name__ == "__main__":
    main()
