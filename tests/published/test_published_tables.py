"""The papers' tables: read strictly, pointing at what exists, and equal to what is printed."""

import copy
import json
import math
import re
import subprocess
import sys
from importlib import resources

import pytest

from framecast import published, registry
from framecast.config import from_json
from framecast.errors import ConfigError
from framecast.evaluation.columns import metric_set
from framecast.evaluation.protocol import find
from framecast.published.printed import Paper

FIGURES = [
    ("s-hr-vqvae", "table2", "kth", "ConvLSTM (2015)", "LPIPS", 0.156),
    ("s-hr-vqvae", "table2", "kth", "R-ST-ConvLSTM (2022)", "PSNR", 28.99),
    ("s-hr-vqvae", "table2", "kth", "PredRNN-V2 (2023)", "LPIPS", 0.071),
    ("s-hr-vqvae", "table2", "moving-mnist", "E3D-LSTM (2019)", "MSE", 44.2),
    ("s-hr-vqvae", "table2", "moving-mnist", "McNet (2018)", "PSNR", 12.53),
    ("s-hr-vqvae", "table2", "moving-mnist", "VPTR (2023)", "#Params", 162.48),
    ("s-hr-vqvae", "table2", "moving-mnist", "S-HR-VQVAE-joint (ours)", "MSE", 46.2),
    ("s-hr-vqvae", "table3", "kth", "9-layer S-HR-VQVAE", "LPIPS", 0.148),
    ("s-hr-vqvae", "table3", "moving-mnist", "1-layer S-HR-VQVAE", "MSE", 67.55),
    ("s-hr-vqvae", "table1", "moving-mnist", "Codebook size", "6 layers", 2),
    ("video-vqvae", "table1", "", "405 judgements", "Indifferent", 21.5),
    ("video-vqvae", "table2", "64", "TRIVD-GAN-FP (64×64)", "FVD", 25.74),
    ("video-vqvae", "table2", "256", "Video VQ-VAE (256×256)", "FVD*", 82.45),
    ("video-vqvae", "table4", "", "Training steps", "Bottom Prior", 950_000),
    ("stip", "table1", "", "SJTU4K", "γ2", 0.0005),
    ("stip", "table3", "", "CrevNet (ICLR2020)", "LPIPS, t = 10", 48.15),
    ("stip", "table4", "", "PredRNN (NeurIPS2017)", "PSNR, t = 8", 25.65),
    ("stip", "table5", "", "SAVP", "Inference Time", 100.23),
    ("stip", "table6", "human36m", "3. w MGIR", "PSNR", 35.11),
    ("stip", "table7", "", "E3D-LSTM", "FLOPs", 4.70),
    ("stip", "table8", "ucf-sports", "L_MSE + L_GAN", "LPIPS", 30.13),
    ("v3d-convlstm", "table1", "5-15", "Improved VRNN", "MSE", 162.2),
    ("v3d-convlstm", "table1", "10-20", "Variational 3D ConvLSTM (Ours)", "MSE", 47.54),
    ("v3d-convlstm", "table3", "10-10", "Variational 3D ConvLSTM", "SSIM", 0.887),
    ("haf-svg", "section5.2", "", "β", "KTH", 1e-6),
]
SHAPES = {
    "s-hr-vqvae": {"table1": (8, 48), "table2": (18, 96), "table3": (4, 24)},
    "video-vqvae": {
        "table1": (1, 3), "table2": (5, 7), "table3": (16, 16), "table4": (10, 20),
        "table5": (4, 4), "table6": (6, 6), "table7": (3, 3), "table8": (5, 9),
    },
    "stip": {
        "table1": (3, 36), "table2": (5, 28), "table3": (12, 48), "table4": (11, 44),
        "table5": (8, 40), "table6": (4, 12), "table7": (8, 32), "table8": (3, 12),
    },
    "haf-svg": {"section5.2": (9, 27)},
    "v3d-convlstm": {"table1": (6, 54), "table2": (1, 2), "table3": (4, 36)},
}  # fmt: skip
"""Rows and filled cells of every printed table."""


def one(paper: str, name: str, part: str) -> published.Table:
    """A table, or a part of one."""
    (found,) = (t for t in published.tables(paper) if (t.name, t.part) == (name, part))
    return found


@pytest.mark.parametrize(("paper", "name", "part", "method", "label", "value"), FIGURES)
def test_figures_are_as_printed(paper, name, part, method, label, value) -> None:
    (row,) = (row for row in one(paper, name, part).rows if row.method == method)
    assert row.values[label] == value


