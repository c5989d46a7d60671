"""BAIR's robot videos, from records in the documented layout."""

import pickle
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from framecast.clip import Clip, collate
from framecast.config import from_json, to_json
from framecast.data.bair import Bair
from framecast.data.order import Order
from framecast.errors import ConfigError, DataError
from framecast.evaluation.protocol import find

sys.path.append(str(Path(__file__).parent))
from records import Values, bair, encode, flip, write

FILES = {
    "train/traj_1000_to_1003.tfrecords": range(3, 6),
    "train/traj_256_to_511.tfrecords": range(3),
    "test/traj_0_to_255.tfrecords": range(10, 12),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training and two test episodes."""
    base = tmp_path_factory.mktemp("bair")
    for name, numbers in FILES.items():
        write(base / "softmotion30_44k" / name, [encode(bair(number)) for number in numbers])
    return base


def marks(clip: Clip) -> list[tuple[int, int]]:
    """(episode, time) of every frame, as its pixels tell."""
    corner = (clip.frames[:, :2, 0, 0] * 255).round().int()
    return [(number, time) for number, time in corner.tolist()]


def test_test_clips_are_whole_episodes_in_order(root: Path) -> None:
    source = Bair(root=root).source("test", 30, 0)
    assert len(source) == 2
    assert source.fixed
    for index in range(2):
        clip = source[(5, index)]
        assert marks(clip) == [(10 + index, time) for time in range(30)]
        raw = torch.frombuffer(
            bytearray(bair(10 + index)["3/image_aux1/encoded"][0]), dtype=torch.uint8
        )
        torch.testing.assert_close(
            clip.frames[3], raw.view(64, 64, 3).permute(2, 0, 1) / 255, rtol=0, atol=0
        )
    assert source.name(1) == "test/traj_0_to_255.tfrecords/1:0"


def test_short_test_clips_begin_at_frame_0(root: Path) -> None:
    source = Bair(root=root).source("test", 4, 0)
    assert [marks(source[(0, n)])[0] for n in range(len(source))] == [(10, 0), (11, 0)]


def test_actions_are_those_of_the_frames(root: Path) -> None:
    clip = Bair(root=root).source("test", 3, 0)[(0, 1)]
    assert clip.actions is not None
    assert clip.actions.tolist() == [[11, time, 0.25, -1] for time in range(3)]
    assert clip.actions.dtype == torch.float32
    longer = Bair(root=root, position=True).source("test", 3, 0)[(0, 1)].actions
    assert longer is not None
    assert longer.tolist() == [[11, time, 0.25, -1, 0.5, time, 11] for time in range(3)]


def test_training_clips_follow_their_frames_and_actions_from_any_start(root: Path) -> None:
    source = Bair(root=root).source("train", 12, 0)
    starts: Counter[int] = Counter()
    assert len(source) == 2 * 5
    for epoch in range(20):
        for index in range(len(source)):
            clip = source[(epoch, index)]
            (number, first), *_ = seen = marks(clip)
            assert seen == [(number, first + n) for n in range(12)]
            assert clip.actions is not None
            assert clip.actions[:, :2].tolist() == [[number, first + n] for n in range(12)]
            starts[first] += 1
    assert set(starts) == set(range(19))


def test_training_is_a_function_of_seed_epoch_and_index(root: Path) -> None:
    source, other = (Bair(root=root).source("train", 12, seed) for seed in (0, 1))
    again = pickle.loads(pickle.dumps(source))
    keys = [(epoch, index) for epoch in range(3) for index in range(len(source))]
    assert [marks(source[key]) for key in keys] == [marks(again[key]) for key in keys]
    assert [marks(source[key]) for key in keys] != [marks(other[key]) for key in keys]
    assert not source.fixed
    assert [marks(source[(0, n)]) for n in range(10)] != [marks(source[(1, n)]) for n in range(10)]
    assert ":" not in source.name(0)


def test_workers_make_no_difference(root: Path) -> None:
    source = Bair(root=root).source("train", 5, 3)

    def batches(workers: int) -> list[Clip]:
        order = Order(len(source), batch=3, seed=1)
        loader = DataLoader(source, batch_sampler=order, collate_fn=collate, num_workers=workers)
        stream = iter(loader)
        return [next(stream) for _ in range(3)]

    for one, other in zip(batches(0), batches(1), strict=True):
        torch.testing.assert_close(one.frames, other.frames, rtol=0, atol=0)
        torch.testing.assert_close(one.actions, other.actions, rtol=0, atol=0)
        assert one.actions is not None
        assert one.actions.shape == (3, 5, 4)


def test_always_from_the_first_frame_as_svg_trains(root: Path) -> None:
    source = Bair(root=root, random_windows=False).source("train", 12, 0)
    assert len(source) == 5
    assert {marks(source[(1, index)])[0][1] for index in range(5)} == {0}


def test_validation_is_held_out_of_training(root: Path) -> None:
    for fraction in (0.01, 0.5):
        config = Bair(root=root, hold_out=fraction, random_windows=False)
        train, validation, test = (
            {marks(source[(0, n)])[0][0] for n in range(len(source))}
            for source in (config.source(s, 2, 0) for s in ("train", "validation", "test"))
        )
        assert train | validation == set(range(6))
        assert train
        assert validation
        assert not train & validation
        assert test == {10, 11}


def test_nothing_held_out(root: Path) -> None:
    config = Bair(root=root, hold_out=0.0)
    assert len(config.source("train", 30, 0)) == 6
    with_all = replace(config, random_windows=False).source("train", 30, 0)
    assert [marks(with_all[(0, n)])[0] for n in range(6)] == [(n, 0) for n in range(6)]
    with pytest.raises(DataError, match=r"hold_out above 0"):
        config.source("validation", 30, 0)


def test_counts_stand_beside_the_published_ones(root: Path) -> None:
    notes = {split: Bair(root=root).source(split, 30, 0).notes() for split in ("train", "test")}
    assert notes["test"] == ("2 episodes in test; published: 256",)
    assert notes["train"] == (
        "6 episodes in train; published: 43,264",
        "5 of them are the train split",
    )


def test_the_root_may_be_the_folder_itself(root: Path) -> None:
    outer, inner = Bair(root=root), Bair(root=root / "softmotion30_44k")
    for split in ("train", "validation", "test"):
        a, b = (config.source(split, 9, 4) for config in (outer, inner))
        assert a.fingerprint() == b.fingerprint()
        torch.testing.assert_close(a[(2, 0)].frames, b[(2, 0)].frames, rtol=0, atol=0)


def test_fingerprints_tell_what_differs(root: Path) -> None:
    config = Bair(root=root)
    prints = [
        config.source("train", 9, 4),
        config.source("train", 9, 5),
        config.source("train", 8, 4),
        config.source("test", 9, 4),
        config.source("validation", 9, 4),
        replace(config, position=True).source("train", 9, 4),
        replace(config, hold_out=0.5).source("train", 9, 4),
        replace(config, random_windows=False).source("train", 9, 4),
    ]
    assert len({source.fingerprint() for source in prints}) == len(prints)


def changed(change: Callable[[Values], object]) -> Values:
    values = bair(1)
    change(values)
    return values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (changed(lambda v: v.pop("7/image_aux1/encoded")), "no feature '7/image_aux1/encoded'"),
        (changed(lambda v: v.pop("7/action")), "no feature '7/action'"),
        (
            changed(lambda v: v.update({"7/image_aux1/encoded": [bytes(48)]})),
            "not those of 64x64x3",
        ),
        (changed(lambda v: v.update({"7/action": [1.0]})), "has 1 numbers in '7/action', not 4"),
        (changed(lambda v: v.update({"7/action": [1]})), "holds no floats"),
        (bair(1, length=29), "no feature '29/"),
        ({"a": [1]}, "no feature '0/"),
    ],
)
def test_a_record_of_another_content_is_named(tmp_path: Path, values: Values, said: str) -> None:
    path = write(tmp_path / "test" / "t.tfrecords", [encode(bair(0)), encode(values)])
    source = Bair(root=tmp_path).source("test", 30, 0)
    assert marks(source[(0, 0)])[29] == (0, 29)
    with pytest.raises(DataError) as caught:
        source[(0, 1)]
    assert str(caught.value).startswith(f"record 1 of {path} ")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_only_the_features_of_a_clip_are_needed(tmp_path: Path) -> None:
    write(tmp_path / "test" / "t.tfrecords", [encode(bair(0, length=12))])
    assert Bair(root=tmp_path).source("test", 12, 0)[(0, 0)].length == 12


@pytest.mark.parametrize("damage", ["changed", "cut off"])
def test_damage_is_one_line_with_file_and_record(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "test" / "t.tfrecords", [encode(bair(0)), encode(bair(1))])
    if damage == "changed":
        flip(path, path.stat().st_size - 1000)
        source = Bair(root=tmp_path).source("test", 30, 0)
        with pytest.raises(DataError, match=rf"^record 1 of {re.escape(str(path))} .* checksum"):
            source[(0, 1)]
    else:
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(DataError, match=rf"^record 1 of {re.escape(str(path))} is cut off"):
            Bair(root=tmp_path).source("test", 30, 0)


@pytest.mark.parametrize("there", [None, "nowhere", ".", "softmotion30_44k/train", "test"])
def test_a_wrong_root_names_layout_and_source(tmp_path: Path, there: str | None) -> None:
    (tmp_path / "softmotion30_44k" / "train").mkdir(parents=True)
    (tmp_path / "test").mkdir()
    config = Bair(root=None if there is None else tmp_path / there)
    with pytest.raises(DataError) as caught:
        config.source("test", 10, 0)
    said = str(caught.value)
    assert "softmotion30_44k/test/*.tfrecords" in said
    assert "rail.eecs.berkeley.edu" in said
    assert len(said.splitlines()) == 1


def test_more_frames_than_there_are(root: Path) -> None:
    with pytest.raises(DataError, match="have 30 frames, not 31"):
        Bair(root=root).source("test", 31, 0)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_wrong_fraction(fraction: float) -> None:
    with pytest.raises(ConfigError, match="hold_out"):
        Bair(hold_out=fraction)


def test_the_configuration_survives_json() -> None:
    config = Bair(root=Path("x"), position=True)
    assert from_json(Bair, to_json(config)) == config


def test_the_protocol_is_that_of_svg() -> None:
    protocol = find("bair/2-28")
    assert (protocol.context, protocol.horizon) == (2, 28)
    assert (protocol.samples, protocol.reduce) == (100, "best-of")
    assert protocol.best_by == ("ssim", "psnr")
    assert (protocol.metrics, protocol.channels, protocol.size) == ("svg", 3, (64, 64))
    assert protocol.data == Bair()
    assert (protocol.split, protocol.validation) == ("test", "validation")
