"""The commands on robot videos: BAIR's documented layout, and a real file in the RLDS layout."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "data"))
from records import bair, encode, flip, starts, write

TRAIN = (
    *("--model.hidden", 4, "--stages.main.steps", 2, "--stages.main.batch", 2),
    *("--stages.main.validate-every", 2, "--stages.main.checkpoint-every", 2),
    *("--accelerator", "cpu", "--out", "runs/mine"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training and two test episodes."""
    base = tmp_path / "bair"
    for part, numbers in {"train": (0, 1), "test": (2, 3)}.items():
        write(
            base / "softmotion30_44k" / part / "traj_0_to_1.tfrecords",
            [encode(bair(number)) for number in numbers],
        )
    return base


def test_show(cli, root: Path) -> None:
    ran = cli("data", "show", "bair", "--data.root", root, "--split", "test", "--frames", 30)
    assert ran.code == 0, ran.err
    assert "bair, test: 2 clips, the same in every epoch" in ran.out
    assert "30x3x64x64" in ran.out
    assert "with actions" in ran.out
    assert "2 episodes in test; published: 256" in ran.out
    assert Path("out/bair.png").is_file()


def test_records_are_verified(cli, root: Path) -> None:
    assert cli("data", "verify", root).out == f"{root} is sound\n"
    path = root / "softmotion30_44k" / "test" / "traj_0_to_1.tfrecords"
    flip(path, starts(path)[1] + 5_000)
    ran = cli("data", "verify", root)
    assert ran.code == 1
    assert ran.out == f"record 1 of {path} does not match its checksum; get the file anew\n"
    assert list(cli("data", "verify", root, "--json").json["faults"]) == [
        "softmotion30_44k/test/traj_0_to_1.tfrecords"
    ]
    shown = cli("data", "show", "bair", "--data.root", root, "--split", "test")
    assert shown.code == 2
    assert len(shown.err.splitlines()) == 1
    assert f"record 1 of {path}" in shown.err


def test_nothing_to_prepare(cli) -> None:
    ran = cli("data", "prepare", "bair")
    assert ran.code == 2
    assert "bair needs no preparing" in ran.err


def test_the_protocol_of_bair(cli, root: Path) -> None:
    where = ("--protocol", "bair/2-28", "--data.root", root)
    ran = cli("evaluate", "copy-last", *where, "--json")
    assert ran.code == 0, ran.err
    result = ran.json["result"]
    assert result["data"]["sequences"] == 2
    assert result["protocol"]["data"]["type"] == "bair"
    assert any("published: 256" in note for note in result["data"]["notes"])
    assert result["protocol"]["name"] == "bair/2-28"


def test_a_real_robot_is_learnt_and_measured(cli, data: Path) -> None:
    where = ("--data.root", data / "bridge")
    ran = cli("train", "convlstm/bridge", *where, *TRAIN)
    assert ran.code == 0, ran.err
    ran = cli("evaluate", "runs/mine", "--protocol", "bridge", *where, "--json")
    assert ran.code == 0, ran.err
    protocol = ran.json["result"]["protocol"]
    assert (protocol["context"], protocol["horizon"]) == (2, 8)
    assert ran.json["result"]["data"]["sequences"] >= 1
    assert cli("data", "verify", data / "bridge").code == 0
