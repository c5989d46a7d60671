"""Folders of results: complete, readable, and never lost to another evaluation."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import Handmade, Toy, ToyConfig, ToyOptions
from PIL import Image

from framecast.config import dump
from framecast.errors import FolderError, FramecastError
from framecast.evaluation import results_folder
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.result import Interval, LikelihoodInfo, MetricInfo
from framecast.evaluation.runner import evaluate
from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig
from framecast.models.copy_last import CopyLast, CopyLastConfig

SINGLE = Protocol("single", Handmade(), 2, 3)
MEAN = replace(SINGLE, name="mean", samples=3, reduce="mean")


def files(folder: Path) -> dict[str, bytes]:
    """All files by name, those in folders too."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_result_comes_back_as_it_was(toy: Toy, tmp_path: Path) -> None:
    result = evaluate(toy, MEAN, out=tmp_path / "a" / "results")
    assert results_folder.read(tmp_path / "a" / "results") == result
    assert results_folder.read(tmp_path / "a" / "results" / "results.json") == result
    names = {"results.json", "curves.csv", "curves.png", "strip.png", "scores.npz"}
    names |= {"calibration.png"}
    names |= {f"films/{n:05d}-{row}.png" for n in range(9) for row in ("truth", "model", "best")}
    assert set(files(tmp_path / "a" / "results")) == names
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["results"]


def test_scores_of_single_sequences_are_what_the_means_are_made_of(
    toy: Toy, tmp_path: Path
) -> None:
    result = evaluate(toy, MEAN, out=tmp_path / "results", limit=7, batch=6)
    scores = results_folder.read_scores(tmp_path / "results")
    assert scores["sequence"].tolist() == list(range(7))
    assert scores["model/mse"].mean() == pytest.approx(result.rows[0].values["mse"].mean)
    assert scores["copy-last/psnr"].mean() == pytest.approx(result.rows[-2].values["psnr"].mean)
    assert {len(values) for values in scores.values()} == {7}


def test_the_csv_has_a_line_per_model_metric_and_frame(toy: Toy, tmp_path: Path) -> None:
    result = evaluate(toy, SINGLE, out=tmp_path / "results")
    with (tmp_path / "results" / "curves.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(c) for row in result.rows for c in row.curves.values())
    line = next(
        line
        for line in lines
        if (line["model"], line["metric"], line["frame"]) == ("toy", "mse", "2")
    )
    point = result.rows[0].curves["mse"][1]
    assert [float(line[key]) for key in ("mean", "low", "high", "n")] == [
        point.mean,
        point.low,
        point.high,
        9,
    ]


def test_an_infinite_mean_is_valid_json(tmp_path: Path) -> None:
    still = replace(SINGLE, data=Handmade(still=True))
    evaluate(CopyLast(CopyLastConfig()), still, out=tmp_path / "results")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads((tmp_path / "results" / "results.json").read_text(), parse_constant=refuse)
    with (tmp_path / "results" / "curves.csv").open() as file:
        psnr = [line["mean"] for line in csv.DictReader(file) if line["metric"] == "psnr"]
    assert psnr[0] == "inf"


def test_pictures_show_something(tmp_path: Path) -> None:
    torch.manual_seed(0)
    colour = replace(SINGLE, data=Handmade(channels=3), channels=3)
    evaluate(
        ConvLSTM(ConvLSTMConfig(channels=3, hidden=(4,), kernel=3, patch=4)),
        colour,
        out=tmp_path / "results",
    )
    for name in ("curves.png", "strip.png"):
        pixels = np.asarray(Image.open(tmp_path / "results" / name).convert("RGB"))
        assert pixels.std() > 10
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_the_strip_shows_what_was_predicted(tmp_path: Path) -> None:
    """Two models that differ give different strips; the same gives the same."""
    for name, shift in (("one", 0.0), ("two", 0.4), ("three", 0.0)):
        options = ToyOptions(shift=shift)
        evaluate(Toy(ToyConfig()), SINGLE, out=tmp_path / name, options=options)
    one, two, three = (files(tmp_path / name)["strip.png"] for name in ("one", "two", "three"))
    assert one == three
    assert one != two


def test_the_strip_has_a_row_for_the_best_of_several_samples(tmp_path: Path) -> None:
    """Where they differ; a strip is higher by it for each of its four sequences."""
    heights = {}
    for name, width in (("equal", 0.0), ("different", 0.3)):
        evaluate(Toy(ToyConfig(width=width)), MEAN, out=tmp_path / name)
        with Image.open(tmp_path / name / "strip.png") as strip:
            heights[name] = strip.height
    row = (heights["different"] - heights["equal"]) / 4
    assert 16 <= row < 100, "frames of 16 pixels, enlarged or not"


def test_the_same_evaluation_may_be_repeated(toy: Toy, tmp_path: Path) -> None:
    evaluate(toy, MEAN, out=tmp_path, limit=4)
    assert results_folder.read(tmp_path).data.sequences == 4
    evaluate(toy, MEAN, out=tmp_path, limit=6)
    assert results_folder.read(tmp_path).data.sequences == 6


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (Toy(ToyConfig(width=0.2)), {}, "another toy"),
        (Toy(ToyConfig()), {"protocol": SINGLE}, "protocol mean"),
        (Toy(ToyConfig()), {"limit": 4}, "9 sequences"),
        (Toy(ToyConfig()), {"seed": 1}, "seed"),
        (Toy(ToyConfig()), {"options": ToyOptions(shift=0.1)}, "options"),
    ],
)
def test_other_results_are_not_overwritten(
    toy: Toy, tmp_path: Path, model: Toy, changes: dict, words: str
) -> None:
    evaluate(toy, MEAN, out=tmp_path)
    before = files(tmp_path)
    model.calls.clear()
    with pytest.raises(FolderError, match=words):
        evaluate(model, **{"protocol": MEAN, "out": tmp_path, **changes})
    assert files(tmp_path) == before
    assert model.calls == []


