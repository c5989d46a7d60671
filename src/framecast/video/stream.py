"""One video stream of a file, through PyAV: opening, decoding, and landing on a given frame."""

import os
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideData
from jaxtyping import UInt8

from framecast.errors import VideoError
from framecast.video.ending import lost

DEFAULT_RATE = 25.0
"""Frames per second of a stream that states neither times nor a rate."""

# In these, every packet carries its time of display, and one packet is one frame.
_TIMED_CONTAINERS = {"mov", "matroska", "gif"}
_FRAME_PER_PACKET = {
    "h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg", "png", "ffv1", "prores", "dnxhd",
    "rawvideo", "gif",
}  # fmt: skip
# Each thread of a decoder holds frames of its own: 4 threads up to full HD, 1 for 4K.
_THREADS = 4
_PIXELS_IN_THREADS = 2**23
# Decoders hold back at most 16 frames to put them in order.
_REORDER = 32


class FrameWarning(UserWarning):
    """A video is damaged or cut off: only the frames before the fault are used."""


@dataclass(frozen=True)
class Moment:
    """A frame that is not yet converted to an image."""

    seconds: float
    """Time since the first frame of the video."""
    length: float
    """For how many seconds it is shown."""
    slack: float
    """Seconds by which the clock's rounding may have moved it."""
    picture: Callable[[], UInt8[np.ndarray, "h w 3"]]


