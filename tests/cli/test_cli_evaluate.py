"""`framecast evaluate`."""

import json
from pathlib import Path

import numpy as np
import pytest

from framecast import load

GLYPHS = ("--protocol", "glyphs/10-10", "--limit", 4)


def test_the_table_and_the_files(cli, model_folder) -> None:
    ran = cli("evaluate", model_folder(), *GLYPHS, "-o", "r")
    assert ran.code == 0
    for word in ("convlstm", "copy-last", "context-mean", "MSE", "partial", "wrote r"):
        assert word in ran.out
    stored = json.loads(Path("r/results.json").read_text())
    assert stored["data"]["sequences"] == 4
    assert stored["run"]["command"].startswith("framecast evaluate ")


def test_json_is_what_is_written(cli) -> None:
    document = cli("evaluate", "copy-last", *GLYPHS, "--json").json
    assert document["wrote"] == "results/copy-last-glyphs-10-10"
    stored = json.loads(Path(document["wrote"], "results.json").read_text())
    assert document["result"] == stored
    rows = {row["name"]: row["values"] for row in stored["rows"]}
    assert rows["copy-last"]["mse"]["mean"] > 0


def test_batches_change_nothing(cli, model_folder) -> None:
    model = model_folder()
    found = [
        cli("evaluate", model, *GLYPHS, "--batch", n, "-o", f"r{n}", "--json").json for n in (1, 4)
    ]
    values = [each["result"]["rows"][0]["values"]["mse"]["mean"] for each in found]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_changed_protocols_say_so(cli) -> None:
    options = ("--context", 4, "--horizon", 3, "-o", "r", "--json")
    result = cli("evaluate", "copy-last", *GLYPHS, *options).json["result"]
    assert result["protocol"]["name"] == "glyphs/10-10 (modified)"
    assert (result["protocol"]["context"], result["protocol"]["horizon"]) == (4, 3)
    curve = result["rows"][0]["curves"]["mse"]
    assert len(curve) == 3


def test_data_of_ones_own_with_samples_seeds_and_options(cli, frame_folder, noisy: str) -> None:
    for name in ("v/test/a", "v/test/b", "v/train/c"):
        frame_folder(name, 8, 16, 20)
    base = (
        *("evaluate", noisy, "--protocol", "video-folder", "--data.root", "v"),
        *("--context", 4, "--horizon", 2, "--samples", 3, "--json"),
    )
    runs = {
        "a": ("--seed", 0),
        "b": ("--seed", 1),
        "c": ("--seed", 0, "--option", "strength=0"),
    }
    found = {}
    for name, options in runs.items():
        ran = cli(*base, *options, "-o", name)
        assert ran.code == 0, ran.err
        result = ran.json["result"]
        assert result["protocol"]["reduce"] == "mean"
        assert result["data"]["sequences"] == 2
        found[name] = {row["name"]: row["values"]["mse"]["mean"] for row in result["rows"]}
    assert found["a"][noisy] != found["b"][noisy]
    assert found["c"][noisy] == pytest.approx(found["c"]["copy-last"])


VIDEOS = ("--data.root", "videos")
TRAIN = (
    *("train", "stip/video-folder", *VIDEOS, "--out", "runs/mine"),
    *("--model.hidden", 2, "--model.units", 2, "--data.size", 20, 20, "--data.crop", 16, 16),
    *("--context", 4, "--horizon", 2),
    *("--workers", 0, "--stages.main.steps", 2, "--stages.main.batch", 2, "--no-progress"),
)
OWN = ("evaluate", "runs/mine", "--protocol", "video-folder", *VIDEOS, "--json")


