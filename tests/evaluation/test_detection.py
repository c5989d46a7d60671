"""Boxes against plain loops, and detectors of every layout on frames whose objects are known."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from PIL import Image
from tiny_detector import COUNT, SIDE, constant, save, write

from framecast.errors import FramecastError
from framecast.evaluation.detection import Boxes, Detector, drawing, summary
from framecast.evaluation.detection.boxes import PADDING, Letterbox, overlaps, suppressed
from framecast.evaluation.detection.layouts import LAYOUTS, layout_of, read, read_names
from framecast.evaluation.detection.scores import matches

Rows = list[tuple[float, ...]]


def boxes_of(rows: Rows) -> Boxes:
    """Boxes from (left, top, right, bottom, confidence, class)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def overlap_of(one: tuple[float, ...], two: tuple[float, ...]) -> float:
    """Intersection over union by counting unit squares; corners are whole numbers."""
    cells = [
        {(x, y) for x in range(int(b[0]), int(b[2])) for y in range(int(b[1]), int(b[3]))}
        for b in (one, two)
    ]
    union = cells[0] | cells[1]
    return len(cells[0] & cells[1]) / len(union) if union else 0.0


@st.composite
def rows(draw: st.DrawFn, most: int = 8) -> Rows:
    """Boxes with whole corners, two classes, and confidences some of which are equal."""
    found = []
    for _ in range(draw(st.integers(0, most))):
        left, top = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        wide, tall = draw(st.integers(1, 6)), draw(st.integers(1, 6))
        sure = draw(st.sampled_from([0.3, 0.5, 0.8, 0.9]))
        found.append((left, top, left + wide, top + tall, sure, draw(st.integers(0, 1))))
    return found


# ---- boxes


@given(rows(), rows())
@settings(deadline=None, max_examples=60)
def test_overlaps_count_pixels(ours: Rows, theirs: Rows) -> None:
    found = overlaps(boxes_of(ours).corners, boxes_of(theirs).corners)
    assert found.shape == (len(ours), len(theirs))
    for i, one in enumerate(ours):
        for j, two in enumerate(theirs):
            assert found[i, j] == pytest.approx(overlap_of(one, two))


def test_empty_boxes_overlap_nothing() -> None:
    nothing = np.array([[3.0, 3, 3, 3], [5, 5, 2, 2]])
    assert (overlaps(nothing, nothing) == 0).all()


@given(rows(), st.sampled_from([0.0, 0.3, 0.45, 0.9]))
@settings(deadline=None, max_examples=100)
def test_suppression_in_plain_loops(given_rows: Rows, overlap: float) -> None:
    waiting = sorted(given_rows, key=lambda row: -row[4])  # stable, as the contract says
    kept: Rows = []
    for row in waiting:
        rivals = [better for better in kept if better[5] == row[5]]
        if all(overlap_of(better, row) <= overlap for better in rivals):
            kept.append(row)
    found = suppressed(boxes_of(given_rows), overlap)
    expected = boxes_of(kept)
    np.testing.assert_array_equal(found.corners, expected.corners)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(found.label, expected.label)


@given(rows(), rows())
@settings(deadline=None, max_examples=100)
def test_matches_in_plain_loops(found: Rows, truth: Rows) -> None:
    free, count = list(truth), 0
    for row in sorted(found, key=lambda row: -row[4]):
        fitting = [each for each in free if each[5] == row[5] and overlap_of(each, row) >= 0.5]
        if fitting:
            free.remove(max(fitting, key=lambda each: overlap_of(each, row)))
            count += 1
    assert matches(boxes_of(found), boxes_of(truth)) == count


def test_the_summary_of_two_frames() -> None:
    truth = [
        boxes_of([(0, 0, 4, 4, 0.9, 0), (10, 10, 14, 14, 0.9, 1)]),
        boxes_of([(0, 0, 4, 4, 0.9, 0)]),
    ]
    found = [
        boxes_of([(0, 0, 4, 5, 0.85, 0), (0, 0, 4, 4, 0.8, 0), (10, 10, 14, 14, 0.95, 0)]),
        boxes_of([]),
    ]
    # one of three stands for a true box: the double comes second, the third has another class
    got = summary(found, truth)
    assert got.objects == 1.5
    assert got.confidence == pytest.approx((0.85 + 0.8 + 0.95) / 3)
    assert got.recall == pytest.approx(1 / 3)
    assert got.precision == pytest.approx(1 / 3)


def test_shares_of_nothing_are_not_numbers() -> None:
    nothing, something = [boxes_of([])], [boxes_of([(0, 0, 1, 1, 0.9, 0)])]
    assert (summary(nothing, something).recall, summary(nothing, something).precision) == (0, None)
    assert (summary(something, nothing).recall, summary(something, nothing).precision) == (None, 0)
    assert summary(nothing, nothing).confidence is None


