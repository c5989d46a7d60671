"""KTH: files that the tests write in the published layout, and three original clips."""

import os
import pickle
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from framecast.clip import DataConfig
from framecast.config import from_json, to_json
from framecast.data.kth import Kth, read_ranges, squeeze
from framecast.errors import DataError
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.runner import evaluate
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.video import read

DATA = os.environ.get("FRAMECAST_DATA")
real = pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")


def write_avi(path: Path, frames: int) -> None:
    """A gray ramp that brightens with time, as MPEG-4 in AVI like the originals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for t in range(frames):
            ramp = np.linspace(0, 100, 160)[None] + np.linspace(0, 40, 120)[:, None] + 4 * t
            image = np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=-1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


def clip(root: Path, person: int, action: str, scene: int = 1, frames: int = 20) -> Path:
    path = root / action / f"person{person:02d}_{action}_d{scene}_uncomp.avi"
    write_avi(path, frames)
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kth")
    clip(folder, 1, "boxing", frames=25)
    clip(folder, 1, "running", frames=25)
    clip(folder, 15, "walking", frames=12)
    clip(folder, 17, "jogging", frames=20)
    clip(folder, 18, "boxing", frames=6)
    (folder / "00sequences.txt").write_text(
        "Training:   person11, 12, 13\n\n"
        "person01_boxing_d1\t\tframes\t1-9, 10-20, 22-25\n"
        "person01_running_d1    \tframes\t1-12, 20-999 \n"
        "person15_walking_d1\t\tframes\t1-12\n"
        "person17_jogging_d1\t\tframes\t3-20\n"
        "person18_boxing_d1\t\tframes\t1-6\n"
        "person13_handclapping_d3\t*missing*\n"
    )
    return folder


def starts(source):
    return [source.name(index).rsplit("/", 1)[-1] for index in range(len(source))]


def test_windows_lie_in_joined_ranges_counted_from_their_end(root):
    source = Kth(root=root).source("train", 8, 0)
    # boxing: frames 0-19 (two ranges joined) by 8; 21-24 too short. running: 0-11, 19-24 by 3.
    assert starts(source) == [
        "person01_boxing_d1_uncomp.avi:4",
        "person01_boxing_d1_uncomp.avi:12",
        "person01_running_d1_uncomp.avi:1",
        "person01_running_d1_uncomp.avi:4",
    ]
    assert source.fixed
    assert any("2 of 4 sequences have fewer than 8 frames" in note for note in source.notes())
    assert any("594 of the 599 KTH clips are not there" in note for note in source.notes())
    assert any("4 train windows" in n and "108,717" in n for n in source.notes())


def test_the_first_test_windows_stand_for_all_actions(tmp_path):
    actions = ("boxing", "running", "walking")
    for person in (17, 18, 19):
        for action in actions:
            clip(tmp_path, person, action, frames=60)
    source = Kth(root=tmp_path, span="clip").source("test", 8, 0)
    first = starts(source)[:12]
    assert {name.split("_")[1] for name in first} == set(actions)
    assert {name[6:8] for name in first} == {"17", "18", "19"}
    assert len(set(starts(source))) == len(source)


def test_whole_clips_need_no_list(root, tmp_path):
    source = Kth(root=root, span="clip").source("test", 6, 0)
    names = starts(source)
    assert [n for n in names if "boxing" in n] == ["person18_boxing_d1_uncomp.avi:0"]
    jogging = sorted(int(n.rsplit(":")[-1]) for n in names if "jogging" in n)
    assert jogging == [2, 5, 8, 11, 14]
    clip(tmp_path, 1, "boxing")
    assert len(Kth(root=tmp_path, span="clip").source("train", 20, 0)) == 1
    with pytest.raises(DataError, match=r"00sequences\.txt is missing.*span=\"clip\""):
        Kth(root=tmp_path).source("train", 8, 0)


@pytest.mark.parametrize("size", [64, 128])
def test_clips_are_gray_squares_with_times(root, size):
    source = Kth(root=root, size=size).source("train", 8, 0)
    item = source[(3, 1)]
    assert item.frames.shape == (8, 1, size, size)
    torch.testing.assert_close(item.seconds, torch.arange(8) / 25)
    whole = read(root / "boxing" / "person01_boxing_d1_uncomp.avi", channels=1).frames[12:20]
    squeezed = torch.nn.functional.interpolate(whole, size=(size, size), mode="area")
    assert (item.frames - squeezed).abs().max() < 0.03
    assert (item.frames.diff(dim=0).mean((1, 2, 3)) > 2 / 255).all()
    assert (item.frames * 255 - (item.frames * 255).round()).abs().max() < 1e-4


def test_128_is_plain_bilinear_interpolation():
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    gray = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    x = (np.arange(128) + 0.5) * 160 / 128 - 0.5
    y = np.clip((np.arange(128) + 0.5) * 120 / 128 - 0.5, 0, 119)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, 159), np.minimum(y0 + 1, 119)
    fx, fy = x - x0, (y - y0)[:, None]
    top = gray[y0][:, x0] * (1 - fx) + gray[y0][:, x1] * fx
    bottom = gray[y1][:, x0] * (1 - fx) + gray[y1][:, x1] * fx
    expected = top * (1 - fy) + bottom * fy
    assert np.abs(squeeze(image, 128)[..., 0] - expected).max() < 0.51


def test_persons_split_as_published(root):
    def persons(config):
        found = {}
        for split in ("train", "validation", "test"):
            try:
                source = config.source(split, 6, 0)
            except DataError:
                continue
            found[split] = {int(name[6:8]) for name in starts(source)}
        return found

    base = {"root": root, "span": "clip"}
    assert persons(Kth(**base)) == {"train": {1}, "validation": {15}, "test": {17, 18}}
    assert persons(Kth(**base, hold_out=False)) == {"train": {1, 15}, "test": {17, 18}}
    svg = Kth(**base, persons="1-20/21-25")
    assert persons(svg) == {"train": {1, 17, 18}, "validation": {15}}
    with pytest.raises(DataError, match="persons 21-25, so the test split is empty"):
        svg.source("test", 6, 0)


def test_a_list_is_read_in_its_published_and_in_a_bare_format(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(
        "The database contains person01 to person25.\n"
        "person01_boxing_d1\t\tframes\t1-95, 96-185\n"
        "  person07_handwaving_d2   \tframes\t1-204,205-422, \n"
        "person04_running_d1     1-35, 58-98\n"
        "person13_handclapping_d3\t*missing*\n"
    )
    assert read_ranges(path) == {
        "person01_boxing_d1": [(0, 94), (95, 184)],
        "person07_handwaving_d2": [(0, 203), (204, 421)],
        "person04_running_d1": [(0, 34), (57, 97)],
        "person13_handclapping_d3": [],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("person01_boxing_d1 frames 1-5, x", "line 1 .* holds no frame ranges"),
        ("person01_boxing_d1 frames 9-5", "line 1 .* holds no frame ranges"),
        ("person01_boxing_d1 frames 0-5", "line 1 .* holds no frame ranges"),
        ("nothing here", "names no KTH clip"),
    ],
)
def test_a_damaged_list_is_an_error_that_names_the_line(tmp_path, line, message):
    (tmp_path / "list.txt").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read_ranges(tmp_path / "list.txt")


def test_clips_that_the_list_lacks_are_noted(root, tmp_path):
    clip(tmp_path, 2, "boxing")
    clip(tmp_path, 3, "boxing")
    (tmp_path / "00sequences.txt").write_text("person02_boxing_d1 frames 1-20\n")
    source = Kth(root=tmp_path).source("train", 8, 0)
    assert len(source) == 2
    assert any("1 clip without ranges" in n and "person03_boxing_d1" in n for n in source.notes())


def test_missing_roots_and_doubled_clips_are_named(tmp_path):
    with pytest.raises(DataError, match="needs the folder"):
        Kth().source("train", 8, 0)
    with pytest.raises(DataError, match="is no folder"):
        Kth(root=tmp_path / "none").source("train", 8, 0)
    with pytest.raises(DataError, match="holds no KTH clip"):
        Kth(root=tmp_path).source("train", 8, 0)
    clip(tmp_path, 1, "boxing")
    write_avi(tmp_path / "person01_boxing_d1_uncomp.avi", 5)
    with pytest.raises(DataError, match="person01_boxing_d1 more than once"):
        Kth(root=tmp_path, span="clip").source("train", 8, 0)
    (tmp_path / "person01_boxing_d1_uncomp.avi").unlink()
    with pytest.raises(DataError, match="no sequence of the train split"):
        Kth(root=tmp_path, span="clip").source("train", 200, 0)


def test_a_broken_clip_is_noted_and_left_out(tmp_path):
    clip(tmp_path, 1, "boxing")
    (tmp_path / "person02_boxing_d1_uncomp.avi").write_bytes(b"no video")
    source = Kth(root=tmp_path, span="clip").source("train", 20, 0)
    assert len(source) == 1
    assert any("1 clip cannot be read: person02" in note for note in source.notes())
    assert any("597 of the 599" in note for note in source.notes())


def test_sources_pickle_and_configurations_survive_json(root):
    config = from_json(DataConfig, to_json(Kth(root=root, size=64)))
    source = config.source("train", 8, 0)
    again = pickle.loads(pickle.dumps(source))
    assert torch.equal(again[(0, 2)].frames, source[(5, 2)].frames)
    assert again.fingerprint() == source.fingerprint()
    others = [
        Kth(root=root, size=128).source("train", 8, 0),
        Kth(root=root, size=64, span="clip").source("train", 8, 0),
        Kth(root=root, size=64).source("train", 7, 0),
    ]
    assert source.fingerprint() not in {other.fingerprint() for other in others}


@real
def test_original_clips_have_the_official_windows():
    root = Path(str(DATA)) / "kth"
    config = Kth(root=root, ranges=root / "sequences_excerpt.txt")
    source = config.source("train", 20, 0)
    # Boxing and handwaving are in view throughout (328 and 468 frames); running in four ranges.
    assert len(source) == 328 // 20 + 468 // 20 + sum((n - 20) // 3 + 1 for n in (35, 41, 39, 41))
    item = source[(0, len(source) - 1)]
    assert source.name(len(source) - 1) == "person04_running_d1_uncomp.avi:222"
    frames = read(root / "person04_running_d1_uncomp.avi", start=222, count=20, channels=1).frames
    plain = torch.nn.functional.interpolate(frames, size=(128, 128), mode="bilinear")
    assert (item.frames - plain).abs().max() <= 0.5 / 255 + 1e-6
    whole = Kth(root=root, span="clip").source("train", 20, 0)
    assert len(whole) == 328 // 20 + 468 // 20 + (242 - 20) // 3 + 1


def test_an_evaluation_tells_whom_the_model_was_trained_on(root):
    """With SVG's split, persons 17 to 20 are trained on, who are tested here."""
    data = Kth(root=root, size=64, persons="1-16/17-25", span="clip")
    model = CopyLast(CopyLastConfig())
    for persons, told in (("1-20/21-25", True), ("1-16/17-25", False)):
        model.about = {"data": {"type": "kth", "persons": persons}}
        notes = evaluate(model, Protocol("mine", data, 4, 2), limit=1).data.notes
        assert any(f"the model was trained with {persons}" in note for note in notes) == told
