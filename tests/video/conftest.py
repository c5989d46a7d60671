"""Clips that the tests write themselves, and the real ones where they are."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from made_clips import Make, picture


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a file with PyAV, apart from the package's own writer."""

    def write(
        name: str,
        count: int = 24,
        *,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        size: tuple[int, int] = (48, 64),
        times: list[int] | None = None,
        clock: int = 1000,
        rate: int = 25,
        bframes: int = 2,
        rotate: int = 0,
        aspect: Fraction | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        # the index in front, so that a file cut short still opens
        front = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
        with av.open(f"file:{path}", "w", options=front) as container:
            stream: Any = container.add_stream(codec, rate=rate, options=options or {})
            stream.height, stream.width = size
            stream.pix_fmt = pixels
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            stream.codec_context.gop_size = 8
            if codec in {"libx264", "mpeg4", "mpeg2video"}:
                stream.codec_context.max_b_frames = bframes
            if times is not None:
                stream.time_base = stream.codec_context.time_base = Fraction(1, clock)
            if rotate and not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write rotation (18 can)")
            if rotate:
                stream.set_display_rotation(rotate)
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
                frame = frame.reformat(format=pixels)
                if times is not None:
                    frame.pts, frame.time_base = times[number], Fraction(1, clock)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data."""
    root = os.environ.get("FRAMECAST_DATA")
    if root is None:
        pytest.skip("FRAMECAST_DATA names no folder of real videos")
    return Path(root)