# ---- letterbox


@pytest.mark.parametrize(
    ("frame", "target", "inside", "offset"),
    [
        ((64, 64), (64, 64), (64, 64), (0, 0)),
        ((32, 64), (64, 64), (32, 64), (16, 0)),
        ((100, 50), (64, 64), (64, 32), (0, 16)),
        ((2160, 3840), (640, 640), (360, 640), (140, 0)),
        ((10, 10), (64, 96), (64, 64), (0, 16)),
        ((33, 64), (64, 64), (33, 64), (15, 0)),
        ((1, 1000), (64, 64), (1, 64), (31, 0)),
    ],
)
def test_letterbox_geometry(frame, target, inside, offset) -> None:
    box = Letterbox.of(frame, target)
    assert (box.inside, box.offset) == (inside, offset)
    image = box.apply(torch.ones(3, *frame))
    assert image.shape == (3, *target)
    top, left = offset
    part = image[:, top : top + inside[0], left : left + inside[1]]
    torch.testing.assert_close(part, torch.ones_like(part))
    assert (image == PADDING).sum() == 3 * (target[0] * target[1] - inside[0] * inside[1])


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(8, 200), st.integers(8, 200)),
)
@settings(deadline=None)
def test_boxes_come_back_to_the_frame_exactly(frame, target) -> None:
    """The frame's corners inside the box are the frame's corners; what lies outside is cut off."""
    box = Letterbox.of(frame, target)
    (top, left), (height, width) = box.offset, box.inside
    whole = [left, top, left + width, top + height]
    half = [left, top, left + width / 2, top + height / 2]
    beyond = [-10, -10, target[1] + 10, target[0] + 10]
    found = box.restore(np.array([whole, half, beyond], np.float64))
    expected = [[0, 0, frame[1], frame[0]], [0, 0, frame[1] / 2, frame[0] / 2]]
    np.testing.assert_allclose(found, [*expected, expected[0]], rtol=1e-12)


def test_a_picture_is_where_its_box_is() -> None:
    """A white square keeps its borders on the way in; its box, taken there, fits on the way out."""
    frame = torch.zeros(1, 20, 40)
    frame[:, 4:12, 8:24] = 1
    box = Letterbox.of((20, 40), (80, 80))  # twice as large
    image = box.apply(frame)[0]
    ys, xs = torch.nonzero(image > 0.5, as_tuple=True)
    inside = (ys >= 20) & (ys < 60)
    ys, xs = ys[inside], xs[inside]
    edges = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    found = box.restore(np.array([[int(edge) for edge in edges]], np.float64))
    np.testing.assert_array_equal(found, [[8, 4, 24, 12]])


# ---- layouts


@pytest.mark.parametrize(
    ("shape", "classes", "layout"),
    [
        ((1, 25200, 85), None, "yolov5"),
        ((1, 25200, 85), 80, "yolov5"),
        ((1, 84, 8400), None, "yolov8"),
        ((1, 84, 8400), 80, "yolov8"),
        ((1, 300, 6), 80, "end-to-end"),
        ((1, 0, 6), None, "end-to-end"),
        ((4, 84, 8400), 80, "yolov8"),
        ((1, 5, 8400), 1, "yolov8"),
        ((1, 84, 40), 80, "yolov8"),
    ],
)
def test_the_layout_of_a_shape(shape, classes, layout) -> None:
    assert layout_of(shape, classes) == layout


@pytest.mark.parametrize(
    ("shape", "classes", "said"),
    [
        ((1, 25200, 6), None, "may be yolov5 or end-to-end; say which with --layout"),
        ((1, 25200, 6), 1, "may be yolov5 or end-to-end"),
        ((1, 116, 8400), 80, "no layout with 80 classes"),
        ((1, 3, 80, 80, 85), None, "is no layout that is known"),
        ((1, 1000), None, "is no layout that is known"),
    ],
)
def test_a_shape_that_does_not_tell(shape, classes, said: str) -> None:
    with pytest.raises(FramecastError, match=said):
        layout_of(shape, classes)


def test_a_candidate_in_every_layout() -> None:
    """Centre (10, 20), size 4×8, class 1 of 2 with a score of 0.9 and an objectness of 0.9."""
    v5 = np.array([[10, 20, 4, 8, 0.9, 0.2, 0.9], [1, 1, 1, 1, 0.7, 0.99, 0.0]], np.float32)
    v8 = np.array([[10, 20, 4, 8, 0.2, 0.9], [1, 1, 1, 1, 0.7, 0.0]], np.float32).T
    end = np.array([[8, 16, 12, 24, 0.9, 1], [1, 1, 2, 2, 0.7, 0]], np.float32)
    for output, layout, sure in ((v5, "yolov5", 0.81), (v8, "yolov8", 0.9), (end, LAYOUTS[2], 0.9)):
        found = read(output, layout, 0.8)
        np.testing.assert_array_equal(found.corners, [[8, 16, 12, 24]])
        np.testing.assert_allclose(found.confidence, [sure], rtol=1e-6)
        np.testing.assert_array_equal(found.label, [1])
        assert len(read(output, layout, 0.1)) == 2
        assert len(read(output, layout, 0.95)) == 0


