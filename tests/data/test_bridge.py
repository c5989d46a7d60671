"""Robot videos in the RLDS layout: a real file, and small ones that tests write."""

import io
import json
import os
import pickle
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from framecast.clip import Clip
from framecast.config import from_json, to_json
from framecast.data.bridge import Bridge
from framecast.errors import ConfigError, DataError
from framecast.evaluation.protocol import find

sys.path.append(str(Path(__file__).parent))
from records import Message, Values, encode, flip, starts, write

DATA = os.environ.get("FRAMECAST_DATA")
CAMERA = "steps/observation/camera"
SIDE = (6, 8)


def image(shape: tuple[int | str, ...], dtype: str = "uint8") -> dict[str, Any]:
    return {"image": {"shape": {"dimensions": [str(n) for n in shape]}, "dtype": dtype}}


def tensor(*shape: int, dtype: str = "float32") -> dict[str, Any]:
    return {"tensor": {"shape": {"dimensions": [str(n) for n in shape]}, "dtype": dtype}}


def features(**steps: Any) -> dict[str, Any]:
    """A description of episodes of steps."""
    observation = {
        "camera": image((*SIDE, 3)),
        "depth": image((*SIDE, 1), "uint16"),
        "wrist": image((-1, -1, 3)),
        "pose": tensor(2, 2),
    }
    inner = {
        "action": tensor(2),
        "discount": tensor(),
        "is_first": tensor(dtype="bool"),
        "observation": {"featuresDict": {"features": observation}},
        **steps,
    }
    sequence = {"feature": {"featuresDict": {"features": inner}}, "length": "-1"}
    return {"featuresDict": {"features": {"steps": {"sequence": sequence}}}}


