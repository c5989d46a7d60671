"""Protocols: the published table, contradictions, and names that say when a field was changed."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from framecast import registry
from framecast.config import from_json, to_json
from framecast.data.arrays import Arrays
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.digest import of_json
from framecast.errors import ConfigError
from framecast.evaluation.protocol import (
    Protocol,
    as_trained,
    find,
    settled,
    taken_from_model,
    with_samples,
)

NAMES = registry.names("protocols")
MINE = Protocol("mine", MovingDigits(digits="glyphs"), context=2, horizon=3)


@pytest.mark.parametrize("name", NAMES)
def test_a_registered_protocol_has_its_own_name_and_survives_json(name: str) -> None:
    protocol = find(name)
    assert protocol.name == name
    assert from_json(Protocol, to_json(protocol)) == protocol
    assert settled(protocol) == protocol
    assert protocol.data.root is None


@pytest.mark.parametrize("name", [name for name in NAMES if re.search(r"/\d", name)])
def test_context_and_horizon_are_those_of_the_name(name: str) -> None:
    lengths = name.split("/")[1].split("@", maxsplit=1)[0]
    assert find(name).lengths() == tuple(int(part) for part in lengths.split("-"))


def test_no_two_protocols_are_the_same() -> None:
    digests = {of_json({**find(name).definition(), "name": ""}) for name in NAMES}
    assert len(digests) == len(NAMES)


def test_the_numbers_of_test_sequences_are_the_published_ones() -> None:
    sizes = {name: find(name).data for name in NAMES}
    counts = {n: d.test_size for n, d in sizes.items() if isinstance(d, MovingDigits)}
    assert counts["moving-mnist/10-10"] == 10_000
    assert counts["moving-mnist/10-10@s-hr"] == 5_000
    assert counts["moving-mnist/10-10@v3d"] == 1_000
    assert isinstance(sizes["kth/10-40"], Kth)
    assert sizes["kth/10-40"].span == "clip"
    assert sizes["kth/10-20"].span == "range"


def test_reductions_are_those_of_the_papers() -> None:
    best, mean, single = (
        find(name) for name in ("moving-mnist-2/5-25", "kth/10-40@v3d", "kth/10-40")
    )
    assert (best.samples, best.reduce, best.best_by) == (100, "best-of", ("ssim", "psnr"))
    assert (mean.samples, mean.reduce, mean.best_by) == (50, "mean", ())
    assert (single.samples, single.reduce) == (None, "single")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"validation": "test"}, "validation set is its test set"),
        ({"split": "validation"}, "validation set is its validation set"),
        ({"context": None}, "data of your own"),
        ({"horizon": 0}, "at least 1"),
        ({"samples": 5}, "several need"),
        ({"reduce": "mean"}, "one future"),
        ({"samples": 5, "reduce": "best-of"}, "best_by"),
        ({"best_by": ("ssim",)}, "best_by"),
        ({"thresholds": (1.0,)}, "arrays"),
        ({"value_range": (1.0, 0.0)}, "value_range"),
    ],
)
def test_a_contradiction_is_an_error(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(MINE, **change)


def test_open_lengths_are_an_error_that_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="context and horizon"):
        find("video-folder").lengths()


def test_an_unknown_name_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="kth/10-20"):
        find("kth/10-2")


@pytest.mark.parametrize(
    "change",
    [{"horizon": 11}, {"sequences": 5}, {"metrics": "svg"}, {"data": MovingDigits(test_size=7)}],
)
def test_a_changed_field_shows_in_the_name(change: dict) -> None:
    changed = settled(replace(find("moving-mnist/10-10"), **change))
    assert changed.name == "moving-mnist/10-10 (modified)"
    assert settled(changed) == changed


def test_a_field_set_back_gives_the_name_back() -> None:
    changed = settled(replace(find("moving-mnist/10-10"), horizon=11))
    assert settled(replace(changed, horizon=10)) == find("moving-mnist/10-10")


def test_where_the_data_lies_is_no_part_of_a_protocol(tmp_path: Path) -> None:
    published = find("kth/10-20")
    moved = replace(
        published, data=replace(published.data, root=tmp_path, ranges=tmp_path / "list")
    )
    assert settled(moved).name == "kth/10-20"
    assert moved.definition() == published.definition()


def test_data_of_ones_own_is_never_modified() -> None:
    own = replace(
        find("arrays"), data=Arrays(range=(0.0, 9.0)), context=4, horizon=2, thresholds=(1.0,)
    )
    assert settled(own) == own
    assert of_json(own.definition()) != of_json(find("arrays").definition())


def test_data_of_ones_own_follows_the_model(tmp_path: Path) -> None:
    mine = find("arrays")
    trained = Arrays(range=(0.0, 9.0), size=(8, 9), stride=2, splits=(0.5, 0.25, 0.25))
    about = {"context": 4, "horizon": 2, "data": to_json(trained), "seed": 0}
    found = as_trained(replace(mine, data=replace(mine.data, root=tmp_path)), about)
    assert found.data == replace(trained, root=tmp_path, stride=None)
    assert found.lengths() == (4, 2)
    assert taken_from_model(found, mine, mine) == ()
    (note,) = taken_from_model(replace(found, context=5), mine, found)
    for word in ("horizon 2", "data.size [8, 9]", "data.splits"):
        assert word in note
    assert "context" not in note


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("video-folder", {"context": 4, "horizon": 2, "data": to_json(Arrays())}),
        ("arrays", {"context": 4, "horizon": 2, "data": "arrays"}),
        ("arrays", {}),
        ("kth/10-20", {"context": 4, "horizon": 2, "data": to_json(Kth(size=64))}),
    ],
)
def test_other_protocols_do_not_follow_the_model(name: str, about: dict) -> None:
    assert as_trained(find(name), about) == find(name)


@pytest.mark.parametrize(
    ("name", "samples", "reduce"),
    [
        ("kth/10-20", 5, "mean"),
        ("kth/10-20@v3d", 5, "mean"),
        ("kth/10-20@svg", 5, "best-of"),
        ("kth/10-20@svg", 1, "single"),
        ("kth/10-20@v3d", None, "single"),
    ],
)
def test_another_number_of_samples(name: str, samples: int | None, reduce: str) -> None:
    changed = with_samples(find(name), samples)
    assert (changed.samples, changed.reduce) == (samples, reduce)
    assert settled(changed).name == f"{name} (modified)"
    assert with_samples(find(name), find(name).samples) == find(name)
