"""Tables, tests and notes of a comparison."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from written import BASELINES, METRICS, scored, write

from framecast import published
from framecast.evaluation.columns import SHARPNESS
from framecast.evaluation.comparison.costs import work
from framecast.evaluation.comparison.grids import Cell, Grid, escaped
from framecast.evaluation.comparison.grouping import groups
from framecast.evaluation.comparison.lines import lines
from framecast.evaluation.comparison.loading import load
from framecast.evaluation.comparison.pairs import compared
from framecast.evaluation.comparison.papers import grid
from framecast.evaluation.comparison.section import Section, section
from framecast.evaluation.comparison.text import MARK, document, markdown
from framecast.evaluation.protocol import find, reconstructing
from framecast.evaluation.result import (
    CodecInfo,
    Interval,
    LevelInfo,
    LevelLikelihood,
    LikelihoodInfo,
    Result,
)
from framecast.evaluation.statistics import paired_bootstrap


def sections(*folders: Path) -> list[Section]:
    return [section(group, 0) for group in groups(load([(None, each) for each in folders]))]


def texts(found: Grid, name: str) -> dict[str, Cell]:
    """The cells of a row, by column."""
    row = next(row for row in found.rows if row[0].text == name)
    return {column.text: cell for column, cell in zip(found.columns, row, strict=True)}


def test_the_table_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "a", 0.0, speed=12.34)
    write(tmp_path / "b", 0.2, 2, kind="stip", speed=4321.0)
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    assert [row[0].text for row in found.table.rows] == [
        *("stip", "convlstm", "copy-last", "context-mean")
    ]
    assert found.table.models == 2
    ours = texts(found.table, "convlstm")
    mse = scored(0.0, 1)["mse"]
    half = stats.t.ppf(0.975, 39) * mse.std(ddof=1) / math.sqrt(40)
    assert ours["MSE (sum per frame) ↓"].text == f"{mse.mean():.2f} ±{half:.2f}"
    assert ours["parameters"].text == "1.23M"
    assert ours["frames/s"].text == "12.3"
    assert texts(found.table, "stip")["frames/s"].text == "4,321"
    assert texts(found.table, "copy-last")["parameters"].text == "–"
    assert "gradient energy ratio" not in ours
    describing = found.others[0]
    assert [cell.text for cell in describing.columns] == ["", "gradient energy ratio"]
    assert len(describing.rows) == 4


def test_the_best_is_marked_where_the_test_tells(tmp_path: Path) -> None:
    write(tmp_path / "a", 0.0)
    write(tmp_path / "b", 0.2, 2, kind="stip")
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    marked = {(row[0].text, n) for row in found.table.rows for n, c in enumerate(row) if c.best}
    assert marked == {("stip", 1), ("stip", 2)}
    assert not any("told apart" in note for note in found.table.notes)


def test_nothing_is_marked_where_the_test_does_not_tell(tmp_path: Path) -> None:
    """Equally good models, whose intervals say nothing of it as sequences differ more."""
    write(tmp_path / "a", 0.0)
    write(tmp_path / "b", 0.0005, 2, kind="stip")
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    assert not any(cell.best for row in found.table.rows for cell in row)
    assert sum("not told apart from" in note for note in found.table.notes) == 2


def test_a_baseline_may_be_the_best(tmp_path: Path) -> None:
    write(tmp_path / "a", -2.0)
    (found,) = sections(tmp_path / "a")
    assert texts(found.table, "copy-last")["PSNR, dB ↑"].best


def test_pairs_are_paired_bootstraps_after_holm(tmp_path: Path) -> None:
    write(tmp_path / "a", 0.0)
    write(tmp_path / "b", 0.01, 2, kind="stip")
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    assert set(found.pairs) == {"mse", "psnr"}
    scores = {"convlstm": scored(0.0, 1), "stip": scored(0.01, 2), **BASELINES}
    alone = []
    for pair in found.pairs["psnr"]:
        single = paired_bootstrap(scores[pair.first]["psnr"], scores[pair.second]["psnr"], seed=0)
        assert pair.found.difference == pytest.approx(single.difference)
        assert (pair.found.low, pair.found.high) == pytest.approx((single.low, single.high))
        alone.append(single.p)
    assert len(alone) == 6
    order = np.argsort(alone)
    expected = np.maximum.accumulate([min(1, (6 - k) * alone[n]) for k, n in enumerate(order)])
    assert [found.pairs["psnr"][n].p for n in order] == pytest.approx(expected.tolist())


def test_many_models_can_be_told_apart(tmp_path: Path) -> None:
    """The fewer sequences, the more resamples are drawn for as small a p-value."""
    for number in range(21):
        write(tmp_path / f"m{number}", 0.2 * number, number + 1, fingerprint=f"{number:064d}")
    (found,) = sections(*(tmp_path / f"m{number}" for number in range(21)))
    assert found.verdicts["mse"].best is not None, found.verdicts["mse"].words
    assert len(found.pairs["mse"]) == 23 * 22 // 2
    assert found.pair_table is not None
    assert "200,000 resamples" in found.pair_table.notes[0]


def test_what_is_not_finite_is_not_tested(tmp_path: Path) -> None:
    def infinite(found: Result) -> Result:
        value = Interval.of(math.inf, math.nan, math.nan)
        rows = [
            replace(row, values={**row.values, "psnr": value}) if row.name == "copy-last" else row
            for row in found.rows
        ]
        return replace(found, rows=rows)

    write(tmp_path / "a", infinite="copy-last", change=infinite)
    write(tmp_path / "b", 0.2, 2, kind="stip", infinite="copy-last", change=infinite)
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    names = {name for pair in found.pairs["psnr"] for name in (pair.first, pair.second)}
    assert names == {"convlstm", "stip", "context-mean"}
    assert len(found.pairs["mse"]) == 6
    assert texts(found.table, "copy-last")["PSNR, dB ↑"] == Cell("∞")
    note = (
        "PSNR: nothing is marked, as copy-last matches some frames exactly, which makes its mean "
        "infinite"
    )
    assert note in found.table.notes


def test_means_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    """A model that predicts NaN does not look like one that nobody measured."""

    def unknown(found: Result) -> Result:
        ours, *baselines = found.rows
        none = Interval(None, None, None)
        return replace(found, rows=[replace(ours, values=dict.fromkeys(METRICS, none)), *baselines])

    write(tmp_path / "a", change=unknown)
    (found,) = sections(tmp_path / "a")
    labels = ", ".join(info.label for info in METRICS.values())
    assert f"convlstm: {labels}: not a number, of some sequence at least" in found.table.notes
    assert not any(note.startswith("copy-last: ") for note in found.table.notes)


@pytest.mark.parametrize(
    "about",
    [
        {"data": "text", "stages": [{"name": "main", "step": 3}]},
        {"stages": None},
        {"stages": ["main", {"name": "main", "step": "100"}]},
        {"size": 64, "stages": [{"name": "main", "step": 3}]},
    ],
)
def test_what_a_model_says_of_itself_may_be_anything(tmp_path: Path, about: dict) -> None:
    def told(found: Result) -> Result:
        return replace(found, model=replace(found.model, about=about))

    (found,) = sections(write(tmp_path / "a", change=told))
    assert document([found])


def test_a_changed_protocol_is_not_described_as_the_usual_one(tmp_path: Path) -> None:
    usual = find("glyphs/10-10")
    other = replace(usual, context=9, name="glyphs/10-10 (modified)")
    for number, protocol in enumerate((usual, reconstructing(usual), other)):
        write(tmp_path / f"{number}", protocol=protocol)
    plain, encoded, changed = (sections(tmp_path / f"{number}")[0].about for number in range(3))
    assert plain == encoded != ""
    assert changed == ""


def test_copy_last_under_another_name_is_not_missing(tmp_path: Path) -> None:
    def alone(found: Result) -> Result:
        return replace(found, rows=found.rows[:1])

    a = write(tmp_path / "a", kind="copy-last", change=alone)
    for name, missing in (("still", False), (None, False)):
        (found,) = [section(group, 0) for group in groups(load([(name, a)]))]
        assert any("copy-last is missing" in note for note in found.table.notes) == missing
    (found,) = sections(write(tmp_path / "b", change=alone))
    assert any("copy-last is missing" in note for note in found.table.notes)


def test_few_sequences_are_not_tested(tmp_path: Path) -> None:
    write(tmp_path / "a", count=9)
    (found,) = sections(tmp_path / "a")
    assert found.pairs == {}
    assert found.pair_table is None
    assert any("there are fewer than 10 sequences" in note for note in found.table.notes)
    (many,) = groups(load([(None, write(tmp_path / "b", count=10))]))
    assert compared(lines(many), METRICS, 0)


def test_metrics_without_figures_of_sequences_are_not_tested(tmp_path: Path) -> None:
    fvd = replace(METRICS["mse"], label="FVD")

    def with_fvd(found: Result) -> Result:
        values = {"model": 80.0, "baseline": 90.0}
        rows = [
            replace(
                row,
                values={**row.values, "fvd": Interval(values[row.role], None, None)},
                folds={"fvd": [values[row.role] - 1, values[row.role] + 1]},
            )
            for row in found.rows
        ]
        return replace(found, rows=rows, metrics={**METRICS, "fvd": fvd})

    write(tmp_path / "a", change=with_fvd)
    (found,) = sections(tmp_path / "a")
    assert texts(found.table, "convlstm")["FVD ↓"] == Cell("80 (79, 81)")
    note = "FVD: convlstm is first, but not tested against copy-last: "
    assert note + "there are no figures of single sequences" in found.table.notes


def test_copy_last_is_asked_for(tmp_path: Path) -> None:
    def without(found: Result) -> Result:
        return replace(found, rows=found.rows[:1])

    write(tmp_path / "a", change=without)
    write(tmp_path / "b", kind="stip")
    (alone,) = sections(tmp_path / "a")
    asked = "framecast evaluate copy-last --protocol glyphs/10-10"
    assert any(asked in note for note in alone.table.notes)
    (both,) = sections(tmp_path / "a", tmp_path / "b")
    assert not any(asked in note for note in both.table.notes)


def test_notes_say_for_whom_they_hold(tmp_path: Path) -> None:
    def noted(found: Result) -> Result:
        data = replace(found.data, notes=["sequences overlap"])
        return replace(found, data=data, omitted={"lpips-alex": "no weights"})

    write(tmp_path / "a", change=noted)
    write(tmp_path / "b", kind="stip")
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    assert "data (convlstm): sequences overlap" in found.table.notes
    assert "lpips-alex is left out: no weights (convlstm)" in found.table.notes


def test_facts_say_what_was_done(tmp_path: Path) -> None:
    write(tmp_path / "a")
    (found,) = sections(tmp_path / "a")
    facts = dict(found.facts)
    assert facts["frames"] == "10 observed → 10 predicted"
    assert facts["sequences"] == "40 of 200: the first ones, partial"
    assert facts["metric set"] == "standard"
    assert facts["data fingerprint"] == "d" * 12
    assert found.about.startswith("Two digits drawn with a font")


def test_codes_are_described(tmp_path: Path) -> None:
    def coded(found: Result) -> Result:
        level = LevelInfo(4, 3, 2.5, 512.0)
        return replace(
            found, rows=found.rows[:1], codec=CodecInfo(512.0, 32768.0, 64.0, [level], 3)
        )

    write(tmp_path / "a", change=coded, protocol=reconstructing(find("glyphs/10-10")))
    (found,) = sections(tmp_path / "a")
    assert dict(found.facts)["frames"] == "10 observed → 10 more"
    codes = next(grid for grid in found.others if grid.title == "Codes")
    whole, level = ([cell.text for cell in row] for row in codes.rows)
    assert whole == ["convlstm, 1 of 3 levels", "512", "64", "", ""]
    assert level == ["convlstm, level 1", "512", "", "3 of 4", "2.5"]
    assert not any("copy-last" in note for note in found.table.notes)


def test_likelihoods_are_beside_each_other(tmp_path: Path) -> None:
    def likely(bits: float, *levels: float) -> Callable[[Result], Result]:
        def value(mean: float) -> Interval:
            return Interval(mean, mean - 0.25, mean + 0.25)

        each = [LevelLikelihood(100, value(mean)) for mean in levels]
        return lambda found: replace(found, likelihood=LikelihoodInfo(value(bits), 2 * bits, each))

    write(tmp_path / "a", change=likely(2.0, 1.0, 3.0))
    write(tmp_path / "b", 0.2, kind="stip")
    write(tmp_path / "c", -0.2, kind="video-vqvae", change=likely(4.0, 4.0))
    (found,) = sections(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    grid = next(grid for grid in found.others if grid.title.startswith("Likelihood"))
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["convlstm", "200", "2.000 ±0.250", "4"],
        ["convlstm, level 1", "100", "1.000 ±0.250", ""],
        ["convlstm, level 2", "100", "3.000 ±0.250", ""],
        ["video-vqvae", "100", "4.000 ±0.250", "8"],
        ["video-vqvae, level 1", "100", "4.000 ±0.250", ""],
    ]


def test_trainings_are_told(tmp_path: Path) -> None:
    def trained(found: Result) -> Result:
        prior = {"name": "prior", "step": 30, "begun": {"local": "runs/old"}}
        about = {
            "data": {"type": "moving-digits", "digits": "mnist"},
            "context": 5,
            "horizon": 7,
            "size": [64, 48],
            "seed": 3,
            "stages": [{"name": "autoencoder", "step": 1200}, prior],
        }
        return replace(found, model=replace(found.model, about=about))

    write(tmp_path / "a", change=trained)
    write(tmp_path / "b", 0.2, kind="stip")
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    grid = next(grid for grid in found.others if grid.title == "Trained")
    (row,) = ([cell.text for cell in row] for row in grid.rows)
    assert row[:4] == ["convlstm", "moving-digits (mnist)", "5 → 7 of 64×48", "3"]
    assert row[4] == "autoencoder 1,200, prior 30 (local begun with runs/old)"
    (told,) = document([found])
    assert told["rows"][1]["steps"] == {"autoencoder": 1200, "prior": 30}
    (plain,) = sections(tmp_path / "b")
    assert not any(grid.title == "Trained" for grid in plain.others)


def test_frames_that_a_protocol_reports(tmp_path: Path) -> None:
    write(tmp_path / "a", protocol=replace(find("glyphs/10-10"), report_frames=(11, 20, 40)))
    (found,) = sections(tmp_path / "a")
    frames = next(grid for grid in found.others if "Single frames" in grid.title)
    names = [row[0].text for row in frames.rows]
    assert names[:2] == ["convlstm, t = 11", "copy-last, t = 11"]
    assert len(names) == 6


def test_reductions_are_below(tmp_path: Path) -> None:
    def reduced(found: Result) -> Result:
        row = replace(found.rows[0], name="convlstm, best of 5", role="reduction", samples=5)
        return replace(found, rows=[found.rows[0], row, *found.rows[1:]])

    write(tmp_path / "a", change=reduced)
    write(tmp_path / "b", fingerprint="b" * 64, seed=2)
    (found,) = sections(tmp_path / "a", tmp_path / "b")
    other = next(grid for grid in found.others if "reduced otherwise" in grid.title)
    assert [row[0].text for row in other.rows] == ["convlstm (a), best of 5"]
    assert "best of" not in " ".join(row[0].text for row in found.table.rows)


def test_printed_tables_are_set_apart(tmp_path: Path) -> None:
    write(tmp_path / "a", protocol=find("kth/10-20"))
    (found,) = sections(tmp_path / "a")
    assert len(found.papers) == len(published.for_protocol("kth/10-20")) > 0
    paper = found.papers[0]
    assert texts(paper, "PredRNN (2017)")["PSNR"].text == "27.55"
    assert texts(paper, "DFN (2016)")["LPIPS"].text == "–"
    assert any("test windows" in note for note in paper.notes)
    assert not any("PredRNN" in row[0].text for row in found.table.rows)
    modified = replace(find("kth/10-20"), name="kth/10-20 (modified)")
    write(tmp_path / "b", protocol=modified)
    (other,) = sections(tmp_path / "b")
    assert other.papers == ()


def test_notes_of_printed_rows_are_numbered() -> None:
    rows = (
        published.Row("A", None, {"FVD": 1.5}, {"FVD": 0.25}, "quoted"),
        published.Row("B", None, {}, {}, "", {"FVD": "see text"}),
    )
    table = published.Table("p", "table1", "T", 7, None, {"FVD": "fvd"}, ("odd",), rows, source="P")
    found = grid(table, {})
    assert found.title == "P, p. 7: T"
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["A [1]", "1.5 ±0.25"],
        ["B", "see text"],
    ]
    assert found.notes == ("[1] A: quoted", "odd")


def test_multiply_adds_by_what_a_result_holds(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    found = load([(None, folder)])[0].result
    config = {"channels": 1, "hidden": [2], "kernel": 3, "patch": 1}
    known = replace(found, model=replace(found.model, config=config))
    counted = work(known)
    longer = replace(known, protocol={**known.protocol, "horizon": 20})
    assert counted is not None
    assert counted < (work(longer) or 0) < 2 * counted
    assert work(replace(found, model=replace(found.model, kind="unheard-of"))) is None
    sizeless = {**known.protocol, "size": None}
    assert work(replace(known, protocol=sizeless)) is None
    size = list(known.protocol["size"])
    for fields in ({"size": size}, {"size": [96, 96], "crop": size}):
        data = {"type": "video-folder", "size": None, "crop": None, **fields}
        assert work(replace(known, protocol={**sizeless, "data": data})) == counted
    whole = {"type": "video-folder", "size": None, "crop": None}
    assert work(replace(known, protocol={**sizeless, "data": whole})) is None
    assert work(replace(known, protocol={**known.protocol, "task": "reconstruct"})) is None


def test_markdown_is_as_written() -> None:
    found = Grid("a|b", (Cell(""), Cell("x ↓")), ((Cell("m_1"), Cell("2 ±1", best=True)),), ("n",))
    assert found.markdown() == (
        "#### a\\|b\n\n|  | x ↓ |\n| --- | --- |\n| m\\_1 | **2 ±1** |\n\n- n\n"
    )
    assert found.plain().rows == (("m_1", "2 ±1 *"),)
    assert escaped("a\n<b>*_`[c]`") == "a \\<b>\\*\\_\\`\\[c\\]\\`"


def test_the_whole_markdown(tmp_path: Path) -> None:
    write(tmp_path / "a", 0.0)
    write(tmp_path / "b", 0.2, 2, kind="stip", count=30)
    text = markdown(sections(tmp_path / "a", tmp_path / "b"), "Two *tables*")
    head, first, second = text.split("\n## ")
    assert head == f"{MARK}\n\n# Two \\*tables\\*\n"
    mse = scored(0.2, 2, 30)["mse"]
    assert f"| stip | **{mse.mean():.2f} ±" in second
    assert "| stip |" not in first
    assert "> Apart from an earlier table, and not to be compared with it: 30 sequences" in second
    assert "### Differences on the same sequences" in first
    assert text.endswith("\n")
    assert "\n\n\n" not in text


def test_the_document_for_programs(tmp_path: Path) -> None:
    write(tmp_path / "a", 0.0)
    write(tmp_path / "b", 0.2, 2, kind="stip")
    (found,) = document(sections(tmp_path / "a", tmp_path / "b"))
    assert found["best"] == {"mse": "stip", "psnr": "stip"}
    assert [row["name"] for row in found["rows"]][:2] == ["stip", "convlstm"]
    assert found["rows"][0]["parameters"] == 1_234_567
    assert found["rows"][1]["values"]["mse"]["mean"] == pytest.approx(scored(0.0, 1)["mse"].mean())
    assert set(found["pairs"]["mse"][0]) == {
        *("first", "second", "difference", "low", "high", "p", "p_holm")
    }
    assert SHARPNESS in found["rows"][0]["values"]


def test_without_printed_figures_those_of_near_protocols_stand_apart(tmp_path: Path) -> None:
    """They say whose they are; where there are some of the protocol itself, those stand alone."""
    write(tmp_path / "a", protocol=find("moving-mnist/10-10"))
    (found,) = sections(tmp_path / "a")
    near = published.near_protocol("moving-mnist/10-10")
    names = {f"moving-mnist/10-10@{paper}" for paper in ("s-hr", "v3d")}
    assert {table.protocol for table in near} == names
    assert len(found.papers) == len(near)
    for paper, table in zip(found.papers, near, strict=True):
        assert paper.notes[0].startswith(f"Of the protocol {table.protocol}: its figures do not")
    write(tmp_path / "b", protocol=find("moving-mnist/10-10@s-hr"))
    (exact,) = sections(tmp_path / "b")
    assert len(exact.papers) == len(published.for_protocol("moving-mnist/10-10@s-hr"))
