"""Reading: order, times, seeking, resampling, formats."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch
from made_clips import Make, picture

from framecast import video
from framecast.errors import FramecastError, VideoError


def shown(path, **options):
    return [(frame.seconds, frame.image.tobytes()) for frame in video.frames(path, **options)]


def near(image, number, tolerance=12.0):
    expected = picture(number, *image.shape[:2]).astype(float)
    return np.abs(image - expected).mean() < tolerance


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx-vp9"),
        ("vp8.webm", "libvpx"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.mpg", "mpeg2video"),
        ("a.h264", "libx264"),
    ],
)
def test_every_start_lands_exactly(make: Make, name: str, codec: str):
    path = make(name, codec=codec)
    all_frames = shown(path)
    assert len(all_frames) == 24
    assert len({image for _, image in all_frames}) == 24
    for start in (1, 2, 7, 8, 9, 15, 16, 17, 22, 23):
        assert shown(path, start=start) == all_frames[start:]
        assert shown(path, start=all_frames[start][0], count=1) == all_frames[start : start + 1]


def test_frames_come_in_order_with_their_times(make: Make):
    frames = list(video.frames(make("a.mp4")))
    assert all(near(frame.image, number) for number, frame in enumerate(frames))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(24)])


def test_variable_frame_rate_keeps_its_times_and_seeks_by_counting(make: Make):
    times = [100, 140, 180, 300, 301, 700, 720, 1500, 1510, 1520, 1600, 2000]
    path = make("vfr.mkv", 12, times=times)
    frames = list(video.frames(path))
    assert [frame.seconds for frame in frames] == pytest.approx(
        [(time - times[0]) / 1000 for time in times]
    )
    for start in range(12):
        assert shown(path, start=start) == shown(path)[start:]
    # the frame on show: 0.3 s is between 201 ms and 600 ms
    assert next(video.frames(path, start=0.3)).seconds == pytest.approx(0.201)


def test_resampling_takes_the_latest_frame_at_or_before(make: Make):
    times = [0, 40, 80, 300, 310, 320, 900]
    path = make("vfr.mkv", 7, times=times)
    fps = 12.5
    resampled = list(video.frames(path, fps=fps))
    for number, frame in enumerate(resampled):
        instant = number / fps
        latest = max(i for i, time in enumerate(times) if time <= instant * 1000 + 0.5)
        assert frame.seconds == pytest.approx(instant)
        assert near(frame.image, latest)
    assert resampled[-1].seconds >= 0.9 - 1 / fps
    second = list(video.frames(path, start=3, fps=fps, count=2))
    assert [frame.seconds for frame in second] == pytest.approx([0.3, 0.38])
    assert near(second[1].image, 5)


def test_resampling_to_the_own_rate_changes_nothing(make: Make):
    # Matroska rounds 1/30 s to milliseconds: no frame may be doubled or lost for it
    path = make("a.mkv", 24, rate=30)
    assert [image for _, image in shown(path, fps=30)] == [image for _, image in shown(path)]
    assert len(shown(path, fps=60)) == 48
    assert len(shown(path, fps=10)) == 8


def test_one_frame(make: Make):
    path = make("one.mp4", 1)
    assert len(shown(path)) == 1
    assert len(shown(path, fps=25)) == 1
    assert video.read(path).frames.shape == (1, 3, 48, 64)


@pytest.mark.parametrize(
    ("codec", "pixels", "size"),
    [
        ("libx265", "yuv420p10le", (48, 64)),
        ("libx264", "yuv422p10le", (48, 64)),
        ("libx264", "yuv444p", (47, 63)),
        ("libvpx-vp9", "yuv420p", (47, 63)),
        ("libx264", "gray", (48, 64)),
        ("ffv1", "gray16le", (33, 21)),
        ("ffv1", "bgra", (33, 21)),
        ("rawvideo", "rgb24", (33, 21)),
    ],
)
def test_pixel_formats(make: Make, codec, pixels, size):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    name = "a.nut" if codec == "rawvideo" else "a.mkv"
    path = make(name, 4, codec=codec, pixels=pixels, size=size, options=options)
    frames = list(video.frames(path))
    assert len(frames) == 4
    assert frames[0].image.shape == (*size, 3)
    if pixels.startswith("gray"):
        image = frames[2].image
        assert (image.max(axis=-1) == image.min(axis=-1)).all()
        luma = picture(2, *size) @ np.array([0.299, 0.587, 0.114])
        assert np.abs(image[..., 0] - luma).mean() < 12
    else:
        assert near(frames[2].image, 2)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_is_applied(make: Make, degrees: int, turns: int):
    path = make("turned.mp4", 2, rotate=degrees)
    image = next(video.frames(path)).image
    expected = np.rot90(picture(0), turns).astype(float)
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 12
    info = video.probe(path)
    assert (info.height, info.width) == image.shape[:2]
    assert info.rotation == -degrees % 360
    assert video.read(path).frames.shape[-2:] == image.shape[:2]


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi"])
@pytest.mark.parametrize("aspect", [None, Fraction(3, 2), Fraction(12, 11), Fraction(1, 2)])
def test_pixels_are_the_stored_ones_and_their_aspect_is_told(make: Make, name: str, aspect):
    codec = "mpeg4" if name == "a.avi" else "libx264"
    path = make(name, 4, codec=codec, aspect=aspect)
    info = video.probe(path)
    assert info.aspect == pytest.approx(float(aspect or 1))
    image = list(video.frames(path))[2].image
    assert (info.height, info.width) == image.shape[:2] == (48, 64)
    assert near(image, 2)


def test_read_counts_seconds_from_its_first_frame(make: Make):
    path = make("a.mp4")
    clip = video.read(path, start=5, count=4)
    assert clip.frames.dtype == torch.float32
    assert clip.frames.shape == (4, 3, 48, 64)
    assert clip.seconds is not None
    assert clip.seconds.tolist() == pytest.approx([0, 0.04, 0.08, 0.12])
    first = next(video.frames(path, start=5)).image
    assert torch.allclose(clip.frames[0] * 255, torch.from_numpy(first).permute(2, 0, 1).float())


def test_read_of_unknown_length_grows(make: Make):
    path = make("long.mp4", 70)
    clip = video.read(path, size=(6, 8))
    assert clip.length == 70
    assert torch.equal(clip.frames[65:], video.read(path, start=65, size=(6, 8)).frames)


def test_read_fits_and_makes_gray(make: Make):
    path = make("a.mp4")
    whole = video.read(path, count=2)
    small = video.read(path, count=2, size=(24, 24), channels=1)
    expected = video.fit(video.to_gray(whole.frames), (24, 24))
    assert small.frames.shape == (2, 1, 24, 24)
    assert torch.allclose(small.frames, expected, atol=1e-6)


def test_too_short_a_video_says_how_many_frames_it_has(make: Make):
    path = make("a.mp4")
    with pytest.raises(VideoError, match="only 4 frames from frame 20 on, and 10"):
        video.read(path, start=20, count=10)
    assert len(shown(path, start=20, count=10)) == 4


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_start_past_the_end_is_an_error(make: Make, name: str):
    path = make(name, codec="mpeg4")
    with pytest.raises(VideoError, match="frame 24"):
        list(video.frames(path, start=24))
    with pytest.raises(VideoError, match=r"ends before 1.1 s"):
        list(video.frames(path, start=1.1))


@pytest.mark.parametrize(
    "options", [{"start": -1}, {"start": float("nan")}, {"count": 0}, {"fps": 0.0}, {"fps": -2.0}]
)
def test_arguments_out_of_range(make: Make, options):
    with pytest.raises(FramecastError, match="not"):
        video.frames(make("a.mp4", 1), **options)


def test_probe(make: Make):
    info = video.probe(make("a.mp4", 24, size=(48, 64)))
    assert (info.width, info.height, info.frames, info.exact) == (64, 48, 24, True)
    assert info.fps == 25
    assert info.seconds == pytest.approx(0.96)
    assert (info.codec, info.pixel_format, info.rotation) == ("h264", "yuv420p", 0)
    assert video.probe(make("b.mkv", 24)).frames == 24
    inexact = video.probe(make("c.avi", 24, codec="mpeg4"))
    assert not inexact.exact
    assert inexact.frames == 24


def test_the_rate_of_a_variable_one_is_its_mean(make: Make):
    times = [0, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800]
    info = video.probe(make("vfr.mkv", 10, times=times, rate=30))
    assert (info.frames, info.fps, info.seconds) == (10, pytest.approx(5), pytest.approx(2))
    assert video.probe(make("even.mkv", 24, rate=30)).fps == 30  # though 1/30 s is rounded in it
    assert video.probe(make("one.mkv", 1)).fps == 25


@pytest.mark.parametrize(("pixels", "level"), [("yuv420p", 1), ("yuv420p10le", 4)])
@pytest.mark.parametrize("shade", [16, 100, 235])
def test_shades_are_kept_whatever_the_depth(tmp_path, pixels: str, level: int, shade: int):
    path = tmp_path / "flat.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        frame = av.VideoFrame(64, 48, pixels)
        kind = np.dtype("u1" if level == 1 else "<u2")
        for number, plane in enumerate(frame.planes):
            value = (shade if number == 0 else 128) * level
            plane.update(np.full(plane.buffer_size // kind.itemsize, value, kind).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (read,) = video.frames(path)
    assert np.abs(read.image.astype(int) - round((shade - 16) * 255 / 219)).max() <= 1


def test_what_looks_like_a_video(make: Make, tmp_path):
    assert video.is_video("x.MP4")
    assert video.is_video("x.webm")
    assert not video.is_video("x.txt")
    assert not video.is_video(tmp_path)
    (tmp_path / "1.png").touch()
    assert video.is_video(tmp_path)


def test_a_file_name_with_a_colon_is_no_address(make: Make):
    assert len(shown(make("http:a%03d.mp4", 3))) == 3
