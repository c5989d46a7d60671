"""`framecast models NAME`: numbers of parameters beside published ones."""

import pytest
import torch

from framecast import registry
from framecast.cli import sizes
from framecast.cli.sizes import Figure

ROWS = sizes.published()
TYPES = sorted({row["preset"].partition("/")[0] for row in ROWS})


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(12_900_000, 100_000), "12.9M"),
        (Figure(1_140_000, 10_000), "1.14M"),
        (Figure(7_000_000, 1_000_000), "7M"),
        (Figure(7_585_296, 1), "7,585,296"),
    ],
)
def test_a_figure_is_written_as_papers_do(figure: Figure, text: str) -> None:
    assert str(figure) == text


@pytest.mark.parametrize(
    ("counted", "agrees"),
    [(12_904_321, True), (12_949_999, True), (12_849_999, False), (12_950_001, False)],
)
def test_a_count_agrees_to_the_last_published_digit(counted: int, agrees: bool) -> None:
    assert Figure(12_900_000, 100_000).agrees(counted) is agrees
    assert not Figure(12_900_000, 1).agrees(counted)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["preset"])
def test_a_published_figure_is_of_a_preset_and_has_a_source(row: dict) -> None:
    assert row["preset"] in registry.names("presets")
    assert row["source"]
    assert row["method"]
    for figure in (row, *row.get("parts", {}).values()):
        assert figure["parameters"] % figure["digit"] == 0
        assert set(str(figure["digit"])) <= {"1", "0"}


@pytest.mark.parametrize("name", TYPES)
def test_published_sizes_are_shown_beside_the_counted(cli, name: str) -> None:
    document = cli("models", name, "--json").json
    text = cli("models", name).out
    rows = [row for row in ROWS if row["preset"].startswith(f"{name}/")]
    assert [size["preset"] for size in document["published"]] == [row["preset"] for row in rows]
    for size, row in zip(document["published"], rows, strict=True):
        with torch.device("meta"):
            model = registry.find("presets", row["preset"])().model.build()
        assert size["counted"] == model.parameter_count()
        used = row["parameters"] - row.get("unused", 0)
        near = abs(size["counted"] - used) <= row["digit"] / 2
        assert size["verdict"] == ("equal" if near else "differs")
        assert near or row["note"], f"{row['preset']} differs, and nothing says why"
        assert f"{size['counted']:,}" in text
        assert str(Figure(row["parameters"], row["digit"])) in text
        assert row["source"] in text


def test_the_described_model_has_its_figure_in_the_table_of_its_parts(cli) -> None:
    lines = cli("models", "s-hr-vqvae").out.splitlines()
    heading = next(line for line in lines if line.startswith("part"))
    total = next(line for line in lines if line.startswith("in all"))
    assert heading.split() == ["part", "parameters", "published"]
    assert total.split() == ["in", "all", "1,142,953", "1.14M"]


def test_the_published_part_of_a_model_is_the_counted_one(cli) -> None:
    document = cli("models", "v3d-convlstm", "--json").json
    own = document["published"][0]
    assert own["described"]
    assert own["parts"]
    for part, figure in own["parts"].items():
        assert Figure(**figure).agrees(document["parts"][part])
    lines = cli("models", "v3d-convlstm").out.splitlines()
    line = next(line for line in lines if line.startswith("convlstm"))
    assert line.split() == ["convlstm", "7,300,096", "7M"]


def test_models_of_other_sizes_have_no_published_figure(cli, model_folder) -> None:
    for name in ("haf-svg", model_folder()):
        assert cli("models", name, "--json").json["published"] == []
        assert "published" not in cli("models", name).out


def test_a_folder_has_the_figure_of_its_own_configuration_alone(cli) -> None:
    document = cli("models", "s-hr-vqvae/moving-mnist", "--json").json
    assert [size["described"] for size in document["published"]] == [True]


def test_figures_of_parts_stand_beside_the_parts() -> None:
    own = sizes.Size(
        "a/b",
        "",
        "",
        Figure(100, 1),
        100,
        True,
        {"units": Figure(7_000_000, 1_000_000)},
        0,
        None,
        "",
    )
    table = sizes.parts({"units": 7_300_096, "other": 4}, 7_300_100, [own])
    published = list(table.columns[2].cells)
    assert [str(cell) for cell in published] == ["7M", "", "100"]


@pytest.mark.parametrize(
    "name", sorted({row["preset"].partition("/")[0] for row in ROWS if "work" in row})
)
def test_published_work_is_shown_beside_the_counted(cli, name: str) -> None:
    published = {size["preset"]: size for size in cli("models", name, "--json").json["published"]}
    lines = [line.split() for line in cli("models", name).out.splitlines() if "→" in line]
    shown = {words[0]: words[-2:] for words in lines}
    for row in (row for row in ROWS if row["preset"].startswith(f"{name}/") and "work" in row):
        work = published[row["preset"]]["work"]
        near = abs(work["counted"] - work["multiply_adds"]) <= work["digit"] / 2
        assert near or row.get("note"), f"{row['preset']} differs, and nothing says why"
        assert work["multiply_adds"] % work["digit"] == 0
        decimals = len("1000000000") - len(str(work["digit"]))
        assert shown[row["preset"]] == [
            f"{work['multiply_adds'] / 1e9:.{decimals}f}G",
            f"{work['counted'] / 1e9:.2f}G",
        ]


def test_weights_that_are_never_used_are_said_to_be(cli) -> None:
    size = cli("models", "convlstm", "--json").json["published"][0]
    assert (size["counted"], size["unused"], size["verdict"]) == (11_675_648, 3_407_872, "equal")
    assert "11,675,648 + 3,407,872 never used" in cli("models", "convlstm").out
