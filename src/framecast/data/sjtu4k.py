"""SJTU4K: fifteen videos of 2160×3840 with a wide variety of contents, 30 frames per second.

Reference: Song et al., "The SJTU 4K video sequence dataset", QoMEX 2013; windows as in STIP,
Section IV-D.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8

from framecast.clip import Split
from framecast.data import raw_yuv
from framecast.data.frame_lists import Layout
from framecast.data.listed_videos import ListedVideos
from framecast.data.prepared import Recording
from framecast.data.recorded import Video

NATIVE = (2160, 3840)
VIDEOS = 15
HELD_OUT: dict[str, Split] = {
    "trafficbuilding": "test",
    "trafficflow": "test",
    "treeshade": "test",
    "fountains": "validation",
    "rushhour": "validation",
}
"""Videos that are not trained on. The paper does not say how it divides windows; the two examples
that its authors publish for testing are of the first two."""


@dataclass(frozen=True)
class Sjtu4k(ListedVideos):
    """SJTU4K as frames `VIDEO/0.png`, `1.png` …, as video files, or as the original raw YUV.

    A video is known by the letters of its name up to the first digit or dot, without "and":
    `Traffic_Flow.mp4/77.png`, `TrafficFlow_3840x2160_30fps.yuv` and `Traffic Flow.mp4` are one.
    """

    type: ClassVar[str] = "sjtu4k"
    site: ClassVar[str] = "https://medialab.sjtu.edu.cn/web4k/index.html"
    where: ClassVar[str] = (
        "frames VIDEO/0.png … (Traffic_Flow.mp4/0.png), videos Traffic_Flow.mp4, or raw .yuv"
    )
    lists_from: ClassVar[str] = "the authors: only two lines of the test list are published"
    layout: ClassVar[Layout] = "FOLDER,FIRST,LAST"
    published: ClassVar[dict[str, int]] = {"train": 3_873, "test": 445}
    own_rate: ClassVar[float] = 30.0

    size: tuple[int, int] = NATIVE
    """(height, width) in pixels; frames of another size are squeezed to it, aspect not kept."""
    test_stride: int = 8
    """Frames between the starts of validation and test windows, where the split is by video."""
    yuv: raw_yuv.Format = "yuv420p"
    """Format of raw .yuv files of 3840×2160; the dataset comes as yuv420p and as yuv444p10le."""

    def recipe(self) -> dict[str, Any]:
        """What the frames depend on besides the originals."""
        return {**super().recipe(), "yuv": self.yuv}

    def named(self, path: Path) -> bool:
        """Whether a name is a bare number."""
        return path.stem.isdecimal()

    def key(self, name: str) -> str | None:
        """The letters of the video's name."""
        for part in reversed(name.split("/")):
            start = part[: next((n for n, c in enumerate(part) if c in ".0123456789"), len(part))]
            letters = "".join(c for c in start.lower().replace("and", "") if c.isalpha())
            if letters:
                return letters
        return None

    def assigned(self, key: str) -> Split:
        """By name."""
        return HELD_OUT.get(key, "train")

    def held_out(self, split: Split) -> str:
        """The videos of a split."""
        return {
            "train": "what is held out neither for validation nor for testing",
            "validation": "Fountains, Rush Hour",
            "test": "Traffic and Building, Traffic Flow, Tree Shade",
        }[split]

    def about(self, keys: Any) -> tuple[str, ...]:
        """A number of videos that deviates."""
        return () if len(keys) == VIDEOS else (f"{len(keys)} videos are there, not {VIDEOS}",)

    def is_file_of_video(self, path: Path) -> bool:
        """Whether a file looks like a video, raw ones included."""
        return path.suffix.lower() == raw_yuv.SUFFIX or super().is_file_of_video(path)

    def examine(self, video: Video) -> Recording:
        """What clips of an original have."""
        if video.path.suffix.lower() != raw_yuv.SUFFIX:
            return super().examine(video)
        frames = raw_yuv.length(video.path, NATIVE, self.yuv)
        return Recording(video.name, self.digest(video), frames, *self.size, self.own_rate)

    def clock(self, path: Path) -> float:
        """Frames per second; raw files and images have no clock."""
        return self.own_rate if path.suffix.lower() == raw_yuv.SUFFIX else super().clock(path)

    def pictures(self, path: Path, start: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Frames of a video from number `start` on, as they are stored."""
        if path.suffix.lower() == raw_yuv.SUFFIX:
            return raw_yuv.frames(path, NATIVE, self.yuv, start)
        return super().pictures(path, start)
