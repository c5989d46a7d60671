"""Tables of results."""

from dataclasses import replace

import pytest
from handmade import Handmade, Toy

from framecast.evaluation.protocol import Protocol
from framecast.evaluation.report import decimals, markdown, table
from framecast.evaluation.result import Result
from framecast.evaluation.runner import evaluate
from framecast.models.copy_last import CopyLast, CopyLastConfig

BEST = Protocol(
    "best",
    Handmade(),
    2,
    3,
    samples=3,
    reduce="best-of",
    best_by=("ssim", "psnr"),
    notes=("a known fault",),
)


@pytest.fixture
def result(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)
    return evaluate(toy, BEST, limit=4)


def test_every_figure_has_its_interval_and_baselines_stand_beside(result: Result) -> None:
    found = table(result)
    assert [row[0] for row in found.rows] == [
        "toy",
        "toy, best of 3",  # by metrics, too, that the protocol has the mean of
        "toy, mean score of 3",
        "toy, mean frame of 3",
        "copy-last",
        "context-mean",
    ]
    column = found.columns.index("PSNR, dB ↑")
    value = result.rows[0].values["psnr"]
    assert value.mean is not None
    assert value.high is not None
    shown, half = found.rows[0][column].split(" ±")
    assert float(shown) == pytest.approx(value.mean, abs=0.005)
    assert float(half) == pytest.approx(value.high - value.mean, abs=0.005)
    assert "MSE (sum per frame) ↓" in found.columns
    assert found.rows[4][found.columns.index("CRPS ↓")] == "–"


def test_notes_say_what_a_reader_has_to_know(result: Result) -> None:
    notes = "\n".join(table(result).notes)
    for words in ("set standard", "best of 3", "ssim and psnr", "first 4 of 9", "lpips-alex is"):
        assert words in notes
    assert "protocol: a known fault" in notes
    assert "data: made by hand" in notes
    assert "partial" in table(result).title


def test_published_figures_stand_below(result: Result) -> None:
    found = table(result, {"paper": {"psnr": 19.48}})
    assert found.rows[-1][0] == "paper (published)"
    assert found.rows[-1][found.columns.index("PSNR, dB ↑")] == "19.48"
    assert found.rows[-1].count("–") == len(found.columns) - 2


def test_markdown_has_a_line_per_row_with_as_many_cells(result: Result) -> None:
    lines = [line for line in markdown(result).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(result.rows)
    assert len({line.count("|") for line in lines}) == 1
    assert "### best, 4 sequences of 9: partial" in markdown(result)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0.0, "0.0000"), (0.25, "0.2500"), (0.0421, "0.0421"), (0.00042, "0.000420")),
        *((0.99, "0.9900"), (1.25, "1.250"), (94.42, "94.42"), (999.96, "1000.0")),
        *((12345.6, "12346"), (-0.5, "-0.5000")),
    ],
)
def test_small_and_large_values_keep_their_digits(value: float, shown: str) -> None:
    assert f"{value:.{decimals(value)}f}" == shown


def test_infinity_and_single_sequences() -> None:
    still = replace(BEST, samples=None, reduce="single", best_by=(), data=Handmade(still=True))
    found = table(evaluate(CopyLast(CopyLastConfig()), still, limit=1))
    assert found.rows[0][found.columns.index("PSNR, dB ↑")] == "∞"
    assert found.rows[0][found.columns.index("MSE (sum per frame) ↓")] == "0"
