"""Raw planar YUV files: frames and nothing else; size and format are the caller's to say."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from jaxtyping import UInt8

from framecast.errors import VideoError
from framecast.wording import counted

Format = Literal["yuv420p", "yuv420p10le", "yuv444p", "yuv444p10le"]
"""FFmpeg's names: 4:2:0 or 4:4:4, with 8 bits or with 10 in two bytes, the lower one first."""

SUFFIX = ".yuv"


def frame_bytes(size: tuple[int, int], form: Format) -> int:
    """Bytes of a frame of (height, width) pixels."""
    height, width = size
    chroma = height * width if "444" in form else -(-height // 2) * -(-width // 2)
    return (height * width + 2 * chroma) * (2 if "10" in form else 1)


def length(path: Path, size: tuple[int, int], form: Format) -> int:
    """Number of frames of a file.

    Raises:
        VideoError: if it is no whole number of frames of that size and format.
    """
    frames, rest = divmod(path.stat().st_size, frame_bytes(size, form))
    if rest or not frames:
        raise VideoError(
            f"{path} is no whole number of {form} frames of {size[1]}x{size[0]}; "
            "give the format that it has"
        )
    return frames


def frames(
    path: Path, size: tuple[int, int], form: Format, start: int = 0
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames as RGB from number `start` on, converted with the matrix of BT.709.

    Raises:
        VideoError: as `length`, or if there is no frame `start`.
    """
    there = length(path, size, form)
    if start >= there:
        raise VideoError(f"{path} has {counted(there, 'frame')}, and frame {start} is past its end")
    options = {"video_size": f"{size[1]}x{size[0]}", "pixel_format": form}
    with path.open("rb") as file:
        file.seek(start * frame_bytes(size, form))
        unsought: Any = _Reader(file)
        opened: Any = av.open(unsought, format="rawvideo", options=options)
        with opened as container:
            for frame in islice(container.decode(video=0), there - start):
                yield frame.to_ndarray(format="rgb24", src_colorspace="ITU709")


class _Reader:
    """A file that cannot be sought, so that reading begins where it stands."""

    def __init__(self, file: Any) -> None:
        self.read = file.read