def test_what_lies_beside_results_is_not_lost(toy: Toy, tmp_path: Path) -> None:
    evaluate(toy, MEAN, out=tmp_path)
    (tmp_path / "noise-5").mkdir()
    (tmp_path / "noise-5" / "results.json").write_text("{}")
    before = files(tmp_path)
    with pytest.raises(FolderError, match="holds 'noise-5' beside results"):
        evaluate(toy, MEAN, out=tmp_path)
    assert files(tmp_path) == before


def test_figures_that_a_repetition_lacks_are_not_lost(toy: Toy, tmp_path: Path) -> None:
    evaluate(toy, MEAN, out=tmp_path)
    older = results_folder.read(tmp_path)
    known = LikelihoodInfo(Interval(1.0, 0.5, 1.5), 2.0, [])
    lpips = MetricInfo("LPIPS", "", False, {})
    for change, words in (
        ({"likelihood": known}, "with likelihoods, which would be lost"),
        ({"metrics": older.metrics | {"lpips-alex": lpips}, "omitted": {}}, "with lpips-alex"),
    ):
        (tmp_path / "results.json").write_text(dump(replace(older, **change)))
        with pytest.raises(FolderError, match=words):
            evaluate(toy, MEAN, out=tmp_path)


def test_results_that_cannot_be_read_are_not_evaluated_again_in_vain(
    toy: Toy, tmp_path: Path
) -> None:
    evaluate(toy, MEAN, out=tmp_path / "r")
    (tmp_path / "r" / "results.json").write_text("{")
    toy.calls.clear()
    with pytest.raises(FolderError, match=r"cannot be read .*; delete .*r, or give another folder"):
        evaluate(toy, MEAN, out=tmp_path / "r")
    assert toy.calls == []


def test_a_place_that_cannot_be_written_is_noticed_first(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"cannot write .*file/x: .*file: "):
        evaluate(toy, MEAN, out=tmp_path / "file" / "x")
    assert toy.calls == []
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_current_folder_is_not_replaced(toy: Toy, tmp_path: Path, monkeypatch) -> None:
    inner = tmp_path / "here" / "deeper"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    for folder in (inner, inner.parent):
        with pytest.raises(FolderError, match="is where you are, and cannot be replaced"):
            evaluate(toy, MEAN, out=folder)
    assert toy.calls == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", "flipped", "array", "packed"])
def test_damaged_scores_are_one_line(toy: Toy, tmp_path: Path, damage: bytes | str) -> None:
    evaluate(toy, MEAN, out=tmp_path)
    path = tmp_path / "scores.npz"
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "packed":  # by a method that is not known
        data = bytearray(path.read_bytes())
        for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            at = data.index(mark) + place
            data[at : at + 2] = b"\x63\x00"
        path.write_bytes(data)
    elif damage == "flipped":
        data = bytearray(path.read_bytes())
        data[60:90] = bytes(30)
        path.write_bytes(data)
    else:
        path.write_bytes(damage)
    with pytest.raises(FolderError, match="cannot be read"):
        results_folder.read_scores(tmp_path)


def test_a_folder_of_something_else_is_left_alone(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FolderError, match="something else"):
        evaluate(toy, MEAN, out=tmp_path)
    with pytest.raises(FolderError, match="is a file"):
        evaluate(toy, MEAN, out=tmp_path / "thesis.tex")
    assert files(tmp_path) == {"thesis.tex": b"years of work"}


class Failing(Toy):
    """Fails after some sequences."""

    def rollout(self, *arguments):
        if len(self.calls) > 2:
            raise FramecastError("out of luck")
        return super().rollout(*arguments)


def test_an_evaluation_that_fails_leaves_what_was_there(toy: Toy, tmp_path: Path) -> None:
    evaluate(toy, MEAN, out=tmp_path / "results")
    before = files(tmp_path / "results")
    with pytest.raises(FramecastError, match="luck"):
        evaluate(Failing(ToyConfig()), MEAN, out=tmp_path / "results", batch=3)
    assert files(tmp_path / "results") == before
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize("damage", ["{", '{"format_version": 1}', '{"format_version": 99}', "[1]"])
def test_a_damaged_result_is_one_line(tmp_path: Path, damage: str) -> None:
    (tmp_path / "results.json").write_text(damage)
    with pytest.raises(FolderError) as caught:
        results_folder.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_result_and_no_scores(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"results\.json"):
        results_folder.read(tmp_path)
    with pytest.raises(FolderError, match=r"scores\.npz"):
        results_folder.read_scores(tmp_path)
