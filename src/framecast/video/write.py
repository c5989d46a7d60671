"""Writing: MP4, GIF, or a folder of PNG images, frame by frame."""

import math
import re
from abc import ABC, abstractmethod
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import av
import numpy as np
import torch
from av.error import FFmpegError
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from framecast.atomic import NewFile, NewFolder
from framecast.errors import FramecastError, VideoError
from framecast.signature import signature, signed
from framecast.video.stream import reason

GIF_MAX_FPS = 50
"""Viewers show a GIF with shorter gaps than 2/100 s at a tenth of its speed."""

LEAST_FPS = 0.001

# Left to choose its vector code and threads, x264 does not write the same file twice.
_SAME_FILE = {"x264-params": "cpu-independent=1"}
_THREADS = 4
_OWN_FRAME, _OWN_SAMPLE = re.compile(r"\d{5,}\.png"), re.compile(r"sample-\d+")


class Writer:
    """Write a video frame by frame; use as a context manager.

    The suffix chooses: `.mp4` (H.264, 4:2:0, quality of crf 18), `.gif`, or none for a folder of
    PNG images (`00000.png` …), which replaces a folder of such images, and of no others. Everything
    goes to a temporary name beside the target, which takes its place when the `with` block ends
    well; otherwise what stood there before is untouched.

        with Writer("out.mp4", fps=25) as writer:
            writer.append(frame)

    Attributes:
        notes: what was changed on the way (padding of odd sizes, rounding of times), for the user.
        count: frames written so far.
    """

    def __init__(self, path: str | Path, fps: float | int, images: bool = False):
        """Prepare; nothing is written before the `with` block.

        Args:
            path: target; missing parent folders are made.
            fps: frames per second, 0.001 at least; a folder of images does not keep it.
            images: write a folder of images, whatever dots there are in its name.

        Raises:
            VideoError: if the suffix is unknown, or the target is a folder with other files.
            FramecastError: if `fps` is too small or no number.
        """
        if not (math.isfinite(fps) and fps >= LEAST_FPS):
            raise FramecastError(f"fps is a number of frames per second from 0.001, not {fps}")
        self.path = Path(path)
        self.notes: list[str] = []
        self.count = 0
        self._fps = fps
        self._suffix = _suffix(self.path, images)
        self._shape: torch.Size | None = None
        self._sink: _Sink | None = None
        self._target = (NewFile if self._suffix else NewFolder)(self.path)

    def __enter__(self) -> "Writer":
        try:
            self._sink = self._open(self._target.open())
        except (FFmpegError, OSError, ValueError) as error:
            self._target.discard()
            raise self._failure(error) from error
        return self

    def append(self, frame: Float[Tensor, "c h w"]) -> None:
        """Write one frame: 1 or 3 channels, values clamped to [0, 1].

        Raises:
            VideoError: if the frame is not finite, differs in size from the first one, or cannot be
                written.
        """
        if self._sink is None:
            raise RuntimeError("append is for the inside of a `with Writer(...)` block")
        image = self._image(frame)
        try:
            self._sink.append(image)
        except (FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error
        self.count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._sink is not None
        try:
            if kind is None and self.count == 0:
                raise VideoError(f"{self.path} is not written: it would have no frames")
            if kind is None:
                self._sink.finish()
                self._target.keep()
        except (FFmpegError, OSError) as fault:
            raise self._failure(fault) from fault
        finally:
            with suppress(FFmpegError, OSError):  # what is closed here is thrown away
                self._sink.close()
            self._sink = None
            self._target.discard()

    def _open(self, path: Path) -> "_Sink":
        if not self._suffix:
            return _Images(path)
        kind = _Mp4 if self._suffix == ".mp4" else _Gif
        return kind(path, self._fps, self.notes)

    def _image(self, frame: Float[Tensor, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
        if frame.shape[0] not in (1, 3):
            raise VideoError(f"a frame to write has 1 or 3 channels, not {frame.shape[0]}")
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            raise VideoError(
                f"frame {self.count} has the shape {tuple(frame.shape)} and the first one "
                f"{tuple(self._shape)}; a video has one size"
            )
        if not torch.isfinite(frame).all():
            raise VideoError(f"frame {self.count} has values that are not finite numbers")
        bytes_ = frame.detach().float().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
        return bytes_.permute(1, 2, 0).expand(-1, -1, 3).contiguous().numpy()

    def _failure(self, error: Exception) -> VideoError:
        what = reason(error) if isinstance(error, OSError) else str(error)
        return VideoError(f"{self.path} cannot be written: {what}; choose another place or name")


class _Sink(ABC):
    @abstractmethod
    def append(self, image: UInt8[np.ndarray, "h w 3"]) -> None: ...

    @abstractmethod
    def finish(self) -> None:
        """Bring all to the disk."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, finished or not; may be called again."""


class _Images(_Sink):
    def __init__(self, path: Path):
        self._path = path
        self._count = 0

    def append(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        path = self._path / f"{self._count:05d}.png"
        Image.fromarray(image).save(path, pnginfo=signature())
        self._count += 1

    def finish(self) -> None:
        """Each image is complete already."""

    def close(self) -> None:
        """No file is open."""


class _Container(_Sink):
    """What MP4 and GIF share: a PyAV container with one stream, made for the first frame's size."""

    def __init__(self, path: Path, fps: float | int, notes: list[str]):
        self._fps = Fraction(fps).limit_denominator(10_000)
        self._notes = notes
        self._count = 0
        self._stream: Any = None
        self._container: Any = self._open(path)

    @abstractmethod
    def _open(self, path: Path) -> Any: ...

    @abstractmethod
    def _make_stream(self, height: int, width: int) -> Any: ...

    @abstractmethod
    def _frame(self, image: UInt8[np.ndarray, "h w 3"]) -> av.VideoFrame: ...

    def append(self, image: UInt8[np.ndarray, "h w 3"]) -> None:
        if self._stream is None:
            self._stream = self._make_stream(*image.shape[:2])
        frame = self._frame(image)
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self.close()

    def close(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            container.close()


class _Mp4(_Container):
    def _open(self, path: Path) -> Any:
        return av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})

    def _make_stream(self, height: int, width: int) -> Any:
        stream: Any = self._container.add_stream(
            "libx264", rate=self._fps, options={"crf": "18", "preset": "medium", **_SAME_FILE}
        )
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        # BT.709 in the narrow range, said in the file, so that every player shows one colour.
        context = stream.codec_context
        context.thread_count = _THREADS
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        if (stream.height, stream.width) != (height, width):
            self._notes.append(
                f"H.264 needs even sides: {width}x{height} was padded to "
                f"{stream.width}x{stream.height} by repeating the edge"
            )
        return stream

    def _frame(self, image: UInt8[np.ndarray, "h w 3"]) -> av.VideoFrame:
        height, width = image.shape[:2]
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        frame.pts, frame.time_base = self._count, 1 / self._fps
        return frame


class _Gif(_Container):
    def _open(self, path: Path) -> Any:
        if self._fps > GIF_MAX_FPS:
            self._notes.append(
                f"GIF shows at most {GIF_MAX_FPS} frames a second: "
                f"written at {GIF_MAX_FPS} instead of {float(self._fps):g}"
            )
            self._fps = Fraction(GIF_MAX_FPS)
        return av.open(f"file:{path}", "w", format="gif")

    def _make_stream(self, height: int, width: int) -> Any:
        stream: Any = self._container.add_stream("gif", rate=self._fps)
        stream.height, stream.width, stream.pix_fmt = height, width, "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        return stream

    def _frame(self, image: UInt8[np.ndarray, "h w 3"]) -> av.VideoFrame:
        paletted: Any = _paletted(image)  # a pair is more than the library's types admit
        frame = av.VideoFrame.from_ndarray(paletted, format="pal8")
        frame.pts, frame.time_base = round(self._count * 100 / self._fps), Fraction(1, 100)
        return frame


def _paletted(
    image: UInt8[np.ndarray, "h w 3"],
) -> tuple[UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "256 4"]]:
    """Indices and the 256 best colours (as A, R, G, B) of one frame."""
    reduced = Image.fromarray(image).quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    colours = np.array(reduced.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255
    palette[: len(colours), 1:] = colours
    return np.asarray(reduced), palette


def check_replaceable(folder: Path) -> None:
    """See that a folder of images may be written, or one with a folder of images per sample.

    Raises:
        VideoError: if something stands there that is not of images that were written here.
    """
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.is_dir() and _OWN_SAMPLE.fullmatch(entry.name):
                check_replaceable(entry)
            elif not (_OWN_FRAME.fullmatch(entry.name) and signed(entry)):
                raise VideoError(f"{folder} is a folder with other files; choose another name")
    elif folder.exists():
        raise VideoError(f"{folder} is a file; give another name for the folder of images")


def _suffix(path: Path, images: bool) -> Literal[".mp4", ".gif", ""]:
    """What to write; refuses what cannot be written or would replace other files."""
    suffix = path.suffix.lower()
    if images or not suffix or path.is_dir():
        check_replaceable(path)
        return ""
    if suffix == ".mp4":
        return ".mp4"
    if suffix == ".gif":
        return ".gif"
    raise VideoError(
        f"{path} has the unknown suffix {suffix}; end it in .mp4 or .gif, or give a folder "
        "name without a dot for PNG images"
    )
