"""UCF Sports: ten kinds of sport as they are shown on television, 150 short videos of 480×720.

Reference: Rodriguez, Ahmed, Shah, "Action MACH", CVPR 2008; windows as in STIP, Section IV-B.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from framecast.clip import Split
from framecast.data.frame_lists import Layout
from framecast.data.listed_videos import ListedVideos
from framecast.video import is_image

VIDEOS = {
    "Diving-Side": 14,
    "Golf-Swing-Back": 5,
    "Golf-Swing-Front": 8,
    "Golf-Swing-Side": 5,
    "Kicking-Front": 10,
    "Kicking-Side": 10,
    "Lifting": 6,
    "Riding-Horse": 12,
    "Run-Side": 13,
    "SkateBoarding-Front": 12,
    "Swing-Bench": 20,
    "Swing-SideAngle": 13,
    "Walk-Front": 22,
}
"""Videos of each folder of the original distribution, numbered from 001."""

TEST_FROM = {
    "Diving-Side": 11,
    "Golf-Swing-Front": 8,
    "Golf-Swing-Side": 1,
    "Kicking-Side": 5,
    "Lifting": 5,
    "Riding-Horse": 9,
    "Run-Side": 10,
    "SkateBoarding-Front": 9,
    "Swing-Bench": 15,
    "Swing-SideAngle": 10,
    "Walk-Front": 16,
}
"""First test video of each folder that has some: the last third of each of the ten actions, 47 of
150, for videos with neighbouring numbers often show the same scene."""

LATER = frozenset({"Golf-Swing-Front", "Golf-Swing-Side", "Kicking-Side"})
"""Folders that go on with an action. The first video of each action, which is as far from the test
videos as can be, is for validation."""

_FOLDERS = {name.lower(): name for name in VIDEOS}


@dataclass(frozen=True)
class UcfSports(ListedVideos):
    """UCF Sports as frames `ACTION/NUMBER/0.png`, `1.png` …, or in the original distribution.

    Images whose names are bare numbers are frames as the published lists count them; other images
    of a folder are its frames in natural order, the first one number 0; a folder without images
    may hold a video file.

    Frames right in the folder of an action, without the number of a video, are test videos: so lie
    the two examples that STIP's authors publish.

    The published lists have all windows of 10 frames from frame 6 on, divided at random: all 145
    test videos are training videos too, and 743 of 752 test windows are one frame from a training
    window.
    """

    type: ClassVar[str] = "ucf-sports"
    site: ClassVar[str] = "https://www.crcv.ucf.edu/data/UCF_Sports_Action.php"
    where: ClassVar[str] = "frames ACTION/NUMBER/0.png … (Diving-Side/001/0.png), or its originals"
    lists_from: ClassVar[str] = "https://github.com/ZhengChang467/STRPM (datasets/ucfsports)"
    layout: ClassVar[Layout] = "FOLDER,FIRST"
    published: ClassVar[dict[str, int]] = {"train": 6_288, "test": 752}
    own_rate: ClassVar[float] = 10.0

    size: tuple[int, int] = (512, 512)
    """(height, width) in pixels; frames of another size are squeezed to it, aspect not kept."""

    def named(self, path: Path) -> bool:
        """Whether a name is a bare number."""
        return path.stem.isdecimal()

    def key(self, name: str) -> str | None:
        """`ACTION/NUMBER`, or `ACTION` where there is no number."""
        parts = [part for part in name.split("/") if part]
        for place, part in enumerate(parts):
            action = _FOLDERS.get(part.lower())
            if action is None:
                continue
            below = PurePosixPath(parts[place + 1]) if place + 1 < len(parts) else None
            if below is None or is_image(Path(below)) or not below.stem.isdecimal():
                return action
            return f"{action}/{int(below.stem):03d}"
        return None

    def assigned(self, key: str) -> Split:
        """The last third of each action for testing, the first video for validation."""
        action, _, number = key.partition("/")
        if not number or int(number) >= TEST_FROM.get(action, VIDEOS[action] + 1):
            return "test"
        return "validation" if int(number) == 1 and action not in LATER else "train"

    def held_out(self, split: Split) -> str:
        """The videos of a split."""
        return {
            "train": "what is neither the first video nor in the last third of an action",
            "validation": "the first video of each action",
            "test": "the last third of each action",
        }[split]

    def about(self, keys: Any) -> tuple[str, ...]:
        """Videos that are missing."""
        there, total = len(keys), sum(VIDEOS.values())
        return (f"{there} of the {total} videos are there",) if there < total else ()
