"""Human3.6M: eleven actors in an indoor scene, each performance seen by four fixed cameras.

Reference: Ionescu et al., "Human3.6M", TPAMI 2014; windows as in STIP, Section IV-C.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from framecast.clip import Split
from framecast.data.frame_lists import Layout
from framecast.data.listed_videos import ListedVideos

PERSONS: dict[str, Split] = {
    "S1": "train",
    "S5": "train",
    "S6": "train",
    "S7": "train",
    "S8": "validation",
    "S9": "test",
    "S11": "test",
}
"""The seven persons whose videos are published: testing on 9 and 11 is the dataset's own way."""

_VIDEO = re.compile(r"(?:S\d+_)?([A-Za-z]+(?:[ _]\d)?)\.(\d{8})(?:_\d*)?")
_PERSON = re.compile(r"(S\d+)(?:_.*)?")
_FRAME = re.compile(r".*\.\d{8}_\d+")


@dataclass(frozen=True)
class Human36m(ListedVideos):
    """Human3.6M as frames `S1/S1_ACTION.CAMERA_000001.jpg` …, or videos `S1/ACTION.CAMERA.mp4`.

    The number in the name of a frame is that of the frame in its video, counted from 1. Every 5th
    is used: files that are every 5th frame already, as those of the published lists are, and files
    of all frames are both read right, for the names tell. `every=1` is for names that count the
    frames that are there.

    The published test list has windows of 838 of the 840 videos, of all seven persons, about ten of
    each video's hundred: its test videos are training videos. By default the persons differ.
    """

    type: ClassVar[str] = "human36m"
    site: ClassVar[str] = "http://vision.imar.ro/human3.6m"
    where: ClassVar[str] = (
        "frames S1/S1_ACTION.CAMERA_000001.jpg … (every 5th), or videos S1/ACTION.CAMERA.mp4"
    )
    lists_from: ClassVar[str] = "https://github.com/ZhengChang467/STRPM (datasets/human3.6m)"
    layout: ClassVar[Layout] = "FOLDER,PREFIX,FIRST,LAST"
    published: ClassVar[dict[str, int]] = {"train": 73_404, "test": 8_582}
    begin: ClassVar[int] = 1
    own_rate: ClassVar[float] = 50.0

    size: tuple[int, int] = (1024, 1024)
    """(height, width) in pixels; frames of another size are squeezed to it, aspect not kept."""
    stride: int = 5
    """Used frames between the starts of training windows, where the split is by video."""
    test_stride: int = 12
    """Used frames between the starts of validation and test windows, where the split is by video:
    about as many test windows as published, none sharing frames."""
    every: int = 5
    """One of so many frames is used: by how much the number in a name grows to the next one."""

    @property
    def step(self) -> int:
        """By how much the number of a frame grows to the next one that is used."""
        return self.every

    def named(self, path: Path) -> bool:
        """Whether a name ends in camera and number."""
        return _FRAME.fullmatch(path.stem) is not None

    def key(self, name: str) -> str | None:
        """`PERSON/ACTION.CAMERA`."""
        parts = [part for part in name.split("/") if part]
        video = _VIDEO.fullmatch(re.sub(r"\.[A-Za-z]\w*$", "", parts[-1])) if parts else None
        persons = [m[1] for part in parts if (m := _PERSON.fullmatch(part))]
        if video is None or not persons or persons[0] not in PERSONS:
            return None
        return f"{persons[0]}/{video[1].replace(' ', '_')}.{video[2]}"

    def assigned(self, key: str) -> Split:
        """By the person."""
        return PERSONS[key.partition("/")[0]]

    def held_out(self, split: Split) -> str:
        """The persons of a split."""
        return "persons " + ", ".join(name for name, of in PERSONS.items() if of == split)

    def about(self, keys: Any) -> tuple[str, ...]:
        """Persons that are missing."""
        there = {key.partition("/")[0] for key in keys}
        missing = [person for person in PERSONS if person not in there]
        return (f"no video of {', '.join(missing)} is there",) if missing else ()
