"""Files that are damaged, missing, or no videos."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from made_clips import Make

from framecast import video
from framecast.errors import VideoError


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and len(str(error)) > 20


@pytest.mark.parametrize("use", [video.probe, video.read, lambda path: list(video.frames(path))])
class TestRefused:
    def test_missing(self, tmp_path, use):
        with pytest.raises(VideoError, match="does not exist") as caught:
            use(tmp_path / "none.mp4")
        assert one_line(caught.value)

    def test_text(self, tmp_path, use):
        path = tmp_path / "notes.mp4"
        path.write_text("this is no video\n" * 100)
        with pytest.raises(VideoError, match="cannot be opened as a video") as caught:
            use(path)
        assert one_line(caught.value)

    def test_no_permission(self, tmp_path, use, monkeypatch):
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        path = tmp_path / "secret.mp4"
        path.touch()
        monkeypatch.setattr(av, "open", refuse)  # whoever runs the tests may read all files
        with pytest.raises(VideoError, match="may not be read; change its permissions") as caught:
            use(path)
        assert one_line(caught.value)

    def test_empty(self, tmp_path, use):
        path = tmp_path / "empty.mp4"
        path.touch()
        with pytest.raises(VideoError, match="cannot be opened as a video") as caught:
            use(path)
        assert one_line(caught.value)

    def test_folder_without_images(self, tmp_path, use):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(VideoError, match="no PNG or JPEG") as caught:
            use(tmp_path)
        assert one_line(caught.value)

    def test_fake_image(self, tmp_path, use):
        (tmp_path / "1.png").write_text("no image")
        with pytest.raises(VideoError, match=r"1\.png is no image") as caught:
            use(tmp_path)
        assert one_line(caught.value)

    def test_pipe(self, tmp_path, use):
        import os

        os.mkfifo(tmp_path / "pipe.mp4")
        with pytest.raises(VideoError, match="no regular file"):
            use(tmp_path / "pipe.mp4")


def test_a_cut_file_gives_its_frames_and_a_warning(make: Make):
    path = make("a.mp4", 24, options={"crf": "1"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(video.FrameWarning, match=r"(\d+) frames were decoded") as caught:
        frames = list(video.frames(path))
    assert 0 < len(frames) < 24
    assert f" {len(frames)} frames were decoded" in str(caught[0].message)
    with pytest.warns(video.FrameWarning), pytest.raises(VideoError, match="and 24 are asked for"):
        video.read(path, count=24)


def test_no_warning_where_the_fault_is_not_reached(make: Make):
    path = make("a.mp4", 24, options={"crf": "1"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert video.read(path, count=3).length == 3


STATES_ITS_LENGTH = [
    ("a.mkv", "libx264"),
    ("a.webm", "libvpx"),
    ("a.avi", "mpeg4"),
    ("a.flv", "flv1"),
]


@pytest.mark.parametrize(("name", "codec"), STATES_ITS_LENGTH)
def test_a_file_that_ends_early_without_an_error_is_warned_of(make: Make, name: str, codec: str):
    """FFmpeg takes the end of such a file for the end of the video."""
    path = make(name, 60, codec=codec, options={"crf": "1"} if codec == "libx264" else {})
    whole = list(video.frames(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(video.FrameWarning, match="is cut off") as caught:
        frames = list(video.frames(path))
    assert len(whole) == 60 > len(frames) > 0
    line = str(caught[0].message)
    found = re.search(r"(\d+) frames were decoded, .* about (\d+) more are missing", line)
    assert found is not None
    assert "\n" not in line
    assert int(found[1]) == len(frames)
    assert abs(int(found[2]) - (60 - len(frames))) <= 1
    with pytest.warns(video.FrameWarning, match=f"is cut off: {len(frames) - 1} frames"):
        assert len(list(video.frames(path, start=1))) == len(frames) - 1
    assert len(list(video.frames(path, count=1))) == 1  # no warning: the end was not reached


@pytest.mark.parametrize("times", [None, [5000 + 40 * n for n in range(60)]])
def test_a_whole_file_is_not_warned_of(make: Make, times: list[int] | None):
    """Wherever its clock starts; warnings are errors here."""
    for name, codec in (*STATES_ITS_LENGTH[:2], ("a.mp4", "libx264"), ("a.ts", "libx264")):
        assert len(list(video.frames(make(name, 60, codec=codec, times=times)))) == 60
    for short in (1, 2, 3):
        assert len(list(video.frames(make("s.mkv", short, times=None)))) == short


def with_sound(path: Path, seconds: float, frames: int, stated: bool) -> Path:
    """A video and a tone of other lengths; `stated` leaves the video's own in the file."""
    rate = 8000
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("libx264", rate=25)
        picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
        sound: Any = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for number in range(frames):
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(picture.encode(None))
        for start in range(0, int(seconds * rate), 400):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 400), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    if not stated:  # as other writers leave the tag away
        path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATI0N"))
    return path


@pytest.mark.parametrize("stated", [True, False])
def test_sound_that_goes_on_is_no_missing_video(tmp_path: Path, stated: bool):
    path = with_sound(tmp_path / "a.mkv", seconds=6, frames=50, stated=stated)
    assert len(list(video.frames(path))) == 50
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(video.FrameWarning, match="is cut off"):
        assert 10 < len(list(video.frames(path))) < 50


def test_libav_says_nothing_itself(make: Make):
    path = make("a.mp4", 24, options={"crf": "1"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from framecast import video\n"
        "print(len(list(video.frames(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 0
    assert done.stderr == ""
