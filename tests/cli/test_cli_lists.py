"""Names and lines: in Python and on the command line; one model in detail; converted weights."""

import hashlib
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import framecast
from framecast import architecture, listing, registry
from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig


@pytest.mark.parametrize("kind", ["models", "presets", "protocols"])
def test_lists_are_the_same_in_python_and_on_the_command_line(cli, kind: str) -> None:
    entries = getattr(framecast, kind)()
    assert set(registry.names(kind)) <= set(entries)
    text = cli(kind).out
    document = cli(kind, "--json").json
    names = [e["name"] for e in document] if kind == "models" else list(document)
    assert names == list(entries)
    for name, line in entries.items():
        assert name in text
        assert line, f"{name} has no line"
        assert line in text


@pytest.mark.parametrize("name", registry.names("presets"))
def test_lines_are_what_docstrings_begin_with(name: str) -> None:
    text = registry.find("presets", name).__doc__
    assert " ".join(text.split()).startswith(listing.presets()[name])


def test_lists_are_there_before_and_after_their_packages_are_imported() -> None:
    script = (
        "import framecast; before = framecast.models(), framecast.presets();"
        "import framecast.models.convlstm, framecast.presets.convlstm;"
        "assert (framecast.models(), framecast.presets()) == before and all(before);"
        "assert framecast.models.convlstm.ConvLSTM.__name__ == 'ConvLSTM'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_datasets_have_lines() -> None:
    assert all(listing.datasets().values())


def test_names_of_other_packages_are_listed(monkeypatch) -> None:
    monkeypatch.setitem(registry.MODELS, "mine", "no_such_package.mine:Mine")
    monkeypatch.setitem(registry.MODELS, "noisy", "noisy_model:Noisy")
    found = listing.models()
    assert found["mine"] == ""
    assert found["noisy"] == "Needs three frames of 16×20 pixels, and keeps four"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("One. Two.", "One"),
        ("  One\n  and a half.\n\n  Two.", "One and a half"),
        ("Version 1.5 of it", "Version 1.5 of it"),
        ("", ""),
        (None, ""),
    ],
)
def test_first_line(text: str | None, line: str) -> None:
    assert listing.first_line(text) == line


def test_shipped_models_come_first_with_their_size(
    cli, monkeypatch, tmp_path, model_folder
) -> None:
    folder = model_folder("shipped")
    (folder / "README.md").write_text("# Title\n\nSmall and quick. More.\n")
    monkeypatch.setattr(listing, "shipped", lambda: {"convlstm/small": folder})
    monkeypatch.setattr(registry, "shipped", lambda: {"convlstm/small": folder})
    first = cli("models", "--json").json[0]
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert first == {
        "name": "convlstm/small",
        "kind": "shipped",
        "bytes": size,
        "summary": "Small and quick",
    }
    assert f"{size / 1e6:.1f} MB" in cli("models").out


def test_a_type_is_described(cli) -> None:
    document = cli("models", "convlstm", "--json").json
    model = ConvLSTM(ConvLSTMConfig())
    assert document["parameters"] == model.parameter_count() == sum(document["parts"].values())
    assert set(document["parts"]) == {"network.units", "network.output"}
    assert document["stages"] == ["main"]
    assert document["config"]["kernel"] == 5
    text = cli("models", "convlstm").out
    assert f"{model.parameter_count():,}" in text
    assert "training stages: main" in text


def test_a_folder_is_described(cli, model_folder) -> None:
    folder = model_folder(context=7, note="hello")
    document = cli("models", folder, "--json").json
    assert document["about"] == {"context": 7, "note": "hello"}
    assert document["config"]["hidden"] == [2]
    text = cli("models", folder).out
    assert document["card"].strip() in text
    assert "context: 7" in text


def test_unknown_models_are_answered(cli) -> None:
    ran = cli("models", "convlstn")
    assert (ran.code, "did you mean 'convlstm'" in ran.err) == (2, True)


class TestConvert:
    """`framecast weights convert`."""

    def test_writes_beside_the_file(self, cli, tmp_path) -> None:
        torch.save({"state_dict": {"a": torch.ones(2, 3)}}, tmp_path / "w.pth")
        digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
        ran = cli("weights", "convert", "w.pth", "--sha256", digest)
        assert ran.code == 0
        assert "1 tensors, 6 values" in ran.out
        assert torch.equal(load_file("w.safetensors")["a"], torch.ones(2, 3))

    def test_precision_and_place(self, cli, tmp_path) -> None:
        torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
        digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
        options = ("--precision", "float16", "-o", "x/half.safetensors", "--json")
        document = cli("weights", "convert", "w.pth", "--sha256", digest, *options).json
        assert document["path"] == "x/half.safetensors"
        assert load_file("x/half.safetensors")["a"].dtype == torch.float16

    def test_another_hash_is_refused(self, cli, tmp_path) -> None:
        torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
        ran = cli("weights", "convert", "w.pth", "--sha256", "0" * 64)
        assert (ran.code, "not opened" in ran.err) == (2, True)
        assert not (tmp_path / "w.safetensors").exists()


def test_one_preset_in_detail(cli, tmp_path) -> None:
    found = cli("presets", "convlstm/tiny", "--figure", str(tmp_path / "parts.svg"), "--json").json
    experiment = registry.find("presets", "convlstm/tiny")()
    assert found["context"] == experiment.context
    assert found["stages"]["main"]["steps"] == experiment.stages["main"].steps
    sizes = [part["parameters"] for part in found["parts"].values()]
    assert sum(sizes) == experiment.model.build().parameter_count()
    first, *_, last = found["parts"]
    assert ["frames", first] in found["arrows"]
    assert [last, "loss: main"] in found["arrows"]
    drawn = (tmp_path / "parts.svg").read_text(encoding="utf-8")
    assert all(name in drawn for name in found["parts"])
    assert first in cli("presets", "convlstm/tiny").out


def test_a_figure_of_another_kind_is_refused_at_once(cli, monkeypatch) -> None:
    monkeypatch.setattr(architecture, "trace", lambda experiment: pytest.fail("was followed"))
    ran = cli("presets", "convlstm/tiny", "--figure", "a.jpg")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ".svg" in ran.err


def test_a_figure_is_of_one_preset(cli) -> None:
    ran = cli("presets", "--figure", "a.png")
    assert ran.code == 2
    assert "give its name" in ran.err
