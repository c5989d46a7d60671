"""`framecast evaluate`."""

import json
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("copy-last",), "add --protocol"),
        (("--protocol", "glyphs/10-10"), "name a model first"),
        (("copy-last", "--protocol", "glyphs/10-11"), "did you mean 'glyphs/10-10'"),
        (("copylast", *GLYPHS), "did you mean 'copy-last'"),
        (("copy-last", "--protocol", "kth/10-20"), "--data.root"),
        (("copy-last", "--protocol", "video-folder", "--data.root", "."), "context and horizon"),
        (("copy-last", *GLYPHS, "--limit", "0"), "limit"),
        (("copy-last", *GLYPHS, "--metrics", "standrad"), "standard"),
    ],
)
def test_wrong_input_is_one_line(cli, arguments: tuple[object, ...], said: str) -> None:
    ran = cli("evaluate", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not Path("results").exists()