def test_from_ones_own_videos_to_a_measured_predictor(cli, frame_folder) -> None:
    """Training, evaluating and predicting, the last two without a word on lengths and sizes."""
    for number in range(4):
        frame_folder(f"videos/{number}", 13, 24, 32)
    assert cli(*TRAIN).code == 0
    ran = cli(*OWN)
    assert ran.code == 0, ran.err
    result = ran.json["result"]
    protocol, trained = result["protocol"], load("runs/mine").about["data"]
    assert (protocol["context"], protocol["horizon"]) == (4, 2)
    of_training = {"stride": 2, "random_windows": False, "flip": True, "root": None}
    assert trained == {**protocol["data"], **of_training}
    assert not protocol["data"]["flip"], "or it would not compare with models trained without"
    assert protocol["data"]["stride"] is None, "test clips do not overlap"
    assert result["data"]["sequences"] == 2
    (note,) = result["notes"]
    lengths = "context 4, horizon 2"
    data = "data.size [20, 20], data.most_windows 50, data.crop [16, 16]"
    assert note == f"as the model was trained: {lengths}, {data}"
    assert not any("overlap" in note or "splits" in note for note in result["data"]["notes"])
    predict = ("predict", "videos/0", "--model", "runs/mine", "--horizon", 3, "--out", "future.mp4")
    assert cli(*predict).code == 0
    assert Path("future.mp4").stat().st_size

    options = ("--horizon", 1, "--data.stride", 1, "--data.splits", 0.5, 0.25, 0.25, "-o", "other")
    result = cli(*OWN, *options).json["result"]
    assert result["protocol"]["horizon"] == 1
    assert result["notes"] == [f"as the model was trained: context 4, {data}"]
    for said in ("sequences overlap", "may have been trained on"):
        assert any(said in note for note in result["data"]["notes"])


def test_arrays_are_evaluated_as_they_were_trained(cli) -> None:
    np.save("rain.npy", np.random.default_rng(0).random((100, 16, 16), np.float32) * 5)
    arrays = ("convlstm/arrays", "--data.root", "rain.npy", "--data.range", 0, 5)
    shape = ("--data.log-knee", 0.2, "--data.size", 16, 16, "--context", 3, "--horizon", 2)
    assert cli("train", *arrays, *shape, *TRAIN[4:8], *TRAIN[-7:]).code == 0
    evaluate = ("evaluate", "runs/mine", "--protocol", "arrays", "--data.root", "rain.npy")
    ran = cli(*evaluate, "--thresholds", 1, "--json")
    assert ran.code == 0, ran.err
    protocol = ran.json["result"]["protocol"]
    assert (protocol["context"], protocol["horizon"]) == (3, 2)
    assert (protocol["data"]["range"], protocol["data"]["log_knee"]) == ([0.0, 5.0], 0.2)
    assert ran.json["result"]["data"]["sequences"] == 15 // 5


def test_the_validation_split_can_be_looked_at(cli) -> None:
    result = cli("evaluate", "copy-last", *GLYPHS, "--split", "validation", "--json").json["result"]
    protocol = result["protocol"]
    assert protocol["name"] == "glyphs/10-10 (modified)"
    assert (protocol["split"], protocol["validation"]) == ("validation", None)
    test = cli("evaluate", "copy-last", *GLYPHS, "-o", "t", "--json").json["result"]
    assert test["data"]["fingerprint"] != result["data"]["fingerprint"]


def test_videos_of_several_sizes_are_drawn_as_far_as_they_are_of_one(cli, frame_folder) -> None:
    for name, width in (("test/a", 24), ("test/b", 32), ("test/c", 24), ("train/d", 24)):
        frame_folder(f"videos/{name}", 8, 24, width)
    ran = cli(
        *("evaluate", "copy-last", "--protocol", "video-folder", *VIDEOS),
        *("--context", 2, "--horizon", 2, "-o", "r"),
    )
    assert ran.code == 0, ran.err
    assert json.loads(Path("r/results.json").read_text())["data"]["sequences"] == 6
    assert Path("r/strip.png").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("copy-last",), "add --protocol"),
        (("--protocol", "glyphs/10-10"), "name a model first"),
        (("copy-last", "--protocol", "glyphs/10-11"), "did you mean 'glyphs/10-10'"),
        (("copylast", *GLYPHS), "did you mean 'copy-last'"),
        (("copy-last", "--protocol", "kth/10-20"), "--data.root"),
        (
            ("copy-last", "--protocol", "video-folder", "--data.root", "."),
            "--context N --horizon N",
        ),
        (("copy-last", "--protocol", "video-foldr"), "no protocol 'video-foldr'; did you mean"),
        (("copy-last", "--protocol", "zz"), "framecast protocols lists all"),
        (("copy-last", *GLYPHS, "--limit", "0"), "limit"),
        (("copy-last", *GLYPHS, "--metrics", "standrad"), "standard"),
        (
            ("copy-last", *GLYPHS, "--metrics", "foo"),
            "standard-squeeze, standard-vgg, stip, ",
        ),
        (("copy-last", *GLYPHS, "--weights", "nowhere"), "--weights nowhere is no folder"),
    ],
)
def test_wrong_input_is_one_line(cli, arguments: tuple[object, ...], said: str) -> None:
    ran = cli("evaluate", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not Path("results").exists()
