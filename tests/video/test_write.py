"""Writing, and what stands afterwards."""

import av
import numpy as np
import pytest
import torch
from made_clips import picture
from PIL import Image

from framecast import video
from framecast.errors import FramecastError, VideoError


def tensor(number, height=48, width=64):
    return torch.from_numpy(picture(number, height, width)).permute(2, 0, 1) / 255


def write(path, count=5, fps=25.0, **size):
    with video.Writer(path, fps) as writer:
        for number in range(count):
            writer.append(tensor(number, **size))
    return writer


@pytest.mark.parametrize(("name", "tolerance"), [("o.mp4", 0.03), ("o.gif", 0.03), ("o", 0.0)])
def test_round_trip(tmp_path, name, tolerance):
    path = tmp_path / "new" / "folder" / name
    writer = write(path)
    assert (writer.count, writer.notes) == (5, [])
    clip = video.read(path)
    assert clip.frames.shape == (5, 3, 48, 64)
    for number in range(5):
        assert (clip.frames[number] - tensor(number)).abs().mean() <= tolerance
    assert clip.seconds is not None
    assert clip.seconds.tolist() == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert [entry.name for entry in path.parent.iterdir()] == [name]


def test_mp4_is_what_players_take(tmp_path):
    write(tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)
    info = video.probe(tmp_path / "o.mp4")
    assert (info.fps, info.frames) == (25, 5)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)])
def test_mp4_keeps_colours(tmp_path, colour):
    frame = (torch.tensor(colour) / 255)[:, None, None].expand(3, 16, 16)
    with video.Writer(tmp_path / "o.mp4", 25) as writer:
        writer.append(frame)
    read = video.read(tmp_path / "o.mp4").frames[0]
    assert (read - frame).abs().max() < 4 / 255


def test_odd_sizes_are_padded_by_the_edge_and_said(tmp_path):
    writer = write(tmp_path / "o.mp4", 1, height=47, width=63)
    assert writer.notes == [
        "H.264 needs even sides: 63x47 was padded to 64x48 by repeating the edge"
    ]
    read = video.read(tmp_path / "o.mp4").frames[0]
    assert read.shape == (3, 48, 64)
    assert (read[:, -1] - read[:, -2]).abs().mean() < 0.03
    assert (read[:, :47, :63] - tensor(0, 47, 63)).abs().mean() < 0.03
    assert write(tmp_path / "o.gif", 1, height=47, width=63).notes == []
    assert video.probe(tmp_path / "o.gif").height == 47


@pytest.mark.parametrize("name", ["o.mp4", "o.gif", "o"])
def test_gray_and_one_pixel(tmp_path, name):
    with video.Writer(tmp_path / name, 10) as writer:
        for value in (0.2, 0.8):
            writer.append(torch.full((1, 1, 1), value))
    frames = video.read(tmp_path / name, channels=1).frames
    assert frames[:, 0, 0, 0].tolist() == pytest.approx([0.2, 0.8], abs=0.01)


def test_values_are_clamped_and_rounded(tmp_path):
    with video.Writer(tmp_path / "o", 10) as writer:
        writer.append(torch.tensor([-1.0, 0.5019, 2.0]).reshape(1, 1, 3).to(torch.bfloat16))
    assert next(video.frames(tmp_path / "o")).image[0, :, 0].tolist() == [0, 128, 255]


def test_gif_times_are_rounded_without_drift(tmp_path):
    write(tmp_path / "o.gif", 31, fps=30.0)
    seconds = [frame.seconds for frame in video.frames(tmp_path / "o.gif")]
    assert seconds == pytest.approx([round(n * 100 / 30) / 100 for n in range(31)])
    writer = write(tmp_path / "fast.gif", 3, fps=120.0)
    assert writer.notes == ["GIF shows at most 50 frames a second: written at 50 instead of 120"]
    assert video.probe(tmp_path / "fast.gif").frames == 3


def test_a_gif_starts_anywhere(tmp_path):
    write(tmp_path / "o.gif", 9)
    frames = [frame.image for frame in video.frames(tmp_path / "o.gif")]
    for start in range(1, 9):
        found = next(video.frames(tmp_path / "o.gif", start=start)).image
        assert np.array_equal(found, frames[start])


@pytest.mark.parametrize("name", ["o.mp4", "o.gif", "o"])
def test_a_failure_leaves_what_stood_there(tmp_path, name):
    path = tmp_path / name
    write(path, 2)
    before = [frame.image for frame in video.frames(path)]

    def interrupted():
        with video.Writer(path, 25) as writer:
            writer.append(tensor(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    after = [frame.image for frame in video.frames(path)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["o.mp4", "o.gif", "o"])
def test_writing_again_replaces(tmp_path, name):
    write(tmp_path / name, 5)
    write(tmp_path / name, 2)
    assert len(list(video.frames(tmp_path / name))) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_nothing_written_is_an_error_and_no_file(tmp_path):
    for name in ("o.mp4", "o.gif", "o"):
        with pytest.raises(VideoError, match="no frames"):
            write(tmp_path / name, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(VideoError, match="other files"):
        write(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_numbered_images_of_others_are_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "mine" / "00000.png")
    with pytest.raises(VideoError, match="other files"):
        write(tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 1


def test_dots_in_the_name_of_a_folder(tmp_path):
    with video.Writer(tmp_path / "cam.01", 25, images=True) as writer:
        writer.append(torch.zeros(3, 4, 4))
    assert [path.name for path in (tmp_path / "cam.01").iterdir()] == ["00000.png"]


@pytest.mark.parametrize("fps", [0.0, -1.0, 1e-5, float("inf"), float("nan")])
def test_rates_that_are_none(tmp_path, fps):
    with pytest.raises(FramecastError, match="fps is a number of frames per second from"):
        video.Writer(tmp_path / "o.mp4", fps)


@pytest.mark.parametrize("name", ["o.wmv", "o.png", "o.mp4.bak"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(VideoError, match=r"unknown suffix .*\.mp4 or \.gif"):
        video.Writer(tmp_path / name, 25)


@pytest.mark.parametrize("name", ["o.mp4", "o.gif", "o"])
def test_unwritable_target(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="cannot be written") as caught:
        write(tmp_path / "file" / name)
    assert "\n" not in str(caught.value)


def test_bad_frames(tmp_path):
    def append(*frames):
        with video.Writer(tmp_path / "o.mp4", 25) as writer:
            for frame in frames:
                writer.append(frame)

    with pytest.raises(VideoError, match="1 or 3 channels, not 2"):
        append(torch.rand(2, 4, 4))
    with pytest.raises(VideoError, match="one size"):
        append(torch.rand(3, 4, 4), torch.rand(3, 4, 6))
    with pytest.raises(VideoError, match="frame 1 has values that are not finite"):
        append(torch.rand(3, 4, 4), torch.full((3, 4, 4), float("nan")))
    with pytest.raises(ValueError, match="fps"):
        video.Writer(tmp_path / "o.mp4", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_the_same_frames_give_the_same_file(tmp_path, suffix):
    written = set()
    for _ in range(12):
        write(tmp_path / f"o{suffix}", 8)
        written.add((tmp_path / f"o{suffix}").read_bytes())
    assert len(written) == 1
