"""What may stand in one table, what it is called, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from written import METRICS, write

from framecast.errors import FolderError
from framecast.evaluation.comparison.grouping import groups
from framecast.evaluation.comparison.lines import disagreeing, lines
from framecast.evaluation.comparison.loading import load
from framecast.evaluation.protocol import find, reconstructing
from framecast.evaluation.result import Result


def labels(*folders: Path | tuple[str, Path]) -> list[str]:
    places = [each if isinstance(each, tuple) else (None, each) for each in folders]
    return [entry.label for entry in load(places)]


def other_data(found: Result) -> Result:
    return replace(found, data=replace(found.data, fingerprint="e" * 64))


def other_hash(found: Result) -> Result:
    return replace(found, protocol_hash="another")


def redefined(found: Result) -> Result:
    metrics = {**METRICS, "psnr": replace(METRICS["psnr"], definition={"variant": "psnr-uint8"})}
    return replace(found, metrics=metrics)


def test_equal_protocols_data_and_sequences_compare(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b", kind="stip")
    (group,) = groups(load([(None, a), (None, b)]))
    assert [entry.label for entry in group.entries] == ["convlstm", "stip"]
    assert group.apart == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"change": other_data}, "other data: fingerprint eeeeeeeeeeee instead of dddddddddddd"),
        ({"count": 30}, "30 sequences instead of 40"),
        ({"change": other_hash}, "its metrics are defined otherwise"),
        ({"change": redefined}, "other definitions of PSNR"),
        (
            {"protocol": replace(find("glyphs/10-10"), metrics="svg", horizon=12)},
            "horizon 12 instead of 10; metrics svg instead of standard",
        ),
        ({"protocol": reconstructing(find("glyphs/10-10"))}, "task reconstruct instead of predict"),
        ({"protocol": find("kth/10-20")}, "Another protocol"),
    ],
)
def test_whatever_differs_has_a_table_of_its_own(tmp_path: Path, fields: dict, words: str) -> None:
    """Each reason alone keeps results apart, and is said."""
    one = write(tmp_path / "a")
    other = write(tmp_path / "b", kind="stip", **fields)
    third = write(tmp_path / "c", kind="copy-last")
    first, second = groups(load([(None, one), (None, other), (None, third)]))
    assert [entry.folder for entry in first.entries] == [one, third]
    assert [entry.folder for entry in second.entries] == [other]
    assert words in second.apart


def test_what_is_left_out_keeps_nothing_apart(tmp_path: Path) -> None:
    """A metric that one result lacks has the same meaning in the others."""

    def without(found: Result) -> Result:
        return replace(found, metrics={"mse": METRICS["mse"]}, omitted={"psnr": "no reason"})

    folders = [write(tmp_path / "a"), write(tmp_path / "b", kind="stip", change=without)]
    assert len(groups(load([(None, folder) for folder in folders]))) == 1


def test_names_tell_models_apart(tmp_path: Path) -> None:
    a = write(tmp_path / "x" / "a")
    b = write(tmp_path / "x" / "b", fingerprint="b" * 64)
    c = write(tmp_path / "x" / "c", kind="stip")
    assert labels(a, c) == ["convlstm", "stip"]
    assert labels(a, b, c) == ["convlstm (a)", "convlstm (b)", "stip"]
    assert labels(("mine", a), b, c) == ["mine", "convlstm", "stip"]
    d = write(tmp_path / "y" / "a", fingerprint="c" * 64)
    assert labels(a, d) == ["convlstm (x/a)", "convlstm (y/a)"]


def test_names_from_the_command_line_and_from_options(tmp_path: Path) -> None:
    commands = [f"framecast evaluate runs/{name} --protocol p" for name in ("big", "small")]
    a = write(tmp_path / "1", command=commands[0])
    b = write(tmp_path / "2", fingerprint="b" * 64, command=commands[1])
    assert labels(a, b) == ["convlstm (big)", "convlstm (small)"]
    hot = write(tmp_path / "3", options={"temperature": 1.0, "top_k": 5}, command=commands[0])
    cold = write(tmp_path / "4", options={"temperature": 0.5, "top_k": 5}, command=commands[0])
    assert labels(hot, cold) == ["convlstm (temperature 1.0)", "convlstm (temperature 0.5)"]


def test_a_model_has_one_name_under_all_protocols(tmp_path: Path) -> None:
    a = write(tmp_path / "a")
    b = write(tmp_path / "b", fingerprint="b" * 64)
    kth = write(tmp_path / "kth", protocol=find("kth/10-20"))
    assert labels(a, b, kth) == ["convlstm (a)", "convlstm (b)", "convlstm (a)"]
    assert labels(a, b, ("mine", kth)) == ["mine", "convlstm", "mine"]


def test_the_same_twice_is_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b")
    with pytest.raises(FolderError, match=r"a and .*b hold the same model \(convlstm\).*leave one"):
        labels(a, b)
    with pytest.raises(FolderError, match="is given twice; give it once"):
        labels(a, a)
    with pytest.raises(FolderError, match="is given twice; give it once"):
        labels(("one", a), ("two", a / "results.json"))


def test_one_name_for_two_models_is_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b", fingerprint="b" * 64)
    with pytest.raises(FolderError, match="both called 'mine'; call one of them otherwise"):
        labels(("mine", a), ("mine", b))


def test_no_model_is_called_like_a_baseline(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b", kind="copy-last")
    with pytest.raises(FolderError, match="cannot be called 'copy-last', which is a baseline"):
        labels(("copy-last", a))
    assert labels(("copy-last", b)) == ["copy-last"]


def test_a_command_that_is_no_line_of_a_shell(tmp_path: Path) -> None:
    a = write(tmp_path / "a", command="John's evaluation")
    b = write(tmp_path / "b", fingerprint="b" * 64, command="framecast evaluate runs/b")
    assert sorted(labels(a, b)) == [f"convlstm ({folder.name})" for folder in (a, b)]


def test_a_result_without_rows_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="has no row of a model"):
        labels(write(tmp_path / "a", change=lambda found: replace(found, rows=[])))


def test_a_result_without_a_protocol_is_one_line(tmp_path: Path) -> None:
    a = write(tmp_path / "a", change=lambda found: replace(found, protocol={"name": "mine"}))
    with pytest.raises(FolderError, match="has a protocol without channels; evaluate again"):
        labels(a)


def test_what_is_no_result_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"holds no results\.json"):
        labels(tmp_path)
    folder = write(tmp_path / "a")
    scores = folder / "scores.npz"
    scores.write_bytes(scores.read_bytes()[:100])
    with pytest.raises(FolderError, match=r"scores\.npz cannot be read .*; evaluate again"):
        labels(folder)
    scores.unlink()
    with pytest.raises(FolderError, match=r"scores\.npz cannot be read"):
        labels(folder)


def test_baselines_are_shown_once(tmp_path: Path) -> None:
    folders = [write(tmp_path / "a"), write(tmp_path / "b", kind="copy-last", seed=4)]
    (group,) = groups(load([(None, folder) for folder in folders]))
    found = lines(group)
    assert [line.name for line in found] == ["convlstm", "copy-last", "context-mean"]
    assert [line.model for line in found] == [True, True, False]
    scores = [np.load(folder / "scores.npz") for folder in folders]
    for line, (number, key) in zip(
        found, [(0, "model"), (1, "model"), (0, "context-mean")], strict=True
    ):
        np.testing.assert_array_equal(line.scores("mse"), scores[number][f"{key}/mse"])
    assert found[0].scores("fvd") is None


def test_baselines_that_differ_are_named(tmp_path: Path) -> None:
    def worse(found: Result) -> Result:
        rows = [replace(row, values=found.rows[0].values) for row in found.rows]
        return replace(found, rows=[*found.rows[:2], rows[2]])

    a, b = write(tmp_path / "a"), write(tmp_path / "b", kind="stip", change=worse)
    with np.load(b / "scores.npz") as found:
        arrays = dict(found)
    for key in METRICS:
        arrays[f"context-mean/{key}"] = arrays[f"model/{key}"]
    np.savez(b / "scores.npz", **arrays)
    (group,) = groups(load([(None, a), (None, b)]))
    assert disagreeing(group) == ["context-mean"]


def test_a_baseline_has_all_metrics_that_some_result_has(tmp_path: Path) -> None:
    """Whatever the order of the folders."""

    def fewer(found: Result) -> Result:
        rows = [replace(row, values={"mse": row.values["mse"]}) for row in found.rows]
        return replace(found, rows=rows)

    few, all_ = write(tmp_path / "a", change=fewer), write(tmp_path / "b", kind="stip")
    for order in ((few, all_), (all_, few)):
        (group,) = groups(load([(None, folder) for folder in order]))
        *_, copied, mean = lines(group)
        assert set(copied.row.values) == set(mean.row.values) == set(METRICS)
        assert copied.scores("psnr") is not None


def test_scores_of_another_result_are_refused(tmp_path: Path) -> None:
    """Of another model, and of another number of sequences."""
    a, b = write(tmp_path / "a"), write(tmp_path / "b", 0.3, 2)
    short = write(tmp_path / "short", count=30)
    for other in (b, short):
        mixed = tmp_path / f"mixed-{other.name}"
        mixed.mkdir()
        (mixed / "results.json").write_bytes((a / "results.json").read_bytes())
        (mixed / "scores.npz").write_bytes((other / "scores.npz").read_bytes())
        with pytest.raises(FolderError, match=r"scores\.npz is not of results\.json .*; evaluate"):
            labels(mixed)


def test_two_names_for_one_model_are_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b", protocol=find("glyphs/5-5"))
    assert labels(("mine", a), b) == ["mine", "mine"]
    with pytest.raises(FolderError, match="called 'mine' elsewhere, not 'other'; give it one name"):
        labels(("mine", a), ("other", b))
