"""Model folders: what is refused, and with which line."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

import framecast
from framecast import folder
from framecast.digest import of_file
from framecast.errors import FolderError, FramecastError
from framecast.model import load
from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def model() -> ConvLSTM:
    """A tiny ConvLSTM with weights of its own."""
    torch.manual_seed(0)
    return ConvLSTM(ConvLSTMConfig(hidden=(3,), kernel=3, patch=2))


@pytest.fixture
def saved(model, tmp_path) -> Path:
    """Its model folder."""
    model.about = {"context": 4, "note": "ünïcode"}
    model.save(tmp_path / "saved")
    return tmp_path / "saved"


def rewrite(path: Path, change) -> None:
    """Change a JSON file and make the manifest vouch for it."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    vouch(path)


def vouch(path: Path) -> None:
    """Enter a file's new sum and length into the manifest beside it."""
    manifest = path.parent / folder.MANIFEST
    document = json.loads(manifest.read_text())
    entry = {"bytes": path.stat().st_size, "sha256": of_file(path)}
    document["files"][path.name] = entry
    manifest.write_text(json.dumps(document))


def refusal(path: Path) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(FramecastError) as caught:
        load(path)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_round_trip_is_bitwise(model, saved):
    """Weights, configuration and what is said about them come back as they were."""
    again = load(saved)
    assert again.config == model.config
    assert again.about == model.about
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_half_precision(model, tmp_path):
    """Half of the bytes, and weights equal to their rounding."""
    model.save(tmp_path / "half", half=True)
    for name, tensor in load(tmp_path / "half").state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].half().float())


def test_weights_that_half_precision_cannot_hold_are_refused(model, tmp_path):
    """Rather than stored as infinite ones."""
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = 1e5
    with pytest.raises(FolderError, match="has values that half precision cannot hold"):
        model.save(tmp_path / "half", half=True)
    assert not (tmp_path / "half").exists()


def test_saving_again_replaces(model, saved):
    """An older model folder is replaced whole; nothing is left beside it."""
    model.save(saved, card="# new\n")
    assert (saved / "README.md").read_text() == "# new\n"
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    load(saved)


def test_saving_never_replaces_something_else(model, tmp_path):
    """A folder of other things, or a file, stays as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderError, match="not a framecast folder"):
        model.save(tmp_path / "mine")
    with pytest.raises(FolderError, match="not a framecast folder"):
        model.save(tmp_path / "mine" / "thesis.txt")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_failing_to_save_keeps_the_old(model, saved, monkeypatch):
    """When the new folder cannot be moved in, the old one is where it was."""
    before, rename = of_file(saved / folder.WEIGHTS), Path.rename

    def fail(self, target):
        if Path(target) == saved and self.name.startswith(".saved.") and ".old." not in str(self):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(FolderError, match="No space left"):
        model.save(saved)
    monkeypatch.undo()
    assert of_file(saved / folder.WEIGHTS) == before
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


@pytest.mark.parametrize("name", [folder.CONFIG, folder.WEIGHTS])
@pytest.mark.parametrize("place", [0, 0.5, 0.999])
def test_flipped_byte(saved, name, place):
    """One changed byte anywhere is noticed."""
    data = bytearray((saved / name).read_bytes())
    data[int(place * len(data))] ^= 1
    (saved / name).write_bytes(data)
    assert name in refusal(saved)
    assert "SHA-256" in refusal(saved)


def test_other_format_version(saved):
    """A document of another version than the manifest's is not guessed at."""
    rewrite(saved / folder.CONFIG, lambda d: d.update(format_version=0))
    assert "format version 0" in refusal(saved)


@pytest.mark.parametrize("name", [folder.CONFIG, folder.WEIGHTS, folder.MANIFEST])
def test_truncated_or_missing_file(saved, name):
    """A file cut short, or gone."""
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: len(data) // 2])
    assert name in refusal(saved)
    (saved / name).unlink()
    assert name in refusal(saved)


def test_unknown_fields(saved):
    """In the document and in the model's configuration."""
    rewrite(saved / folder.CONFIG, lambda d: d["config"].update(hiden=[3]))
    assert "unknown field 'hiden'; did you mean 'hidden'?" in refusal(saved)
    rewrite(saved / folder.CONFIG, lambda d: d.update(config=[], extra=1))
    assert "unexpected field" in refusal(saved)


@pytest.mark.parametrize("type_name", ["os:system", "convlstm2", "../x", ""])
def test_only_registered_types(saved, type_name):
    """A type is a registered name; nothing else is imported or run."""
    rewrite(saved / folder.CONFIG, lambda d: d.update(type=type_name))
    assert "there is no model " in refusal(saved) or "type" in refusal(saved)