def test_every_row_and_cell_is_there() -> None:
    for paper in published.PAPERS:
        printed = published.about(paper).tables
        shapes = {
            t.name: (len(t.rows), sum(cell is not None for row in t.rows for cell in row.values))
            for t in printed
        }
        assert shapes == SHAPES[paper]


def test_parts_hold_what_the_printed_table_holds() -> None:
    for paper in published.PAPERS:
        for printed in published.about(paper).tables:
            parts = [t for t in published.tables(paper) if t.name == printed.name]
            assert [t.part for t in parts] == [part.key for part in printed.parts]
            own = {c.label for c in printed.columns if c.part is not None} or {
                c.label for c in printed.columns
            }
            cells = sum(len(own & {*r.values, *r.texts}) for t in parts for r in t.rows)
            columns = [i for i, c in enumerate(printed.columns) if c.label in own]
            assert cells == sum(r.values[i] is not None for r in printed.rows for i in columns)


@pytest.mark.parametrize("table", published.tables(), ids=lambda t: f"{t.paper}-{t.name}-{t.part}")
def test_everything_named_exists(table: published.Table) -> None:
    assert table.rows
    known = {*registry.names("models"), *registry.names("presets")}
    assert {row.model for row in table.rows} - {None} <= known
    labels = set(table.columns)
    assert set(table.metrics) == labels
    assert all(table.columns.values())
    for row in table.rows:
        assert {*row.values, *row.texts, *row.deviations} <= labels
        assert row.values or row.texts
    if table.protocol is None:
        assert not any(table.metrics.values())
        assert not table.frames
        return
    protocol = find(table.protocol)
    metrics = metric_set(protocol.metrics)
    keys = {*metrics.keys, *(metric.key for metric in metrics.distances)}
    assert {*table.metrics.values()} - {""} <= keys
    for metric, frame in table.frames.values():
        assert metric in metrics.keys
        assert frame in protocol.report_frames
    assert any(table.metrics.values()) or table.frames
    assert table in published.for_protocol(table.protocol)


def test_lengths_in_titles_are_those_of_the_protocols() -> None:
    checked = 0
    for table in published.tables():
        lengths = re.search(r"(\d+)→(\d+)", table.title)
        if lengths and table.protocol:
            assert find(table.protocol).lengths() == tuple(map(int, lengths.groups()))
            checked += 1
    assert checked > 20


def test_psnr_that_contradicts_its_squared_error_is_not_compared() -> None:
    """Where both are printed, they differ by more than any mean of logarithms would."""
    off = {
        row.method: row.values["PSNR"] - 10 * math.log10(64 * 64 / row.values["MSE"])
        for name in ("table2", "table3")
        for row in one("s-hr-vqvae", name, "moving-mnist").rows
        if {"PSNR", "MSE"} <= set(row.values)
    }
    assert off.pop("McNet (2018)") == pytest.approx(0.70, abs=0.01)
    assert all(10.7 < difference < 12.5 for difference in off.values())
    for name in ("table2", "table3"):
        table = one("s-hr-vqvae", name, "moving-mnist")
        assert table.metrics["PSNR"] == ""
        assert any(fault.startswith("PSNR contradicts MSE") for fault in table.faults)


def test_arithmetic_of_the_tables() -> None:
    study = one("video-vqvae", "table1", "").rows[0].values
    counts = [round(share * 4.05) for share in study.values()]
    assert sum(counts) == 405
    assert [round(count / 4.05, 1) for count in counts] == list(study.values())
    for row in one("stip", "table7", "").rows:
        assert row.values["FLOPs"] == pytest.approx(row.values["Parameters"] / 4, abs=0.0051)
    ratios = {t.part: t.rows[-1].values["3 layers"] for t in published.tables("s-hr-vqvae")[:2]}
    assert ratios["kth"] == pytest.approx(128 * 128 * 3 * 8 / (32 * 32 * 9), abs=0.01)
    assert ratios["moving-mnist"] == pytest.approx(64 * 64 * 8 / (16 * 16 * 6), abs=0.01)


def test_figures_that_papers_quote_from_each_other() -> None:
    quoted = {row.method: row.values for row in one("s-hr-vqvae", "table2", "moving-mnist").rows}
    own = {row.method: row.values for row in one("v3d-convlstm", "table1", "10-10").rows}
    ours = own["Variational 3D ConvLSTM (Ours)"]
    assert [quoted["V-3D-ConvLSTM (2021)"][k] for k in ("SSIM", "MSE")] == [
        ours["SSIM"],
        ours["MSE"],
    ]
    assert (quoted["E3D-LSTM (2019)"]["MSE"], own["E3D-LSTM"]["MSE"]) == (44.2, 41.3)
    assert (quoted["E3D-LSTM (2019)"]["#Params"], own["E3D-LSTM"]["# Params"]) == (41.94, 38.7)
    faults = " ".join(one("s-hr-vqvae", "table2", "moving-mnist").faults)
    for figure in ("41.3", "38.7M", "51.35M", "38.58M", "2.8M", "15.08M"):
        assert figure in faults


