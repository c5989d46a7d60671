"""How long a window of a video takes: from the original, and from the prepared form.

Windows are drawn at random, as in training. Both forms give the same clips (checked first).

    python benchmarks/video_windows.py --root FOLDER_OF_VIDEOS --size 64 64
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from framecast.clip import Source
from framecast.data.prepare import prepare
from framecast.data.video_folder import VideoFolder


def milliseconds(source: Source, windows: int) -> float:
    """Mean time per window over windows spread evenly over the source."""
    keys = [(0, i * len(source) // windows) for i in range(windows)]
    begin = time.perf_counter()
    for key in keys:
        source[key]
    return 1e3 * (time.perf_counter() - begin) / windows


def main() -> None:
    """Prepare a folder, compare, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 64))
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--windows", type=int, default=40)
    options = parser.parse_args()
    size = (options.size[0], options.size[1])
    config = VideoFolder(root=options.root, size=size, splits=(1.0, 0.0, 0.0))
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        begin = time.perf_counter()
        original = config.source("train", options.frames, 0)
        rows.append(("scan of the originals", 1e3 * (time.perf_counter() - begin)))
        begin = time.perf_counter()
        done = prepare(config, Path(folder))
        rows.append((f"prepare, {done.frames} frames", 1e3 * (time.perf_counter() - begin)))
        begin = time.perf_counter()
        ready = replace(config, root=Path(folder)).source("train", options.frames, 0)
        rows.append(("scan of the prepared form", 1e3 * (time.perf_counter() - begin)))
        last = (0, len(ready) - 1)
        assert torch.equal(original[last].frames, ready[last].frames)
        rows.append(("window of an original", milliseconds(original, options.windows)))
        rows.append(("window of the prepared form", milliseconds(ready, options.windows)))
    for name, value in rows:
        print(f"{name:32s} {value:12.2f} ms")


if __name__ == "__main__":
    main()