@dataclass(frozen=True)
class OpenVideo:
    """A file with its video stream, ready to decode."""

    path: Path
    container: Any
    stream: Any

    @property
    def tick(self) -> float:
        """Seconds per unit of the stream's clock."""
        return float(self.stream.time_base or Fraction(1, 1000))

    @property
    def rate(self) -> float:
        """Frames per second as the file states it, or a usual rate."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        # A guess as fast as the clock itself means that the file states nothing.
        return float(rate) if rate and 0 < rate < 1000 else DEFAULT_RATE

    @property
    def aspect(self) -> float:
        """How many times as wide as high a player shows a stored pixel; 1 if nothing is stated."""
        return float(self.stream.sample_aspect_ratio or 1)

    @property
    def counts_packets(self) -> bool:
        """Whether the packets alone tell which frame is shown when."""
        names = set(self.container.format.name.split(","))
        codec = self.stream.codec_context.codec.canonical_name
        return bool(names & _TIMED_CONTAINERS) and codec in _FRAME_PER_PACKET


@contextmanager
def opened(path: Path) -> Iterator[OpenVideo]:
    """Open a video file.

    Raises:
        VideoError: if it is missing, no video, or damaged at its head.
    """
    if not path.exists():
        raise VideoError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise VideoError(f"{path} is no regular file; give a video file or a folder of images")
    try:
        # The prefix keeps a colon in a file name from being read as a protocol.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except PermissionError as error:
        raise VideoError(f"{path} may not be read; change its permissions") from error
    except (FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path} cannot be opened as a video: {reason(error)}; "
            "check that the file is complete, or convert it to MP4"
        ) from error
    with container:
        stream: Any = container.streams.best("video")
        if stream is None:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise VideoError(f"{path} has no video stream (it holds: {kinds}); give another file")
        stream.thread_type = "AUTO"
        stream.thread_count = _threads(stream.codec_context)
        yield OpenVideo(path, container, stream)


def reason(error: Exception) -> str:
    """What went wrong, in the operating system's or FFmpeg's short words."""
    if isinstance(error, EOFError):
        return "the file ends too early"
    return getattr(error, "strerror", None) or type(error).__name__


def decoded(video: OpenVideo) -> tuple[av.VideoFrame, Iterator[av.VideoFrame]]:
    """The first frame of a video, and all of them from it on.

    Raises:
        VideoError: if there is none, or the first one is damaged.
    """
    decoder = video.container.decode(video.stream)
    try:
        first = next(decoder, None)
    except (FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{video.path} is damaged at its first frame: {reason(error)}; give another file"
        ) from error
    if first is None:
        raise VideoError(f"{video.path} holds no frames; check that the file is complete")
    return first, chain([first], decoder)


def moments(path: Path, start: int | float) -> Iterator[Moment]:
    """The frames of a file from one on.

    Args:
        path: a video file.
        start: an int is a frame number, a float a time in seconds; the frame on show then is first.

    Warns:
        FrameWarning: where a fault ends the video early, or the file ends well before the length
            that it states (Matroska, WebM, MP4, MOV, AVI, FLV: streams such as MPEG-TS state none).

    Raises:
        VideoError: if no frame can be had.
    """
    with opened(path) as video:
        first, frames = decoded(video)
        given, end = 0, 0.0
        try:
            for moment in _timed(video, first.pts, _from(video, first.pts, frames, start)):
                yield moment
                given, end = given + 1, moment.seconds + moment.length
        except (FFmpegError, OSError) as error:
            if given:
                warnings.warn(
                    f"{path} is damaged ({reason(error)}): "
                    f"{given} frames were decoded before the fault, the rest is lost",
                    FrameWarning,
                    stacklevel=2,
                )
                return
            raise VideoError(
                f"{path} is damaged before {_place(start)}: {reason(error)}; start earlier"
            ) from error
        if given and (missing := lost(video.container, video.stream, end, video.rate)):
            warnings.warn(
                f"{path} is cut off: {given} frames were decoded, and by the length that it states "
                f"about {missing} more are missing; copy it again",
                FrameWarning,
                stacklevel=2,
            )
    if not given:
        raise VideoError(f"{path} ends before {_place(start)}; start earlier")


def packet_times(path: Path, limit: int | None = None) -> list[int] | None:
    """Times of display of the packets of a file, in the stream's clock and in order of display.

    Reads the file without decoding it, up to the packets that surely come after `limit` frames.
    None where the packets do not tell: times missing or doubled, or packets that are no frames.
    """
    times: list[int] = []
    with opened(path) as video:
        if not video.counts_packets:
            return None
        for packet in video.container.demux(video.stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None:
                return None
            times.append(packet.pts)
            if limit is not None and len(times) >= limit + _REORDER:
                break
    return sorted(times) if len(set(times)) == len(times) else None


def upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """The image of a frame, rotated and mirrored as its display matrix says, on white."""
    if any(component.is_alpha for component in frame.format.components):
        image = over_white(_pixels(_packed(frame, "rgba"), 4))
    else:
        # straight from more than 8 bits to packed bytes, FFmpeg rounds two levels too dark
        deep = any(component.bits > 8 for component in frame.format.components)
        packed = _packed(_packed(frame, "gbrp") if deep else frame, "rgb24")
        image = _pixels(packed, 3)
        if packed is frame:  # the decoder's own buffer, which later frames may refer to
            image = image.copy()
    a, b, c, d = display_matrix(frame)
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    if turned:
        image = image.transpose(1, 0, 2)
    if (c if turned else a) < 0:
        image = image[:, ::-1]
    if (b if turned else d) < 0:
        image = image[::-1]
    # Mirrored views have negative strides, which torch does not take.
    return image if min(image.strides) > 0 else np.ascontiguousarray(image)


def _packed(frame: av.VideoFrame, layout: str) -> av.VideoFrame:
    """A frame in another layout, by the calling thread alone.

    What converts it hangs on the frame, and with threads of its own could not be freed in a process
    that was forked since, where those do not run.
    """
    return frame.reformat(format=layout, threads=1)


def _pixels(frame: av.VideoFrame, channels: int) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of a packed frame, where they lie: a copy of a 4K frame takes 25 MB."""
    plane: Any = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)
    return rows[:, : frame.width * channels].reshape(frame.height, frame.width, channels)