def test_leaking_splits_are_named() -> None:
    for table in published.tables("stip"):
        if table.protocol and "@published" in table.protocol:
            text = " ".join(table.faults)
            assert "leak" in text or "by window" in text


def test_cells_that_are_no_numbers_are_texts() -> None:
    row = one("stip", "table1", "").rows[0]
    assert row.texts["Train"] == "4→1"
    assert row.values["Layers"] == 16
    assert not set(row.texts) & set(row.values)


def test_deviations_belong_to_their_column() -> None:
    last = one("video-vqvae", "table2", "64").rows[-1]
    assert last.values == {"FVD": 64.30, "FVD*": 54.30}
    assert last.deviations == {"FVD": 2.04, "FVD*": 3.49}
    assert one("video-vqvae", "table2", "256").rows[0].deviations == {"FVD": 1.64, "FVD*": 1.16}


def test_models_differ_by_part() -> None:
    rows = {part: one("s-hr-vqvae", "table2", part).rows[-1] for part in ("kth", "moving-mnist")}
    assert rows["kth"].model == "s-hr-vqvae/kth-joint"
    assert rows["moving-mnist"].model == "s-hr-vqvae/moving-mnist-joint"


def test_sources_can_stand_in_a_footnote() -> None:
    assert one("stip", "table3", "").source == "Chang et al. (2022), Table III"
    assert len({(t.source, t.part) for t in published.tables()}) == len(published.tables())


def test_unknown_papers_are_answered() -> None:
    with pytest.raises(ConfigError, match="did you mean 'stip'"):
        published.tables("stipp")


@pytest.fixture
def document() -> dict:
    """The file of a paper, to be spoiled."""
    file = resources.files("framecast") / "published" / "s-hr-vqvae.json"
    return json.loads(file.read_text(encoding="utf-8"))


def _unknown_field(document: dict) -> None:
    document["tables"][0]["rows"][0]["value"] = 1


def _short_row(document: dict) -> None:
    document["tables"][1]["rows"][0]["values"].pop()


def _unknown_part(document: dict) -> None:
    document["tables"][1]["columns"][0]["part"] = "bair"


def _twice(document: dict) -> None:
    document["tables"][1]["columns"][0]["label"] = "SSIM"


def _strange_deviation(document: dict) -> None:
    document["tables"][1]["rows"][0]["deviations"] = {"PSNR": 1.0}


def _strange_model(document: dict) -> None:
    document["tables"][1]["rows"][0]["model"] = {"bair": "convlstm"}


@pytest.mark.parametrize(
    "spoil", [_unknown_field, _short_row, _unknown_part, _twice, _strange_deviation, _strange_model]
)
def test_files_are_read_strictly(document, spoil) -> None:
    from_json(Paper, document)
    spoil(document)
    with pytest.raises(ConfigError):
        from_json(Paper, document)


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from framecast import published; published.tables();"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_cells_have_all_their_digits() -> None:
    """Large numbers too, with what stands behind ±."""
    row = published.Row(
        "A", None, {"steps": 1016000.0, "FVD": 1.5}, {"FVD": 0.25}, "", {"x": "none"}
    )
    found = [row.cell(label) for label in ("steps", "FVD", "x", "other")]
    assert found == ["1016000", "1.5 ±0.25", "none", "–"]


def test_cells_keep_the_zeros_that_are_printed() -> None:
    (table,) = (t for t in published.tables("stip") if t.name == "table1")
    row = table.rows[0]
    assert (row.cell("γ1"), row.cell("γ2"), row.cell("λ")) == ("0.010", "0.0010", "0.1")
    assert (row.values["γ1"], row.cell("Hidden")) == (0.01, "64")
    assert copy.deepcopy(row).cell("γ1") == "0.010"


def test_near_protocols_differ_behind_the_mark_alone() -> None:
    found = {table.protocol for table in published.near_protocol("kth/10-20@v3d")}
    assert "kth/10-20@v3d" not in found
    assert found
    assert all(name is not None and name.partition("@")[0] == "kth/10-20" for name in found)
    assert published.near_protocol("video-folder") == ()
