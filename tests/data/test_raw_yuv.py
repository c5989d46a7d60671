"""Raw YUV against the conversion of BT.709 done by hand."""

import numpy as np
import pytest

from framecast.data import raw_yuv
from framecast.errors import VideoError

SIZE = (12, 32)


def write(path, levels, form):
    """Frames of flat colours (y, u, v) in 8 bits."""
    chroma = 12 * 32 if "444" in form else 6 * 16
    with path.open("wb") as file:
        for level in levels:
            for value, count in zip(level, (12 * 32, chroma, chroma), strict=True):
                kind = "<u2" if "10" in form else "u1"
                scale = 4 if "10" in form else 1
                file.write(np.full(count, value * scale, kind).tobytes())


def rgb(y, u, v):
    """Limited range BT.709."""
    y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    return np.array([y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u]) * 255


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le", "yuv444p", "yuv444p10le"])
def test_frames_have_their_colours_and_any_can_be_the_first(tmp_path, form):
    path = tmp_path / "a.yuv"
    levels = [(60, 128, 128), (120, 90, 165), (150, 150, 100)]
    write(path, levels, form)
    assert path.stat().st_size == 3 * raw_yuv.frame_bytes(SIZE, form)
    assert raw_yuv.length(path, SIZE, form) == 3
    for start in range(3):
        found = list(raw_yuv.frames(path, SIZE, form, start))
        assert len(found) == 3 - start
        for image, level in zip(found, levels[start:], strict=True):
            assert image.shape == (*SIZE, 3)
            assert np.abs(image - rgb(*level)).max() < 4


def test_what_does_not_fit_is_one_line(tmp_path):
    path = tmp_path / "a.yuv"
    write(path, [(60, 128, 128)], "yuv420p")
    with pytest.raises(VideoError, match="no whole number of yuv444p frames of 32x12"):
        raw_yuv.length(path, SIZE, "yuv444p")
    with pytest.raises(VideoError, match="has 1 frame, and frame 1 is past its end"):
        next(raw_yuv.frames(path, SIZE, "yuv420p", 1))
    path.write_bytes(b"")
    with pytest.raises(VideoError, match="no whole number"):
        raw_yuv.length(path, SIZE, "yuv420p")
