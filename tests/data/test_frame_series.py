"""Runs of numbered images against enumeration."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecast.data import frame_series


def paths(numbers, pattern="{}.png"):
    return [Path(pattern.format(number)) for number in numbers]


@given(st.sets(st.integers(0, 60)), st.integers(1, 6))
def test_runs_are_as_long_as_can_be_and_share_nothing(numbers, step):
    found = frame_series.runs(paths(numbers), step)
    covered = [
        frame_series.number(run.first) + n * step for run in found for n in range(run.frames)
    ]
    assert set(covered) <= numbers
    assert len(set(covered)) == len(covered)
    assert min(numbers, default=None) == min(covered, default=None)
    ends = [frame_series.number(run.first) + run.frames * step for run in found]
    assert not numbers.intersection(ends), "a run ends where the next frame is missing"
    if step == 1:
        assert set(covered) == numbers


def test_all_frames_and_every_fifth_one_give_the_same_run():
    sparse = frame_series.runs(paths(range(1, 40, 5), "a_{:06d}.jpg"), 5)
    dense = frame_series.runs(paths(range(1, 40), "a_{:06d}.jpg"), 5)
    assert sparse == dense == [frame_series.Run(Path("a_000001.jpg"), 8)]


def test_names_begin_alike_in_a_run():
    found = frame_series.runs(paths((1, 2), "a{}.png") + paths((3, 4), "b{}.png"), 1)
    assert [(str(run.first), run.frames) for run in found] == [("a1.png", 2), ("b3.png", 2)]


@pytest.mark.parametrize(
    ("first", "third"),
    [("8.png", "10.png"), ("008.png", "010.png"), ("x_098.jpg", "x_100.jpg"), ("0.png", "2.png")],
)
def test_following_names_are_filled_up_with_zeros_as_the_first_is(tmp_path, first, third):
    begin = frame_series.number(Path(first))
    stem = Path(first).stem
    for number in range(begin, begin + 3):
        digits = str(number) if third[0] == "1" or stem == "0" else f"{number:03d}"
        (tmp_path / (stem.rstrip("0123456789") + digits + Path(first).suffix)).touch()
    names = [path.name for path in frame_series.frames(tmp_path / first, 1)]
    assert (len(names), names[0], names[2]) == (3, first, third)
    assert [p.name for p in frame_series.frames(tmp_path / first, 1, start=2)] == [third]


def test_a_fingerprint_sees_names_sizes_and_content(tmp_path):
    def write(*contents):
        for path in tmp_path.iterdir():
            path.unlink()
        for number, content in enumerate(contents):
            (tmp_path / f"{number}.png").write_text(content)
        return frame_series.fingerprint(tmp_path / "0.png", 1)

    found = [write("a", "b", "c"), write("a", "b", "d"), write("a", "bb", "c"), write("a", "b")]
    assert len(set(found)) == 4
    assert found[0] == write("a", "b", "c")


def test_a_name_without_a_number_is_a_fault_of_the_caller():
    with pytest.raises(ValueError, match="ends in no number"):
        frame_series.number(Path("cover.png"))
