"""Clips cut and mirrored at random: more to learn from where videos are few."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from framecast.clip import Clip, Key, Source
from framecast.data.windows import Windows
from framecast.digest import of_json
from framecast.errors import DataError
from framecast.noise import mix


@dataclass(frozen=True)
class VariedClips(Source):
    """A part of each clip of another source, the same in all of its frames.

    With a seed, for training, the part and whether it is mirrored left to right are drawn anew in
    every epoch; without, for measuring, it is the centre as it is.
    """

    clips: Source
    crop: tuple[int, int] | None
    """(height, width) in pixels of the part; None for the whole frame."""
    flip: bool
    """Whether half of the clips, drawn at random, are mirrored."""
    seed: int | None
    """What is drawn by; None for the centre."""
    fixed: bool = field(init=False)

    def __post_init__(self) -> None:
        """Say whether epochs differ."""
        object.__setattr__(self, "fixed", self.seed is None and self.clips.fixed)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, key: Key) -> Clip:
        """The part of a clip.

        Raises:
            DataError: if the clip is smaller than the part.
        """
        clip = self.clips[key]
        height, width = clip.frames.shape[-2:]
        high, wide = self.crop or (height, width)
        if high > height or wide > width:
            raise DataError(
                f"a crop of {high}x{wide} cannot be cut from frames of {height}x{width}; "
                "set a smaller data.crop or a larger data.size"
            )
        top = self._place("top", key, height - high)
        left = self._place("left", key, width - wide)
        mirrored = self.seed is not None and self.flip and mix(self.seed, "flip", *key) % 2 == 1

        def cut(pixels: Tensor | None) -> Any:
            if pixels is None:
                return None
            part = pixels[..., top : top + high, left : left + wide]
            return (part.flip(-1) if mirrored else part).contiguous()

        return replace(clip, frames=cut(clip.frames), missing=cut(clip.missing))

    def fingerprint(self) -> str:
        """Hex SHA-256 of the clips and of how they are cut."""
        own = {"crop": self.crop, "flip": self.flip, "seed": self.seed}
        return of_json({"clips": self.clips.fingerprint(), **own})

    def name(self, index: int) -> str:
        """What the clips' source calls it."""
        return self.clips.name(index)

    def notes(self) -> tuple[str, ...]:
        """What the clips' source says."""
        return self.clips.notes()

    @property
    def windows(self) -> Windows | None:
        """The windows of videos that the clips are, if they are: whether they overlap."""
        return getattr(self.clips, "windows", None)

    def _place(self, axis: str, key: Key, spare: int) -> int:
        """Where the part begins: anywhere, or in the middle."""
        return spare // 2 if self.seed is None else mix(self.seed, axis, *key) % (spare + 1)