def test_the_confidence_itself_counts() -> None:
    output = np.array([[0, 0, 2, 2, 0.8, 0]], np.float32)
    assert len(read(output, "end-to-end", 0.8)) == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 7: 'truck'}", {0: "person", 7: "truck"}),
        ("['a', 'b']", {0: "a", 1: "b"}),
        ("", {}),
        ("{0: open('x')}", {}),
        ("3", {}),
        ("{'a': 'b'}", {}),
    ],
)
def test_names_of_classes(text: str, names: dict[int, str]) -> None:
    assert read_names({"names": text}) == names
    assert read_names({}) == {}


# ---- detectors


def scene() -> torch.Tensor:
    """A frame of 32×64 with a red and a green square, and a red one that is too dark."""
    frame = torch.zeros(3, 32, 64)
    frame[0, 8:16, 24:32] = 1
    frame[1, 24:32, 40:48] = 0.9
    frame[0, 0:8, 0:8] = 0.5
    return frame


def check_scene(detector: Detector, confidence: float = 0.8) -> None:
    found = detector.detect(scene(), confidence)
    np.testing.assert_allclose(found.corners, [[24, 8, 32, 16], [40, 24, 48, 32]])
    np.testing.assert_allclose(found.confidence, [1, 0.9], rtol=1e-3)
    assert [detector.name(label) for label in found.label.tolist()] == [
        "red square",
        "green square",
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "half"),
    [
        ((1, 3, SIDE, SIDE), False),
        (("batch", 3, SIDE, SIDE), False),
        (("batch", 3, "height", "width"), False),
        ((3, 3, SIDE, SIDE), False),
        ((1, 3, SIDE, SIDE), True),
    ],
)
def test_objects_are_found_where_they_are(tmp_path: Path, layout: str, shape, half: bool) -> None:
    file = write(tmp_path / "d.onnx", layout, shape=shape, half=half)
    detector = Detector.load(file, side=SIDE)
    assert (detector.layout, detector.size) == (layout, (SIDE, SIDE))
    check_scene(detector)


def test_frames_of_other_sizes(tmp_path: Path) -> None:
    """Twice as large, each edge of a box moves twice as far."""
    detector = Detector.load(write(tmp_path / "d.onnx", "yolov8"))
    large = scene().repeat_interleave(2, 1).repeat_interleave(2, 2)
    found = detector.detect(large, 0.8)
    np.testing.assert_allclose(found.corners, [[48, 16, 64, 32], [80, 48, 96, 64]])


def test_gray_frames_are_all_colours(tmp_path: Path) -> None:
    detector = Detector.load(write(tmp_path / "d.onnx", "yolov8"))
    frame = torch.zeros(1, SIDE, SIDE)
    frame[:, :8, :8] = 1
    found = detector.detect(frame, 0.8)
    np.testing.assert_array_equal(found.corners, [[0, 0, 8, 8]])
    with pytest.raises(FramecastError, match="not 2 channels"):
        detector.detect(torch.zeros(2, SIDE, SIDE), 0.8)


def test_doubles_go_except_end_to_end(tmp_path: Path) -> None:
    """Two boxes of a class, 80 % one; one of another class; one in the gray outside the frame."""
    v5 = [[8, 20, 10, 8, 1, 0.9, 0], [9, 20, 10, 8, 1, 0.95, 0], [8, 20, 10, 8, 1, 0, 0.9]]
    v5 += [[8, 4, 4, 4, 1, 0.9, 0]] * 7
    file = constant(tmp_path / "v5.onnx", np.array([v5]))
    frame = torch.zeros(3, 32, 64)
    found = Detector.load(file).detect(frame, 0.8)
    np.testing.assert_array_equal(found.corners, [[4, 0, 14, 8], [3, 0, 13, 8]])
    assert found.label.tolist() == [0, 1]
    assert len(Detector.load(file, overlap=0.9).detect(frame, 0.8)) == 3
    end = [[3, 16, 13, 24, 0.9, 0], [4, 16, 14, 24, 0.95, 0]]
    detector = Detector.load(constant(tmp_path / "e.onnx", np.array([end])), layout="end-to-end")
    np.testing.assert_array_equal(detector.detect(frame, 0.8).corners[:, 0], [4, 3])
    assert detector.name(0) == "class 0"


