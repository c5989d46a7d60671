"""Files that are damaged, missing, or no videos."""

import subprocess
import sys

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
