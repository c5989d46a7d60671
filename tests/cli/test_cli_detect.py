"""`framecast detect`: tiny detectors on a video whose objects are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.tiny_detector import SIDE, constant, write
from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig

HEIGHT, WIDTH = 32, 64
HEAD = ("--model", "copy-last", "--detector", "d.onnx")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames: a green square that stands, and a red one that moves its width every frame."""
    folder = tmp_path / "squares"
    folder.mkdir()
    for number in range(10):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[24:32, 48:56, 1] = 230
        column = 8 * (number % 8)
        pixels[8:16, column : column + 8, 0] = 255
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return write(tmp_path / "d.onnx", "yolov8")


def starts(line: np.ndarray) -> int:
    """How many runs there are in a line of booleans."""
    return int((np.diff(line.astype(int), prepend=0) == 1).sum())


def test_what_is_printed(cli, video: Path, detector: Path) -> None:
    ran = cli("detect", video, *HEAD)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines()]
    assert "4 frames observed, 4 predicted; objects at a confidence of 0.8 or above" in ran.out
    assert ["objects", "per", "frame", "confidence", "recall", "precision"] in lines
    sure = f"{(1 + 230 / 255) / 2:.3f}"
    assert ["truth", "2.00", sure, "-", "-"] in lines
    # what stands is found again, what moves is not
    assert ["copy-last", "2.00", sure, "0.500", "0.500"] in lines
    assert "wrote out/squares-objects.png" in ran.out


@pytest.mark.parametrize("layout", ["yolov5", "yolov8", "end-to-end"])
def test_json_holds_every_box(cli, video: Path, tmp_path: Path, layout: str) -> None:
    write(tmp_path / "d.onnx", layout)
    options = ("--context", 2, "--horizon", 3, "--start", 1, "-o", "deep/a.png", "--json")
    document = cli("detect", video, *HEAD, *options).json
    assert (document["layout"], document["wrote"]) == (layout, "deep/a.png")
    assert (document["context"], document["horizon"]) == (2, 3)
    truth, model = document["rows"]
    assert (truth["name"], model["name"]) == ("truth", "copy-last")
    assert [frame["frame"] for frame in truth["frames"]] == [3, 4, 5]
    for frame in truth["frames"]:
        left = 8 * frame["frame"]
        red, green = frame["objects"]
        assert (red["class"], red["box"]) == ("red square", [left, 8, left + 8, 16])
        assert (green["class"], green["box"]) == ("green square", [48, 24, 56, 32])
    assert {frame["objects"][0]["box"][0] for frame in model["frames"]} == {16}
    assert (model["recall"], model["precision"]) == (0.5, 0.5)
    assert Path("deep/a.png").stat().st_size


def test_the_confidence_counts(cli, video: Path, detector: Path) -> None:
    document = cli("detect", video, *HEAD, "--confidence", 0.95, "--json").json
    assert [row["objects"] for row in document["rows"]] == [1, 1]
    assert [row["recall"] for row in document["rows"]] == [1, 0]