def test_nothing_is_found_in_what_is_no_number(tmp_path: Path) -> None:
    detector = Detector.load(write(tmp_path / "d.onnx", "yolov5"))
    assert len(detector.detect(torch.full((3, 32, 64), torch.nan), 0.1)) == 0


def test_files_that_are_no_detectors_are_one_line(tmp_path: Path) -> None:
    identity = [helper.make_node("Identity", ["images"], ["output0"])]
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    whole = write(tmp_path / "whole.onnx", "yolov5").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    save(tmp_path / "image.onnx", identity, {}, (1, 3, 16, 16))
    save(tmp_path / "gray.onnx", identity, {}, (1, 1, 16, 16))
    one_class = np.zeros((1, COUNT, 6))
    constant(tmp_path / "either.onnx", one_class)
    cases = {
        "missing": "is no file",
        "broken": "cannot be loaded",
        "cut": "cannot be loaded",
        "image": "no layout",
        "gray": r"one image as \(batch, 3",
        "either": "say which with --layout",
    }
    for name, said in cases.items():
        with pytest.raises(FramecastError, match=said) as caught:
            Detector.load(tmp_path / f"{name}.onnx")
        assert "\n" not in str(caught.value)
    with pytest.raises(FramecastError, match="is not end-to-end"):
        Detector.load(tmp_path / "whole.onnx", layout="end-to-end")
    with pytest.raises(FramecastError, match="images of 64x64 alone, not 128x128"):
        Detector.load(tmp_path / "whole.onnx", side=128)
    assert Detector.load(tmp_path / "either.onnx", layout="yolov5").layout == "yolov5"


def test_a_size_that_the_graph_cannot_take_is_one_line(tmp_path: Path) -> None:
    file = write(tmp_path / "d.onnx", "yolov8", shape=("b", 3, "h", "w"))
    with pytest.raises(FramecastError, match="fails on an image of 640x640"):
        Detector.load(file)


def test_without_onnxruntime_one_line_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FramecastError, match="pip install onnxruntime"):
        Detector.load(tmp_path / "d.onnx")


def test_the_runtime_records_nothing_and_is_not_imported_early(tmp_path: Path) -> None:
    """Even where the environment asks for its telemetry, which writes into the home folder."""
    file = write(tmp_path / "d.onnx", "yolov8")
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import sys, time\n"
        "from framecast.evaluation.detection import Detector\n"
        "assert 'onnxruntime' not in sys.modules\n"
        f"Detector.load({str(file)!r})\n"
        "assert 'onnxruntime' in sys.modules\n"
        "time.sleep(0.3)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    places = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "TMPDIR": home}
    environment |= {key: str(place) for key, place in places.items()}
    environment["ORT_DISABLE_TELEMETRY"] = "0"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in home.rglob("*") if path.is_file()] == []


# ---- pictures


@pytest.mark.parametrize("frame", [(32, 64), (64, 32), (720, 1280), (8, 8)])
@pytest.mark.parametrize("rows", [1, 3, 12])
def test_rows_of_frames_are_drawn_at_the_size_they_have(tmp_path: Path, frame, rows: int) -> None:
    size = drawing.cell(frame, rows, drawing.COLUMNS)
    teal = torch.tensor([0.0, 0.6, 0.8])[:, None, None].expand(3, *size)
    frames = [teal] * drawing.COLUMNS
    kept = [3 * n for n in range(drawing.COLUMNS)]
    path = tmp_path / "p.png"
    named = {f"a long name of a model {n}": frames for n in range(rows)}
    drawing.save_rows(named, path, title="t", first=4, kept=kept)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert pixels.shape[1] <= 2400
    shown = (pixels == [0, 153, 204]).all(-1).sum()
    assert shown == rows * drawing.COLUMNS * size[0] * size[1]


def test_boxes_are_drawn_where_objects_are(tmp_path: Path) -> None:
    detector = Detector.load(write(tmp_path / "d.onnx", "yolov8"))
    frame, size = torch.zeros(3, 32, 64), (128, 256)
    boxes = boxes_of([(24, 16, 32, 24, 0.9, 0)])
    plain = drawing.annotated(frame, boxes_of([]), detector, size)
    assert plain.shape == (3, *size)
    assert (plain == 0).all()
    drawn = drawing.annotated(frame, boxes, detector, size)
    red = drawn[0] > 0.8
    edges = [drawn[:, 64, 96:128], drawn[:, 95, 96:128], drawn[:, 64:96, 96], drawn[:, 64:96, 127]]
    assert all((edge[0] > 0.8).all() for edge in edges)
    inside = red[66:94, 98:126]
    assert not inside.any()
    assert red[64 - 15 : 64, 96:200].any()  # its name stands above
    assert not red[:40].any()
    assert not red[97:].any()
