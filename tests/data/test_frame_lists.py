"""Published lists: good lines, damaged lines, and how much they leak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecast.data.frame_lists import Listed, leak, read
from framecast.errors import DataError

WINDOWS = st.lists(st.builds(Listed, st.sampled_from("abc"), st.integers(0, 60)), max_size=12)


def last(name: str) -> str | None:
    """The last folder of a path, or a prefix, if it begins with a letter."""
    part = [part for part in name.split("/") if part][-1]
    return part if part[0].isalpha() else None


@pytest.mark.parametrize(
    ("layout", "lines", "expected"),
    [
        ("FOLDER,FIRST", "E:\\d\\Riding\\001/,26\r\n\r\ndata/Golf/ , 7\n", ["001", "Golf"]),
        ("FOLDER,FIRST,LAST", "data/Traffic.mp4/,26,36\ndata/Flow/,7,7", ["Traffic.mp4", "Flow"]),
        (
            "FOLDER,PREFIX,FIRST,LAST",
            "d/S1/,S1_Dir.1_,26,96\nd/S1/,S1_B_,7,9",
            ["S1_Dir.1_", "S1_B_"],
        ),
    ],
)
def test_lines_are_windows(tmp_path, layout, lines, expected):
    path = tmp_path / "test.txt"
    path.write_bytes(lines.encode())
    found = read(path, layout, lambda name: [part for part in name.split("/") if part][-1])
    assert found == [Listed(expected[0], 26), Listed(expected[1], 7)]


@pytest.mark.parametrize(
    ("layout", "line", "message"),
    [
        ("FOLDER,FIRST", "data/a/", "is no window FOLDER,FIRST: 'data/a/'"),
        ("FOLDER,FIRST", "data/a/,", "is no window"),
        ("FOLDER,FIRST", "data/a/,-1", "is no window"),
        ("FOLDER,FIRST", "data/a/,1.5", "is no window"),
        ("FOLDER,FIRST", "data/a/,1,2", "is no window"),
        ("FOLDER,FIRST,LAST", "data/a/,5,4", "has a last frame before its first"),
        ("FOLDER,FIRST,LAST", "data/a/,5", "is no window FOLDER,FIRST,LAST"),
        ("FOLDER,PREFIX,FIRST,LAST", "data/a/,p_,x,4", "is no window"),
        ("FOLDER,FIRST", "data/7/,4", "names no video of the dataset"),
    ],
)
def test_a_damaged_line_is_an_error_that_names_file_and_line(tmp_path, layout, line, message):
    path = tmp_path / "test.txt"
    good = "b/," + "p_," * layout.count("PREFIX") + "1" + ",2" * layout.count("LAST")
    path.write_text(f"{good}\n\n{line}\n{good}\n")
    with pytest.raises(DataError, match=rf"line 3 of .*test\.txt {message}") as caught:
        read(path, layout, last)
    assert "\n" not in str(caught.value)


def test_an_empty_and_a_missing_list_are_errors(tmp_path):
    (tmp_path / "test.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"test\.txt lists no window; a line is FOLDER,FIRST"):
        read(tmp_path / "test.txt", "FOLDER,FIRST", last)
    with pytest.raises(DataError, match=r"none\.txt cannot be read"):
        read(tmp_path / "none.txt", "FOLDER,FIRST", last)


@given(WINDOWS, WINDOWS, st.integers(1, 8), st.integers(1, 5))
def test_leaks_are_those_that_comparing_all_pairs_finds(train, test, frames, step):
    def frames_of(window):
        return {(window.video, window.first + n) for n in range(frames * step)}

    found = leak(train, test, frames, step)
    assert found.videos == len({w.video for w in test})
    assert found.shared == len({w.video for w in test} & {w.video for w in train})
    assert found.windows == len(test)
    assert found.overlapping == sum(
        any(frames_of(w) & frames_of(other) for other in train) for w in test
    )
    assert found.adjacent == sum(
        any(w.video == o.video and abs(w.first - o.first) <= step for o in train) for w in test
    )
