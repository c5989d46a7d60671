"""Folders of images."""

from pathlib import Path

import numpy as np
import pytest
from made_clips import picture
from PIL import Image

from framecast import video
from framecast.errors import VideoError


def write(folder, names, **options):
    for number, name in enumerate(names):
        Image.fromarray(picture(number)).save(folder / name, **options)


def test_natural_order_and_times(tmp_path):
    write(tmp_path, ["f1.png", "f2.png", "f9.PNG", "f10.png", "f100.png"])
    (tmp_path / "._f3.png").write_text("left by a file manager")
    (tmp_path / "notes.txt").touch()
    frames = list(video.frames(tmp_path))
    assert [np.array_equal(f.image, picture(n)) for n, f in enumerate(frames)] == [True] * 5
    assert [f.seconds for f in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert [f.seconds for f in video.frames(tmp_path, start=3, fps=10.0)] == pytest.approx(
        [0.3, 0.4]
    )
    assert np.array_equal(next(video.frames(tmp_path, start=0.2, fps=10.0)).image, picture(2))


def test_natural_order_of_any_name():
    names = ["2", "A2", "a2", "a10", "a²", "b/9", "b/10", "b1/1", "b10"]
    paths = [Path(name) for name in names]
    for shuffled in (paths[::-1], paths[4:] + paths[:4]):
        assert sorted(shuffled, key=video.natural) == paths


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["f1", "f2", "f3", "f5", "f6", "f9"], "missing between 1 and 9: 4, 7 to 8;"),
        (["0000", "0005", "0010", "0020", "0025"], "missing between 0 and 25: 15;"),
        (["7_left", "8_left", "10_left", "11_left"], "missing between 7 and 11: 9;"),
        (
            [*map(str, (1, 2, 3, 5, 6, 8, 9, 11, 12, 13, 14, 16, 17, 18))],
            ": 4, 7, 10 and 1 gap more;",
        ),
        (["0", "1", "2"], None),
        (["4"], None),
        (["1", "2", "4", "cover"], None),
        (["202008260050", "202008260055", "202008260100"], None),
        (["0", "3", "4", "9", "11"], None),
    ],
)
def test_missing_numbers_are_named(tmp_path, names: list[str], said: str | None):
    write(tmp_path, [f"{name}.png" for name in names])
    found = video.missing(tmp_path)
    assert (found is None) if said is None else (said in found)


def test_probe(tmp_path):
    write(tmp_path, ["1.jpg", "2.jpg"])
    info = video.probe(tmp_path)
    assert (info.frames, info.exact, info.width, info.height) == (2, True, 64, 48)
    assert (info.fps, info.seconds, info.codec, info.pixel_format) == (None, None, "jpeg", "RGB")


def test_mixed_sizes(tmp_path):
    write(tmp_path, ["1.png", "2.png"])
    Image.fromarray(picture(0, 30, 40)).save(tmp_path / "3.png")
    with pytest.raises(VideoError, match=r"mixes sizes: 1\.png has 64x48 .* 3\.png 40x30"):
        video.read(tmp_path)


def test_start_past_the_end(tmp_path):
    write(tmp_path, ["1.png", "2.png"])
    with pytest.raises(VideoError, match="has 2 images, and frame 2"):
        list(video.frames(tmp_path, start=2))


def test_a_cut_image_is_named(tmp_path):
    write(tmp_path, ["1.png", "2.png"])
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"2\.png cannot be read") as caught:
        video.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_modes(tmp_path):
    gray = picture(0)[..., 0]
    cases = {
        "gray": Image.fromarray(gray),
        "16bit": Image.fromarray(gray.astype(np.uint16) * 257),
        "palette": Image.fromarray(gray).convert("RGB").quantize(256),
    }
    for name, image in cases.items():
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "1.png")
        read = next(video.frames(tmp_path / name)).image
        assert np.abs(read.astype(int) - gray[..., None]).max() <= 1, name


def test_transparency_lies_on_white(tmp_path):
    image = np.zeros((4, 4, 4), np.uint8)
    image[:2] = (10, 20, 30, 255)
    Image.fromarray(image).save(tmp_path / "1.png")
    read = next(video.frames(tmp_path)).image
    assert (read[:2] == (10, 20, 30)).all()
    assert (read[2:] == 255).all()


def test_camera_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: to be turned by 90 degrees clockwise
    Image.fromarray(picture(0)).save(tmp_path / "1.png", exif=exif)
    info = video.probe(tmp_path)
    assert (info.width, info.height) == (48, 64)
    assert np.array_equal(next(video.frames(tmp_path)).image, np.rot90(picture(0), -1))