def png(number: int, time: int, side: tuple[int, int] = SIDE) -> bytes:
    pixels = np.full((*side, 3), (number, time, 200), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def episode(number: int, length: int = 6) -> Values:
    times = range(length)
    return {
        CAMERA: [png(number, time) for time in times],
        "steps/observation/wrist": [png(number, 100 + time, (3, 4)) for time in times],
        "steps/action": [float(n) for time in times for n in (number, time)],
        "steps/observation/pose": [float(n) for time in times for n in (number, time, 5, 6)],
        "steps/is_first": [int(time == 0) for time in times],
    }


def dataset(root: Path, described: Any = None, **parts: list[Values]) -> Path:
    """A dataset with the parts named, one file each."""
    for part, episodes in parts.items():
        write(root / f"robots-{part}.tfrecord-00000-of-00001", [encode(e) for e in episodes])
    (root / "features.json").write_text(json.dumps(described or features()))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return dataset(tmp_path, train=[episode(n) for n in range(10)])


def marks(clip: Clip) -> list[tuple[int, int]]:
    """(episode, time) of every frame, as its pixels tell."""
    corner = (clip.frames[:, :2, 0, 0] * 255).round().int()
    return [(number, time) for number, time in corner.tolist()]


def numbers(config: Bridge, split: Any, frames: int = 6) -> set[int]:
    """The episodes of a split."""
    source = config.source(split, frames, 0)
    return {marks(source[(0, n)])[0][0] for n in range(len(source))}


def test_frames_and_actions_belong_together(root: Path) -> None:
    source = Bridge(root=root, size=None).source("train", 4, 0)
    firsts = set()
    for epoch in range(12):
        for index in range(len(source)):
            clip = source[(epoch, index)]
            (number, first), *_ = seen = marks(clip)
            assert clip.frames.shape == (4, 3, *SIDE)
            assert seen == [(number, first + n) for n in range(4)]
            assert clip.actions is not None
            assert clip.actions.tolist() == [[number, first + n] for n in range(4)]
            firsts.add(first)
    assert firsts == {0, 1, 2}
    again = pickle.loads(pickle.dumps(source))
    assert [marks(again[(3, n)]) for n in range(5)] == [marks(source[(3, n)]) for n in range(5)]


def test_other_features_by_name(root: Path) -> None:
    names = {"image": "steps/observation/wrist", "action": "steps/observation/pose"}
    config = Bridge(root=root, size=None, **names)
    clip = config.source("test", 2, 0)[(0, 0)]
    (number, time), *_ = marks(clip)
    assert clip.frames.shape == (2, 3, 3, 4)
    assert time == 100
    assert clip.actions is not None
    assert clip.actions.tolist() == [[number, n, 5, 6] for n in range(2)]


def test_frames_are_resized(root: Path) -> None:
    clip = Bridge(root=root, size=(4, 4)).source("train", 2, 0)[(0, 0)]
    assert clip.frames.shape == (2, 3, 4, 4)
    assert marks(clip)[0] == tuple(int(n) for n in clip.actions[0])  # type: ignore[index]


def test_measured_windows_stay_and_do_not_overlap(root: Path) -> None:
    source = Bridge(root=root, size=None).source("validation", 3, 0)
    assert source.fixed
    assert [marks(source[(e, 0)])[0][1] for e in range(3)] == [0, 0, 0]
    assert [marks(source[(0, n)])[0][1] for n in range(2)] == [0, 3]
    assert source.name(1).endswith(":3")
    dense = Bridge(root=root, size=None, stride=1).source("validation", 3, 0)
    assert len(dense) == 2 * len(source)


def test_one_part_is_shared_out_by_episode(root: Path) -> None:
    config = Bridge(root=root, size=None, random_windows=False)
    parts = [numbers(config, split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 10
    assert set.union(*parts) == set(range(10))
    assert all(parts)


@pytest.mark.parametrize(
    ("held_out", "validation", "test"),
    [
        ({"test": 20}, None, {20}),
        ({"val": 30}, None, {30}),
        ({"validation": 30}, None, {30}),
        ({"val": 30, "test": 20}, {30}, {20}),
    ],
)
def test_parts_with_files_of_their_own(
    tmp_path: Path, held_out: dict[str, int], validation: set[int] | None, test: set[int]
) -> None:
    others = {part: [episode(number)] for part, number in held_out.items()}
    dataset(tmp_path, train=[episode(n) for n in range(5)], **others)
    config = Bridge(root=tmp_path, size=None, random_windows=False)
    train, valid, tested = (numbers(config, s) for s in ("train", "validation", "test"))
    assert tested == test
    assert valid == validation if validation else valid
    assert train == set(range(5)) - valid


def test_short_episodes_are_left_out_and_counted(tmp_path: Path) -> None:
    train = [episode(n, 3 + n % 2 * 3) for n in range(8)]
    dataset(tmp_path, train=train, val=[episode(9)], test=[episode(8)])
    source = Bridge(root=tmp_path, size=None).source("train", 5, 0)
    assert {marks(source[(0, n)])[0][0] for n in range(len(source))} == {1, 3, 5, 7}
    assert "4 of 8 episodes are too short and left out" in source.notes()
    with pytest.raises(DataError, match=r"1 episode of the test split .* 7 frames, the longest 6"):
        Bridge(root=tmp_path, size=None).source("test", 7, 0)


def test_without_actions(tmp_path: Path) -> None:
    described = features(action=tensor(dtype="int64"))
    dataset(tmp_path, described, train=[episode(n) for n in range(3)])
    source = Bridge(root=tmp_path).source("train", 2, 0)
    assert source[(0, 0)].actions is None
    assert any("actions none" in note for note in source.notes())


def test_counts_stand_beside_those_of_the_dataset(root: Path) -> None:
    splits = [{"name": "train", "shardLengths": ["7", "5"]}, {"name": "val", "shardLengths": ["3"]}]
    (root / "dataset_info.json").write_text(json.dumps({"splits": splits}))
    notes = Bridge(root=root).source("train", 2, 0).notes()
    assert notes[:2] == (
        "10 episodes in train; 12 by dataset_info.json",
        "no file of the split val",
    )


def test_fingerprints_tell_what_differs(root: Path) -> None:
    config = Bridge(root=root)
    sources = [
        config.source("train", 2, 0),
        config.source("train", 2, 1),
        config.source("train", 3, 0),
        config.source("test", 2, 0),
        replace(config, size=None).source("train", 2, 0),
        replace(config, image="steps/observation/wrist").source("train", 2, 0),
        replace(config, action="steps/observation/pose").source("train", 2, 0),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({CAMERA: [png(1, n, (5, 8)) for n in range(6)]}, f"of 5x8 in '{CAMERA}', not of 6x8"),
        ({CAMERA: [b"no picture"] * 6}, "cannot be decoded"),
        ({CAMERA: [png(1, 1)[:48]] * 6}, "cannot be decoded"),
        ({"steps/action": [1.0] * 11}, "has 11 numbers in 'steps/action', not 2 for each of 6"),
        ({"steps/action": [1]}, "holds no floats in the feature 'steps/action'"),
        ({CAMERA: [1.0]}, f"holds no bytes in the feature '{CAMERA}'"),
        ({CAMERA: None}, f"has no feature '{CAMERA}'"),
        ({"steps/action": None}, "has no feature 'steps/action'"),
    ],
)
def test_a_record_of_another_content_is_named(tmp_path: Path, change: dict, said: str) -> None:
    values = {k: v for k, v in {**episode(1), **change}.items() if v is not None}
    dataset(tmp_path, train=[episode(3)], test=[episode(0), values])
    with pytest.raises(DataError) as caught:
        Bridge(root=tmp_path, size=None).source("test", 6, 0)[(0, 1)]
    path = tmp_path / "robots-test.tfrecord-00000-of-00001"
    assert str(caught.value).startswith(f"record 1 of {path} ")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_damage_is_one_line_with_file_and_record(root: Path) -> None:
    path = root / "robots-train.tfrecord-00000-of-00001"
    flip(path, starts(path)[4] + 50)
    with pytest.raises(DataError, match=rf"^record 4 of {re.escape(str(path))} .* checksum"):
        Bridge(root=root).source("train", 6, 0)


def test_a_record_that_changes_after_it_was_counted(root: Path) -> None:
    config = Bridge(root=root, size=None, random_windows=False)
    sources = [config.source(split, 6, 0) for split in ("train", "validation", "test")]
    write(root / "robots-train.tfrecord-00000-of-00001", [encode(episode(0, 2))] * 10)
    (first,) = (
        (source, index)
        for source in sources
        for index in range(len(source))
        if source.name(index).endswith("/0:0")
    )
    with pytest.raises(DataError, match=r"record 0 of .* has 2 images, not the 6"):
        first[0][(0, first[1])]


@pytest.mark.parametrize("there", [None, "nowhere", "empty"])
def test_a_wrong_root_names_layout_and_source(tmp_path: Path, there: str | None) -> None:
    (tmp_path / "empty").mkdir()
    config = Bridge(root=None if there is None else tmp_path / there)
    with pytest.raises(DataError, match=r"features\.json and NAME-train\.tfrecord.*berkeley"):
        config.source("test", 10, 0)


def test_a_folder_without_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no episodes"):
        Bridge(root=dataset(tmp_path)).source("train", 2, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "describes no episodes"),
        ('{"featuresDict": {"features": {"steps": {}}}}', "describes no episodes"),
    ],
)
def test_a_damaged_description(root: Path, text: str, said: str) -> None:
    (root / "features.json").write_text(text)
    with pytest.raises(DataError, match=rf"features\.json {said}"):
        Bridge(root=root).source("train", 2, 0)


