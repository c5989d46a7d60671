"""The page of a comparison: well-formed, self-contained, escaped, and complete in a browser."""

import base64
import io
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from browser import shown
from PIL import Image
from written import scored, write

from framecast.errors import FolderError
from framecast.evaluation.comparison import charts
from framecast.evaluation.comparison.charts import Point, Series
from framecast.evaluation.comparison.frames import strips
from framecast.evaluation.comparison.grouping import groups
from framecast.evaluation.comparison.loading import load
from framecast.evaluation.comparison.markup import page, tag
from framecast.evaluation.comparison.page import report
from framecast.evaluation.comparison.section import section
from framecast.evaluation.protocol import find

VOID = {"meta", "img", "br", "link", "input"}
NASTY = '<script>alert("x")</script>&\''


class Strict(HTMLParser):
    """Remembers elements and texts, and that each element is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of a name."""
        return [attributes for tag, attributes in self.seen if tag == name]


def made(*folders: Path, title: str = "A title") -> str:
    entries = load([(None, folder) for folder in folders])
    return report([section(group, 0) for group in groups(entries)], title)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models with films, one of another number of sequences, and one of a printed protocol."""
    root = tmp_path_factory.mktemp("results")
    return [
        write(root / "a", 0.0, filmed=6, speed=50.0),
        write(root / "b", 0.2, 2, kind="stip", filmed=6),
        write(root / "c", 0.2, 3, kind="simvp", count=30, filmed=2),
        write(root / "d", 0.1, 4, protocol=find("kth/10-20")),
    ]


@pytest.fixture(scope="module")
def text(folders: list[Path]) -> str:
    return made(*folders)


def test_every_element_is_closed(text: str) -> None:
    found = Strict(text)
    assert text.startswith("<!DOCTYPE html>")
    assert found.named("html") == [{"lang": "en"}]
    assert len(found.named("section")) == 3
    links = [link["href"] for link in found.named("a")]
    assert links == ["#s0", "#s1", "#s2"]
    assert [each["id"] for each in found.named("section")] == ["s0", "s1", "s2"]


def test_nothing_is_loaded(text: str) -> None:
    found = Strict(text)
    for name, attributes in found.seen:
        assert name not in {"script", "link", "iframe", "object"}
        for key in ("src", "href", "srcset"):
            assert (attributes.get(key) or "#").startswith(("data:image/png;base64,", "#"))
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)


def test_whatever_names_contain_is_text(tmp_path: Path) -> None:
    folder = write(tmp_path / "<b>&", filmed=1)
    entries = load([(NASTY, folder)])
    whole = report([section(group, 0) for group in groups(entries)], NASTY)
    found = Strict(whole)
    assert found.named("script") == []
    assert sum(NASTY in piece for piece in found.texts) > 3
    assert any("<b>&" in piece for piece in found.texts)


def test_figures_strips_and_printed_tables_are_there(text: str) -> None:
    found = Strict(text)
    # three metrics in each of three sections, and the plots against two costs in the first
    assert len(found.named("svg")) == 3 * 3 + 2
    assert len(found.named("img")) == 4 * 3 + 2 * 2
    for words in ("What papers print", "Frame by frame", "Differences on the same sequences"):
        assert words in found.texts
    assert "Adiban et al. (2023), Table 2" in text
    assert text.count('class="apart"') == 2
    assert f"{scored(0.0, 1)['mse'].mean():.2f}" in found.texts


def test_a_model_has_one_colour_on_all_of_a_page(text: str) -> None:
    colours = dict(re.findall(r'<i class="swatch (c\d)"></i>([\w-]+)<', text)[::-1])
    pairs = {(name, colour) for colour, name in re.findall(r'"swatch (c\d)"></i>([\w-]+)<', text)}
    pairs |= {(name, colour) for colour, name in re.findall(r'"key (c\d)"></i>([\w-]+)<', text)}
    assert len({name for name, _ in pairs}) == len(pairs) == 3
    assert len(colours) == 3


def test_strips_show_the_films(folders: list[Path]) -> None:
    entries = load([(None, folder) for folder in folders[:2]])
    found = strips(entries)
    assert [strip.name for strip in found] == ["clip 0", "clip 14", "clip 21", "clip 35"]
    first = found[0]
    assert first.numbers == (1, 2, 3, 5, 6, 7, 8, 10, 11, 12)
    assert first.truth.size == (11 * 20, 16)
    pixels = np.asarray(first.truth)
    for column, frame in enumerate([2, *(2 + n for n in first.numbers)]):
        (bright,) = np.nonzero(pixels[5, 20 * column : 20 * column + 20])
        assert bright[0] == frame % 16, "the last observed frame, then those of the numbers"
    assert [(row.model, row.sample, row.picture.size) for row in first.rows] == [
        ("convlstm", "", (200, 16)),
        ("stip", "", (200, 16)),
    ]
    behind = np.asarray(first.rows[1].picture)[5, :20]
    assert np.nonzero(behind)[0][0] == 1, "frame 3 of a model that is two frames behind"


def test_the_best_of_several_samples_has_a_row(tmp_path: Path) -> None:
    ten = find("glyphs/5-5@10-samples")
    folders = [
        write(tmp_path / "a", filmed=1, protocol=ten),
        write(tmp_path / "b", filmed=1, best=4, kind="stip", protocol=ten),
    ]
    rows = strips(load([(None, folder) for folder in folders]))[0].rows
    assert [(row.model, row.sample) for row in rows] == [
        ("convlstm", ""),
        ("stip", ""),
        ("stip", "best of 10"),
    ]
    assert np.asarray(rows[2].picture).max() == 63
    whole = made(*folders)
    assert "stip, best of 10" in Strict(whole).texts
    assert 'alt="clip 0, stip, best of 10"' in whole


def test_only_shared_sequences_are_shown(folders: list[Path]) -> None:
    entries = load([(None, folder) for folder in folders[:3]])
    assert [strip.name for strip in strips(entries)] == ["clip 0", "clip 7"]
    assert [row.model for row in strips(entries)[0].rows] == ["convlstm", "stip", "simvp"]
    assert strips(load([(None, folders[3])])) == []


def test_results_without_films_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a", filmed=1)
    write(tmp_path / "b", kind="stip")
    whole = made(tmp_path / "a", tmp_path / "b")
    assert "Without frames, as their folders hold none: stip." in whole


def test_figures_compare_without_the_folder_of_films(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", filmed=1), write(tmp_path / "b", kind="stip", filmed=1)
    before = made(a, b)
    shutil.rmtree(a / "films")
    after = made(a, b)
    assert "Without frames, as their folders hold none: convlstm." in after
    cells = re.compile(r"<td.*?</td>", re.DOTALL)
    assert cells.findall(after) == cells.findall(before) != []


def test_damaged_films_are_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", filmed=1)
    (folder / "films" / "00000-model.png").unlink()
    with pytest.raises(FolderError, match=r"00000-model\.png cannot be read"):
        made(folder)


def test_embedded_pictures_are_the_strips(text: str, folders: list[Path]) -> None:
    address = Strict(text).named("img")[0]["src"] or ""
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    expected = strips(load([(None, folder) for folder in folders[:2]]))[0].truth
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


# ---- parts


def test_elements_are_escaped_and_attributes_named() -> None:
    whole = page("<t>", "a > b {}", tag("p", "1 < 2", tag("b", "&"), " end", class_="x", data_y=1))
    assert "<title>&lt;t&gt;</title>" in whole
    assert '<p class="x" data-y="1">1 &lt; 2<b>&amp;</b> end</p>' in whole
    assert "a > b {}" in whole
    assert Element("p").attrib == tag("p", hidden=False, title=None).attrib


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (13.2, 18.9, [12, 14, 16, 18, 20]),
        (-0.3, 0.3, [-0.4, -0.2, 0, 0.2, 0.4]),
        (99, 101, [99, 99.5, 100, 100.5, 101]),
        (5, 5, [5, 6]),
    ],
)
def test_ticks_are_round_and_hold_all(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(30))
def test_ticks_of_anything(seed: int) -> None:
    draw = np.random.default_rng(seed)
    low, high = sorted(draw.normal(0, 10.0 ** draw.integers(-6, 7), 2))
    found = charts.ticks(low, high, 5)
    assert found[0] <= low + 1e-9 * abs(low)
    assert found[-1] >= high - 1e-9 * abs(high)
    assert 2 <= len(found) <= 8
    assert np.ptp(np.diff(found)) < 1e-6 * (high - low)


def circles(chart: Element | None) -> Iterator[tuple[float, float]]:
    assert chart is not None
    for each in chart.iter("circle"):
        yield float(each.attrib["cx"]), float(each.attrib["cy"])


def test_curves_are_where_their_values_are() -> None:
    values = [3.0, 1.0, 2.0]
    points = [Point(n, y, y - 0.5, y + 0.5) for n, y in enumerate(values, start=1)]
    chart = charts.curves([Series("a", "c0", points)], "l", "x")
    places = list(circles(chart))
    across, down = zip(*places, strict=True)
    assert across[2] - across[1] == pytest.approx(across[1] - across[0], abs=0.2)
    assert (down[1] - down[2]) == pytest.approx(down[2] - down[0], abs=0.2)
    assert down[0] < down[2] < down[1]
    assert chart is not None
    assert len(list(chart.iter("polygon"))) == len(list(chart.iter("polyline"))) == 1


def test_gaps_break_curves_and_nothing_draws_nothing() -> None:
    gap = [Point(1, 1.0), Point(2, None), Point(3, 2.0), Point(4, 3.0)]
    chart = charts.curves([Series("a", "c0", gap)], "l", "x")
    assert chart is not None
    assert len(list(chart.iter("polyline"))) == 2
    assert charts.curves([Series("a", "c0", [Point(1, None)])], "l", "x") is None
    assert charts.scatter([], "l", "x") is None


def test_points_stand_on_a_logarithmic_axis() -> None:
    series = [Series(str(x), "c0", [Point(x, 1.0)]) for x in (1e3, 1e4, 1e5)]
    chart = charts.scatter(series, "l", "x")
    across = [x for x, _ in circles(chart)]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    assert chart is not None
    ticks = [each for each in chart.iter("text") if each.attrib["class"] == "tick middle"]
    assert [each.text for each in ticks] == ["1000", "10k", "100k"]


def boxes(chart: Element) -> list[tuple[float, float, float, float]]:
    """Where the names are, by the width of letters; and the points."""
    found = []
    for each in chart.iter("text"):
        _, *anchor = each.attrib["class"].split()
        if each.attrib["class"].startswith("name"):
            wide, x, y = 7 * len(each.text or ""), *(float(each.attrib[k]) for k in "xy")
            left = x - {"": 0, "end": wide, "middle": wide / 2}["".join(anchor)]
            found.append((left, y - 11, left + wide, y + 3))
    return found + [(x - 5, y - 5, x + 5, y + 5) for x, y in circles(chart)]


@pytest.mark.parametrize("near", [1.05, 1.3, 3.0])
def test_names_cover_neither_each_other_nor_points(near: float) -> None:
    values = [("HAF-SVG", 1e6 * near, 1.0), ("SVG-LP", 1e6, 1.01), ("stip", 2e7, 1.5)]
    chart = charts.scatter([Series(n, "c0", [Point(x, y)]) for n, x, y in values], "l", "x")
    assert chart is not None
    found = boxes(chart)
    assert len(found) == 6
    for number, (left, top, right, bottom) in enumerate(found[:3]):
        assert left >= 0
        assert right <= charts.WIDTH
        for other in found[number + 1 :]:
            over = min(right, other[2]) - max(left, other[0])
            under = min(bottom, other[3]) - max(top, other[1])
            assert over <= 0 or under <= 0


def test_axes_of_little_range_have_ticks() -> None:
    series = [Series("a", "c0", [Point(x, 1.0)]) for x in (1.05e6, 1.2e6)]
    chart = charts.scatter(series, "l", "x")
    assert chart is not None
    ticks = [each for each in chart.iter("text") if each.attrib["class"] == "tick middle"]
    assert len(ticks) >= 2


def test_numbers_are_short() -> None:
    values = (0, 0.05, -2, 1000, 12_000, 2_500_000, 7.9e9)
    texts = ["0", "0.05", "−2", "1000", "12k", "2.5M", "7.9G"]
    assert [charts.number(value) for value in values] == texts


@pytest.mark.slow
def test_the_page_in_a_browser(text: str, tmp_path: Path) -> None:
    """Measured where it is drawn: tables, curves and strips have a place, wide and narrow."""
    (tmp_path / "page.html").write_text(text, "utf-8")
    measure = """
      const size = (e) => { const b = e.getBoundingClientRect(); return b.width * b.height; };
      const all = (s) => [...document.querySelectorAll(s)];
      document.title = JSON.stringify({
        tables: all(".grid table").filter((e) => size(e) > 5000).length,
        charts: all("svg polyline").filter((e) => e.getTotalLength() > 100).length,
        images: all("img").filter((e) => e.naturalWidth > 0 && size(e) > 2000).length,
        overflow: document.documentElement.scrollWidth > window.innerWidth,
      });
    """
    for width in (1200, 500):
        document = shown(tmp_path / "page.html", width, measure)
        title = re.search(r"<title>(\{.*?\})</title>", document)
        assert title is not None
        found = title[1]
        assert '"overflow":false' in found
        assert '"images":16' in found
        assert int(re.search(r'"charts":(\d+)', found)[1]) >= 30  # pyright: ignore
        assert int(re.search(r'"tables":(\d+)', found)[1]) >= 4  # pyright: ignore