def test_wrong_shape_missing_and_unknown_tensors(model, saved):
    """The first tensor that does not fit is named."""
    rewrite(saved / folder.CONFIG, lambda d: d["config"].update(hidden=[4]))
    assert "has the shape" in refusal(saved)
    rewrite(saved / folder.CONFIG, lambda d: d["config"].update(hidden=[3], bias=True))
    assert "lack network.units.0.from_hidden.bias" in refusal(saved)
    rewrite(saved / folder.CONFIG, lambda d: d["config"].update(bias=False))
    load(saved)
    tensors = {**model.state_dict(), "more": torch.zeros(1)}
    folder.write_model(saved, "convlstm", json.loads(config(saved))["config"], tensors, {}, "")
    assert "hold more" in refusal(saved)


def config(saved: Path) -> str:
    """Text of config.json."""
    return (saved / folder.CONFIG).read_text()


class Evil:
    """Leaves a mark when unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("mark",))


def test_pickle_in_disguise(saved, tmp_path, monkeypatch):
    """A pickle under the weights' name is refused and not run."""
    monkeypatch.chdir(tmp_path)
    (saved / folder.WEIGHTS).write_bytes(pickle.dumps(Evil()))
    vouch(saved / folder.WEIGHTS)
    assert "not a readable safetensors file" in refusal(saved)
    assert not Path("mark").exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", "a\\b", ""])
def test_paths_that_leave_the_folder(saved, name):
    """The manifest names plain files beside it."""
    manifest = saved / folder.MANIFEST
    document = json.loads(manifest.read_text())
    document["files"][name] = {"bytes": 1, "sha256": ""}
    manifest.write_text(json.dumps(document))
    assert "leaves the folder" in refusal(saved)


def test_links_are_refused(saved, tmp_path):
    """A link could lead anywhere."""
    (saved / folder.WEIGHTS).rename(tmp_path / "elsewhere")
    (saved / folder.WEIGHTS).symlink_to(tmp_path / "elsewhere")
    assert "no plain file" in refusal(saved)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"files": 3}', "[" * 100_000, '{"format_version": 99}']
)
def test_broken_manifests(saved, text):
    """Whatever stands in the manifest, the answer is one line."""
    (saved / folder.MANIFEST).write_text(text)
    refusal(saved)


def test_weights_not_covered_by_the_manifest(saved):
    """What the manifest does not vouch for is not read."""
    manifest = saved / folder.MANIFEST
    document = json.loads(manifest.read_text())
    del document["files"][folder.WEIGHTS]
    manifest.write_text(json.dumps(document))
    assert "model.safetensors" in refusal(saved)


def test_the_card_may_be_edited(saved):
    """People write into README.md."""
    (saved / folder.CARD).write_text("my notes")
    load(saved)


def test_names(tmp_path):
    """A missing folder, a folder of something else, and a name close to a shipped one."""
    assert "there is no model" in refusal(tmp_path / "none")
    assert "is no model folder" in refusal(tmp_path)
    (tmp_path / "film.mp4").touch()
    assert "film.mp4 is a file, no model" in refusal(tmp_path / "film.mp4")
    for name in framecast.registry.shipped():
        assert name in refusal(Path("convlstm"))


def test_a_run_stands_for_its_model(saved, tmp_path):
    """The folder of a training run gives the model in it."""
    run = tmp_path / "run"
    run.mkdir()
    shutil.move(saved, run / "model")
    assert load(run).config.type == "convlstm"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("format-*")), ids=lambda path: path.name)
def test_golden_folders_load_for_ever(path):
    """Every format version that was ever written can be read, with the same prediction."""
    model = load(path)
    context = torch.linspace(0, 1, 3 * 6 * 6).reshape(1, 3, 1, 6, 6)
    expected = folder.read_tensors(path / "expected.safetensors")["frames"]
    torch.testing.assert_close(model.predict(context, 2).frames, expected)


def test_there_is_a_golden_folder_of_this_version():
    """A new format version comes with its folder."""
    assert (GOLDEN / f"format-{folder.FORMAT_VERSION}").is_dir()


def test_public_names():
    """All that `framecast` promises can be had, and a wrong name is an AttributeError."""
    for name in framecast.__all__:
        assert getattr(framecast, name) is not None
    assert "load" in dir(framecast)
    with pytest.raises(AttributeError, match="laod"):
        framecast.laod  # noqa: B018
