"""What a video is, without decoding more than its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from framecast.video import folder
from framecast.video.stream import OpenVideo, decoded, display_matrix, opened, packet_times

# Below this many bytes, counting the packets of a file costs next to nothing.
_COUNTED = 64 * 2**20

_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".m2v", ".ts",
    ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".3gp", ".3g2", ".y4m", ".mxf",
    ".vob", ".mjpeg", ".mjpg", ".dv", ".h264", ".264", ".h265", ".hevc", ".ivf", ".nut",
}  # fmt: skip


@dataclass(frozen=True)
class VideoInfo:
    """What a video file or a folder of images holds."""

    path: Path
    width: int
    """Pixels, after rotation."""
    height: int
    """Pixels, after rotation."""
    frames: int | None
    """How many frames the file lists (a damaged one may decode to fewer); None if unknown."""
    exact: bool
    """Whether `frames` is a count; otherwise it is an estimate from length and rate."""
    fps: float | None
    """Frames per second on average; None for a folder, which has no clock."""
    seconds: float | None
    """Length; None if unknown, and for a folder."""
    rotation: int
    """Degrees clockwise by which the stored frames are turned: 0, 90, 180 or 270."""
    aspect: float
    """How many times as wide as high a player shows a stored pixel, before rotation. Frames are
    given as they are stored: where this is not 1, they look squeezed or stretched."""
    codec: str
    """FFmpeg's name of the codec, or the images' format."""
    pixel_format: str
    """FFmpeg's name of the pixel format, or the images' mode."""


def is_video(path: str | Path) -> bool:
    """Whether a path looks like a video: by its suffix, or as a folder with images."""
    path = Path(path)
    return bool(folder.images(path)) if path.is_dir() else path.suffix.lower() in _SUFFIXES


def probe(path: str | Path) -> VideoInfo:
    """Describe a video file, a GIF or a folder of images.

    Raises:
        VideoError: if it is missing, no video, or has no frame that decodes.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    with opened(path) as video:
        first, _ = decoded(video)
        times = _times(video)
        frames, exact = _count(video, times)
        seconds = _length(video, frames, times)
        a, b, c, d = display_matrix(first)
        turned = abs(b) + abs(c) > abs(a) + abs(d)
        rotation = (90 if b > 0 else 270) if turned else (180 if a < 0 and d < 0 else 0)
        return VideoInfo(
            path=path,
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            frames=frames,
            exact=exact,
            fps=float(frames / seconds) if frames and seconds else video.rate,
            seconds=None if seconds is None else float(seconds),
            rotation=rotation,
            aspect=video.aspect,
            codec=video.stream.codec_context.codec.canonical_name,
            pixel_format=first.format.name,
        )


def _folder(path: Path) -> VideoInfo:
    paths = folder.numbered(path)
    height, width = folder.image_size(paths[0])
    kind, mode = folder.image_kind(paths[0])
    return VideoInfo(path, width, height, len(paths), True, None, None, 0, 1.0, kind, mode)


def _times(video: OpenVideo) -> list[int] | None:
    """When frames are shown, in the stream's clock, where that is known without much reading."""
    indexed = "mov" in video.container.format.name and video.stream.frames
    small = video.path.stat().st_size <= _COUNTED
    return packet_times(video.path) if small and not indexed else None


def _count(video: OpenVideo, times: list[int] | None) -> tuple[int | None, bool]:
    if "mov" in video.container.format.name and video.stream.frames:
        return sum(not entry.is_discard for entry in video.stream.index_entries), True
    if times:
        return len(times), True
    length = _length(video, None, None)
    return (None if length is None else max(1, round(float(length) * video.rate))), False


def _length(video: OpenVideo, frames: int | None, times: list[int] | None) -> Fraction | None:
    """Seconds, from the best that the file states."""
    stream = video.stream
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    stated = frames / stream.average_rate if frames and stream.average_rate else None
    if times and len(times) > 1 and stream.time_base:
        shown = (times[-1] - times[0]) * stream.time_base
        shown += shown / (len(times) - 1)  # the last frame is shown for as long as the others
        # a stated rate is exact where the times, which are rounded, go with it
        if stated is None or abs(shown - stated) > stated / 100:
            return shown
    if stated is not None:
        return stated
    return Fraction(video.container.duration, av.time_base) if video.container.duration else None