@pytest.mark.parametrize("text", ["{", "[]", '{"splits": [{"name": "train"}]}'])
def test_a_damaged_list_of_splits(root: Path, text: str) -> None:
    (root / "dataset_info.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset_info\.json (is no JSON|lists no splits)"):
        Bridge(root=root).source("train", 2, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "steps/observation/depth"}, f"set data.image, there: {CAMERA}"),
        ({"action": "steps/is_first"}, "set data.action, there: steps/action"),
    ],
)
def test_names_that_are_not_there(root: Path, options: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Bridge(root=root, **options).source("train", 2, 0)


@pytest.mark.parametrize(
    "options",
    [{"size": (0, 3)}, {"stride": 0}, {"splits": (0.5, 0.1, 0.1)}, {"splits": (0.0, 0.5, 0.5)}],
)
def test_contradictions(options: dict) -> None:
    with pytest.raises(ConfigError):
        Bridge(**options)


def test_the_configuration_survives_json() -> None:
    config = Bridge(root=Path("x"), image="a", stride=2)
    assert from_json(Bridge, to_json(config)) == config


def test_the_protocol_leaves_lengths_to_the_caller() -> None:
    protocol = find("bridge")
    assert (protocol.own, protocol.context, protocol.horizon) == (True, None, None)


@pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is unset")
class TestReal:
    """25 episodes of 10 steps of a real robot."""

    def test_all_of_it_beside_protocol_buffers(self) -> None:
        root = Path(DATA or "") / "bridge"
        path = root / "bridge_dataset-train.tfrecord"
        content, places = path.read_bytes(), starts(path)
        ends = [*places[1:], len(content)]
        oracle = [
            Message.FromString(content[start + 12 : end - 4]).features.feature
            for start, end in zip(places, ends, strict=True)
        ]
        seen = []
        for split in ("train", "validation", "test"):
            source = Bridge(root=root, random_windows=False).source(split, 10, 0)
            assert source.notes()[0] == "25 episodes in train; 25 by dataset_info.json"
            for index in range(len(source)):
                number = int(source.name(index).split("/")[1].split(":")[0])
                clip, record = source[(0, index)], oracle[number]
                seen.append(number)
                stored = record["steps/observation/image_0"].bytes_list.value
                pixels = np.stack([np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in stored])
                frames = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
                torch.testing.assert_close(clip.frames, frames, rtol=0, atol=0)
                actions = torch.tensor(list(record["steps/action"].float_list.value)).view(10, 7)
                torch.testing.assert_close(clip.actions, actions, rtol=0, atol=0)
        assert sorted(seen) == list(range(25))

    def test_it_moves(self) -> None:
        source = Bridge(root=Path(DATA or "") / "bridge").source("train", 10, 0)
        clip = source[(0, 0)]
        assert clip.frames.shape == (10, 3, 64, 64)
        assert clip.frames.std() > 0.1
        assert (clip.frames[0] - clip.frames[-1]).abs().mean() > 0.001
