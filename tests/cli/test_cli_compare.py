"""`framecast compare`, from evaluations to pages."""

from pathlib import Path

import pytest

from framecast.cli.compare import place

GLYPHS = ("--protocol", "glyphs/5-5", "--limit", 12, "--batch", 12)


@pytest.fixture
def results(cli, model_folder, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Results of a tiny model and of copy-last."""
    for model, out in ((model_folder(), "r/tiny"), ("copy-last", "r/copy")):
        assert cli("evaluate", model, *GLYPHS, "-o", out).code == 0
    return [Path("r/tiny"), Path("r/copy")]


def test_from_evaluations_to_pages(cli, results: list[Path]) -> None:
    ran = cli("compare", f"tiny={results[0]}", results[1], "--out", "all.html", "--title", "Mine")
    assert ran.code == 0, ran.err
    for words in (
        "glyphs/5-5, 12 sequences of 200: partial",
        "gradient energy ratio",
        "tiny",
        "copy-last",
        "MSE",
        "Differences",
        "wrote all.html and all.md",
    ):
        assert words in ran.out
    page, tables = Path("all.html").read_text(), Path("all.md").read_text()
    for text in (page, tables):
        assert "Mine" in text
        assert "tiny" in text
    assert page.count("<img") == 4 * 3
    again = cli("compare", *results, "--out", "all.html", "--json")
    assert again.code == 0, again.err
    assert again.json["wrote"] == ["all.html", "all.md"]
    rows = again.json["protocols"][0]["rows"]
    assert {row["name"] for row in rows} == {"convlstm", "copy-last", "context-mean"}
    tiny = next(row for row in rows if row["name"] == "convlstm")
    assert tiny["multiply_adds"] > 0

    blind = cli("compare", *results, "--blind", "--json")
    assert blind.code == 0, blind.err
    assert blind.json == {"wrote": ["blind.html"], "pairs": 12}
    assert "copy-last" not in Path("blind.html").read_text()
    assert not Path("blind.md").exists()


def test_what_is_something_else_is_never_replaced(cli, results: list[Path]) -> None:
    Path("notes.md").write_text("years of work")
    ran = cli("compare", *results, "--out", "notes.html")
    assert ran.code == 2
    assert "notes.md is there and not made by framecast compare; give another --out" in ran.err
    assert Path("notes.md").read_text() == "years of work"
    assert not Path("notes.html").exists()
    Path("blind.html").write_text("<html>mine</html>")
    assert cli("compare", *results, "--blind").code == 2
    assert Path("blind.html").read_text() == "<html>mine</html>"
    assert cli("compare", *results, "--out", "tables.html").code == 0
    tables = Path("tables.html").read_text()
    ran = cli("compare", *results, "--blind", "--out", "tables.html")
    assert "tables.html is there and not made by framecast compare --blind" in ran.err
    assert Path("tables.html").read_text() == tables
    assert cli("compare", *results, "--blind", "--out", "vote.html").code == 0
    assert "not made by framecast compare;" in cli("compare", *results, "--out", "vote.html").err
    assert cli("compare", *results, "--blind", "--out", "vote.html").code == 0, "the same again"


def test_a_folder_is_taken_as_it_is_whatever_its_name(tmp_path: Path) -> None:
    a, b = tmp_path / "a=b", tmp_path / "large=a"
    a.mkdir()
    assert place(f"large={a}") == ("large", a)
    b.mkdir()
    assert place(str(b)) == (None, b)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name folders that framecast evaluate left"),
        (("nowhere",), "there is no folder nowhere; give one that framecast evaluate left"),
        (("mine=nowhere",), "there is no folder nowhere;"),
        (("=nowhere",), "there is no folder =nowhere;"),
        ((".",), ". holds no results.json"),
        (("nowhere", "--out", "page.pdf"), "the page is an .html file, got page.pdf"),
    ],
)
def test_wrong_input_is_one_line(cli, arguments: tuple[str, ...], said: str) -> None:
    ran = cli("compare", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