def test_the_picture_has_a_row_per_model_and_the_boxes(cli, video: Path, detector: Path) -> None:
    ConvLSTM(ConvLSTMConfig(channels=3, hidden=(2,), kernel=3)).save(Path("untrained"))
    ran = cli("detect", video, *HEAD, "--model", "untrained", "--horizon", 6, "--json")
    assert ran.code == 0, ran.err
    assert [row["name"] for row in ran.json["rows"]] == ["truth", "copy-last", "untrained"]
    assert len({len(row["frames"]) for row in ran.json["rows"]}) == 1
    with Image.open("out/squares-objects.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    green = (pixels == [0, 230, 0]).all(-1)
    assert (starts(green.any(0)), starts(green.any(1))) == (6, 2)  # of the truth and of copy-last
    blue_box = (pixels == [30, 120, 220]).all(-1)  # of the second class
    assert starts(blue_box.any(0)) >= 6


def test_of_a_long_horizon_some_frames_are_shown(cli, video: Path, detector: Path) -> None:
    ran = cli("detect", video, *HEAD, "--context", 1, "--horizon", 9, "--json")
    assert len(ran.json["rows"][1]["frames"]) == 9
    with Image.open("out/squares-objects.png") as image:
        green = (np.asarray(image.convert("RGB")) == [0, 230, 0]).all(-1)
    assert (starts(green.any(0)), starts(green.any(1))) == (6, 2)


def test_a_gray_model_beside_a_coloured_one(cli, video: Path, detector: Path, model_folder) -> None:
    """The truth stays in colour, and a note says what the gray model was given."""
    gray = model_folder("gray")
    for order in (("copy-last", gray), (gray, "copy-last")):
        models = [word for name in order for word in ("--model", name)]
        document = cli("detect", video, "--detector", detector, *models, "--json").json
        assert document["rows"][0]["objects"] == 2
        assert any("colour was turned into gray" in note for note in document["notes"])


def test_frames_in_which_nothing_is_found(cli, frame_folder, detector: Path) -> None:
    ran = cli("detect", frame_folder("dull"), *HEAD, "--confidence", 0.99)
    assert ran.code == 0, ran.err
    assert "no object at a confidence of 0.99 or above in the true frames" in ran.out
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["truth", "0.00", "-", "-", "-"] in rows
    assert ["copy-last", "0.00", "-", "-", "-"] in rows


def test_the_detector_sees_the_size_that_is_asked_for(cli, video: Path, tmp_path: Path) -> None:
    write(tmp_path / "d.onnx", "yolov8", shape=("b", 3, "h", "w"))
    assert cli("detect", video, *HEAD, "--detector-size", SIDE).code == 0
    ran = cli("detect", video, *HEAD)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "fails on an image of 640x640" in ran.err


def test_a_layout_that_the_shape_does_not_tell(cli, video: Path, tmp_path: Path) -> None:
    constant(tmp_path / "d.onnx", np.zeros((1, 100, 6)))
    ran = cli("detect", video, *HEAD)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "--layout yolov5" in ran.err
    document = cli("detect", video, *HEAD, "--layout", "end-to-end", "--json").json
    assert document["layout"] == "end-to-end"


def test_the_same_seed_gives_the_same_document(cli, video: Path, detector: Path) -> None:
    documents = [cli("detect", video, *HEAD, "--json").out for _ in range(2)]
    assert documents[0] == documents[1]
    assert json.loads(documents[0])["confidence"] == 0.8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--horizon", 7), "goes on for 6 frames after the context, and the horizon is 7; "),
        (("--horizon", 7), "pass --horizon 6"),
        (("--context", 10), "pass a smaller --context"),
        (("--context", 11), "has 10 frames from frame 0 on, and the context is 11"),
        (("--context", 0), "--context is at least 1"),
        (("--horizon", 0), "--horizon is at least 1"),
        (("--confidence", 0), "--confidence is above 0 and at most 1"),
        (("--detector-size", 0), "--detector-size is at least 1"),
        (("--out", "a.mp4"), "the picture is a .png file"),
        (("--out", "squares/a.png"), "would overwrite an input"),
        (("--model", "copylast"), "did you mean 'copy-last'"),
        (("--model", "truth"), "cannot stand beside the truth"),
        (("--detector", "none.onnx"), "is no file"),
        (("--detector", "broken.onnx"), "cannot be loaded"),
        (("--detector", "constant.onnx"), "no layout"),
        (("--model", "noisy"), "different sizes (copy-last 32x64, noisy 16x20)"),
    ],
)
def test_wrong_input_is_one_line(
    cli, video: Path, detector: Path, noisy: str, arguments: tuple[object, ...], said: str
) -> None:
    Path("broken.onnx").write_bytes(b"\x00\x01 nothing")
    constant(Path("constant.onnx"), np.zeros((1, 5)))
    before = sorted(Path().rglob("*"))
    ran = cli("detect", video, *HEAD, *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


def test_a_model_has_to_be_named(cli, video: Path, detector: Path) -> None:
    ran = cli("detect", video, "--detector", detector)
    assert ran.code == 2
    assert "--model" in ran.err