def over_white(image: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """Lay an image with transparency on white."""
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d), by which a pixel (x, y) goes to (a x + c y, b x + d y) when shown."""
    side_data: Any = frame.side_data
    data = side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    return a, b, c, d


def _threads(codec: Any) -> int:
    pixels = max(1, codec.width * codec.height)
    return max(1, min(_THREADS, os.cpu_count() or 1, _PIXELS_IN_THREADS // pixels))


def _place(start: int | float) -> str:
    return f"frame {start}" if isinstance(start, int) else f"{start:g} s"


def _timed(
    video: OpenVideo, origin: int | None, frames: Iterator[tuple[int, av.VideoFrame]]
) -> Iterator[Moment]:
    gap = 1 / video.rate
    last: float | None = None
    for number, frame in frames:
        if origin is None:
            seconds = number / video.rate
        elif frame.pts is None:
            seconds = 0.0 if last is None else last + gap
        else:
            seconds = (frame.pts - origin) * video.tick
        if last is not None and seconds > last:
            gap = seconds - last
        last = seconds
        length = (frame.duration or 0) * video.tick or gap
        yield Moment(seconds, length, max(video.tick / 2, 1e-6), _picture(video, frame))


def _picture(video: OpenVideo, frame: av.VideoFrame) -> Callable[[], UInt8[np.ndarray, "h w 3"]]:
    def picture() -> UInt8[np.ndarray, "h w 3"]:
        try:
            return upright(frame)
        except (FFmpegError, OSError, ValueError) as error:
            raise VideoError(
                f"{video.path} has frames in the pixel format {frame.format.name}, which cannot "
                "become RGB; convert it to MP4"
            ) from error

    return picture


def _from(
    video: OpenVideo, origin: int | None, frames: Iterator[av.VideoFrame], start: int | float
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames from `start` on, each with its number (from an unknown base after a seek).

    Args:
        video: the file, decoded up to its first frame.
        origin: time of the first frame in the stream's clock, if it has one.
        frames: all frames, by decoding from the first one.
        start: frame number or seconds.
    """
    if start == 0:
        return enumerate(frames)
    if isinstance(start, int):
        target = None if origin is None else _time_of(video.path, start, origin)
    else:
        target = None if origin is None else origin + round_down(start / video.tick + 0.5)
    if target is None:
        number = start if isinstance(start, int) else round_down(start * video.rate)
        return islice(enumerate(frames), number, None)
    sought = _seek(video, target)
    return enumerate(_latest(sought or _sequential(video.path), target, video))


def round_down(value: float) -> int:
    """The integer at or below a value, forgiving the last digits of a float."""
    return int(np.floor(value + 1e-6))


def _time_of(path: Path, number: int, origin: int) -> int | None:
    times = packet_times(path, number)
    # A decoder that skips packets at the head counts other frames than the packets do.
    if times is None or not times or times[0] != origin:
        return None
    if number >= len(times):
        raise VideoError(
            f"{path} has {len(times)} frames, and frame {number} is past its end "
            f"(frames count from 0); start at {len(times) - 1} or earlier"
        )
    return times[number]


def _seek(video: OpenVideo, target: int) -> Iterator[av.VideoFrame] | None:
    """Decode from a key frame at or before `target`; None where the container finds none."""
    if video.container.format.name == "gif":  # every frame is drawn on the ones before it
        return None
    ask = target
    for _ in range(3):
        try:
            video.container.seek(ask, stream=video.stream)
            packets = video.container.demux(video.stream)
            head = next(packets)
        except (FFmpegError, StopIteration):
            return None
        if head.pts is not None and head.is_keyframe and head.pts <= target:
            found = _after(head, packets, video.stream)
            first = next(found, None)
            if first is not None and (first.pts or 0) <= target:
                return chain([first], found)
        if head.dts is None:
            return None
        ask = head.dts - 1
    return None


def _after(head: Any, packets: Iterator[Any], stream: Any) -> Iterator[av.VideoFrame]:
    """Decode from a key frame on, without the frames shown before it: they lack references."""
    for packet in chain([head], packets):
        for frame in stream.decode(packet):
            if frame.pts is not None and frame.pts >= head.pts:
                yield frame


def _sequential(path: Path) -> Iterator[av.VideoFrame]:
    with opened(path) as video:
        yield from video.container.decode(video.stream)


def _latest(
    frames: Iterator[av.VideoFrame], target: int, video: OpenVideo
) -> Iterator[av.VideoFrame]:
    """From the last frame at or before `target` on; nothing if that one is over by then."""
    held: av.VideoFrame | None = None
    for frame in frames:
        if frame.pts is not None and frame.pts > target:
            yield from [frame] if held is None else [held, frame]
            yield from frames
            return
        held = frame
    if held is not None and held.pts is not None:
        length = held.duration or max(1, round(1 / video.rate / video.tick))
        if target < held.pts + length:
            yield held
