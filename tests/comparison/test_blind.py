"""Blind comparisons: nothing tells the models, and votes are counted for the right one."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import shown
from PIL import Image
from test_page import Strict
from written import write

from framecast.errors import FramecastError
from framecast.evaluation import films
from framecast.evaluation.comparison import blind as module
from framecast.evaluation.comparison.blind import blind
from framecast.evaluation.comparison.loading import Entry, load
from framecast.evaluation.result import Result


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    root = tmp_path_factory.mktemp("results")
    write(root / "zebra", 0.0, 1, filmed=12)
    write(root / "heron", 0.2, 3, kind="stip", filmed=12)
    return load([("zebra", root / "zebra"), ("heron", root / "heron")])


def key(page: str) -> dict:
    """What the page hides, revealed as its script does."""
    data = base64.b64decode(re.search(r'data-key="([^"]+)"', page)[1])  # pyright: ignore
    pad, mixed = data[:32], data[32:]
    return json.loads(bytes(byte ^ pad[at % 32] for at, byte in enumerate(mixed)))


def videos(page: str) -> list[np.ndarray]:
    """The pictures of all videos, in their order on the page."""
    found = re.findall(r"url\(data:image/png;base64,([^)]+)\)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in found]


def test_the_page_is_whole_and_tells_nothing(entries: list[Entry]) -> None:
    page, count = blind(entries, "Which?", 0)
    found = Strict(page)
    assert count == 12
    assert sum(each.get("class") == "trial" for each in found.named("div")) == 12
    for word in ("zebra", "heron", "convlstm", "stip", "clip"):
        assert word not in page
        assert base64.b64encode(word.encode()).decode()[:-2] not in page
    assert not re.search(r"https?://", page)
    assert all("src" not in attributes for attributes in found.named("script"))


def test_sides_are_those_of_the_key(entries: list[Entry]) -> None:
    page, _ = blind(entries, "Which?", 0)
    found, shown_videos = key(page), videos(page)
    assert found["names"] == ["zebra", "heron"]
    assert set(found["sides"]) == {0, 1}
    assert sorted(found["sequences"]) == sorted(f"clip {7 * n}" for n in range(12))
    assert found["sequences"] != [f"clip {7 * n}" for n in range(12)]
    for trial, (side, name) in enumerate(zip(found["sides"], found["sequences"], strict=True)):
        for place in (0, 1):
            entry = entries[place ^ side]
            info = next(each for each in entry.result.films if each.name == name)
            folder = entry.folder / "films"
            truth = films.read(folder, info, films.TRUTH)[: info.context]
            model = films.read(folder, info, films.MODEL)
            whole = np.concatenate([truth, model, *[model[-1:]] * module.REST])
            expected = np.asarray(films.joined(whole))
            np.testing.assert_array_equal(shown_videos[2 * trial + place], expected)


def test_the_seed_draws_order_and_sides(entries: list[Entry]) -> None:
    keys = [key(blind(entries, "Which?", seed)[0]) for seed in (0, 0, 1)]
    assert keys[0] == keys[1]
    assert keys[0]["sides"] != keys[2]["sides"]
    assert keys[0]["sequences"] != keys[2]["sequences"]


def test_what_cannot_be_compared_blindly(entries: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(FramecastError, match="two results, got 1"):
        blind(entries[:1], "", 0)

    def other(found: Result) -> Result:
        return replace(found, protocol_hash="another")

    write(tmp_path / "a", kind="simvp", filmed=2, change=other)
    write(tmp_path / "b", kind="simvp")
    a, b = load([(None, tmp_path / "a")])[0], load([(None, tmp_path / "b")])[0]
    with pytest.raises(FramecastError, match="evaluate both models alike"):
        blind([entries[0], a], "", 0)
    with pytest.raises(FramecastError, match="no frames of the same sequences"):
        blind([entries[0], b], "", 0)


def test_films_of_another_form_are_one_line(entries: list[Entry], tmp_path: Path) -> None:
    shutil.copytree(entries[1].folder, tmp_path / "c")
    path = tmp_path / "c" / "results.json"
    path.write_text(path.read_text().replace('"frames": 12', '"frames": 11'))
    (changed,) = load([("other", tmp_path / "c")])
    with pytest.raises(FramecastError, match="films of another form; evaluate again"):
        blind([entries[0], changed], "", 0)


@pytest.mark.slow
def test_votes_are_counted_for_the_right_model(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a browser: left for four pairs, indifferent for three, right for the others."""
    monkeypatch.setattr(module, "SECONDS", 0.001)
    page, count = blind(entries, "Which?", 0)
    (tmp_path / "blind.html").write_text(page, "utf-8")
    votes = ["left"] * 4 + ["even"] * 3 + ["right"] * (count - 7)
    click = f"""
      for (const other of ["repeat", "altKey", "ctrlKey", "metaKey"]) {{
        const held = {{ key: "ArrowLeft", bubbles: true, [other]: true }};
        document.dispatchEvent(new KeyboardEvent("keydown", held));  // is no vote
      }}
      const key = new KeyboardEvent("keydown", {{ key: "ArrowLeft", bubbles: true }});
      (async () => {{
        for (const vote of {json.dumps(votes)}) {{
          document.dispatchEvent(key);  // before the end: no vote
          document.querySelector(`[data-vote="left"]`).click();
          const visible = document.querySelectorAll(".trial:not([hidden])");
          if (visible.length !== 1) throw new Error(`${{visible.length}} pairs are shown`);
          await new Promise((go) => setTimeout(go, Number(visible[0].dataset.milliseconds) + 1));
          document.querySelector(`[data-vote="${{vote}}"]`).click();
        }}
        document.title = await (await fetch(document.querySelector("#result a").href)).text();
      }})();
    """
    document = shown(tmp_path / "blind.html", ended=click)
    title = re.search(r"<title>(.*?)</title>", document, re.DOTALL)
    assert title is not None
    found = json.loads(title[1])
    hidden = key(page)
    expected = {"zebra": 0, "heron": 0, None: 0}
    for vote, side in zip(votes, hidden["sides"], strict=True):
        left = hidden["names"][side]
        right = hidden["names"][1 - side]
        expected[{"left": left, "right": right, "even": None}[vote]] += 1
    assert {each["preferred"]: each["count"] for each in found["shares"]} == expected
    assert found["judgements"] == 12
    even = found["shares"][2]
    # Wilson's interval of 3 of 12, by hand
    assert (even["low"], even["high"]) == pytest.approx((0.0889, 0.5323), abs=1e-4)
    assert [each["sequence"] for each in found["votes"]] == hidden["sequences"]
    assert "prefer zebra" in document
    assert "12 judgements" in document
