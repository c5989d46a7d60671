"""The commands of the datasets of high resolution, on real frames."""

import json
from pathlib import Path


def test_copy_last_under_the_protocol(cli, data: Path, monkeypatch) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)
    root = ("--data.root", data / "ucf_sports")
    ran = cli("evaluate", "copy-last", "--protocol", "ucf-sports/4-6", *root, "--limit", 1)
    assert ran.code == 0, ran.err
    for words in ("ucf-sports/4-6, 1 sequence of 6: partial", "t = 5", "t = 10", "split by video"):
        assert words in ran.out
    found = json.loads(Path("results/copy-last-ucf-sports-4-6/results.json").read_text())
    assert found["protocol"]["data"]["split"] == "disjoint"
    assert len(found["rows"][0]["curves"]["psnr"]) == 6


def test_the_published_split_has_a_result_of_its_own(cli, data: Path) -> None:
    root = ("--data.root", data / "human36m", "--data.size", 64, 64)
    protocol = "human36m/4-4@published"
    ran = cli("evaluate", "copy-last", "--protocol", protocol, *root, "--json")
    assert ran.code == 0, ran.err
    result = ran.json["result"]
    assert result["protocol"]["name"] == "human36m/4-4@published (modified)"
    assert result["data"]["sequences"] == 2
    assert any("test.txt lists 2, STIP reports 8,582" in note for note in result["data"]["notes"])


def test_frames_are_prepared_shown_and_verified(cli, data: Path) -> None:
    size = ("--data.size", 32, 32)
    ran = cli("data", "prepare", "ucf-sports", "--data.root", data / "ucf_sports", *size, "-o", "p")
    assert ran.code == 0, ran.err
    assert Path("p/test.txt").is_file()
    assert cli("data", "verify", "p").out == "p is sound\n"
    options = ("--data.root", "p", *size, "--data.split", "published", "--split", "test")
    assert cli("data", "show", "ucf-sports", *options, "--json").json["clips"] == 5
