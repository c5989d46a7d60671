"""What a V3D-ConvLSTM takes over from a network that was trained on other videos."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import framecast
from contract.dummy import Dots
from framecast import digest
from framecast.errors import FramecastError
from framecast.experiment import Experiment
from framecast.layers.resnet3d import ResNet3d
from framecast.models.v3d_convlstm.model import V3DConvLSTMConfig
from framecast.models.v3d_convlstm.stages import TrainingConfig
from framecast.stage import OptimizerConfig
from framecast.training import RunOptions, train

WIDTH = 3
CONFIG = V3DConvLSTMConfig(window=2, width=WIDTH, hidden=4, latent=2, trunk=3)
THEIRS = {"mean": "running_mean", "variance": "running_var"}


@pytest.fixture
def source() -> ResNet3d:
    """The other network."""
    torch.manual_seed(5)
    return ResNet3d(width=WIDTH)


@pytest.fixture
def file(source: ResNet3d, tmp_path: Path) -> Path:
    """Its weights by torchvision's names."""
    path, state = tmp_path / "other.safetensors", dict[str, Tensor]()
    for name, tensor in source.state_dict().items():
        layer, _, last = name.rpartition(".")
        state[f"{layer}.{THEIRS.get(last, last)}"] = tensor
    save_file(state, path)
    return path


@pytest.mark.parametrize("separate", [False, True])
def test_encoder_and_decoder_begin_with_the_file(
    source: ResNet3d, file: Path, separate: bool
) -> None:
    """All encoders have all of it, the decoder what fits, and the rest stays as it was drawn."""
    torch.manual_seed(1)
    model = replace(CONFIG, posterior_encoder="separate" if separate else "shared").build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    begun = TrainingConfig(pretrained=file).build(model, 3).begin()
    encoders = ["encoder", "posterior_encoder"][: 1 + separate]
    assert list(begun) == [*encoders, "decoder"]
    taken = {f"{part}.{k}": v for part in encoders for k, v in source.state_dict().items()}
    copied, new = (text.split(" in ")[1].split(", ") for text in begun["decoder"].split("; "))
    turned = {f"decoder.{name}" for name in copied}
    assert len(turned) == 8
    for name, tensor in model.state_dict().items():
        if name in taken:
            assert torch.equal(tensor, taken[name]), name
        else:
            assert torch.equal(tensor, before[name]) == (name not in turned), name
    kernel = source.layer1[1].conv1[0].weight
    mirrored = kernel.transpose(0, 1).flip((2, 3, 4))
    assert torch.equal(model.decoder.wide[0].conv2.weight, mirrored)
    assert {f"decoder.{name}" for name in [*copied, *new]} == {
        name for name in model.state_dict() if name.startswith("decoder.")
    }
    for part in encoders:
        assert begun[part] == f"all tensors of {file} (SHA-256 {digest.of_file(file)})"


def test_a_run_records_it(source: ResNet3d, file: Path, tmp_path: Path) -> None:
    """A stage that learns nothing hands on what it began with, and says where that is from."""
    stage = TrainingConfig(
        steps=1, batch=2, pretrained=file, optimizer=OptimizerConfig(learning_rate=0.0)
    )
    experiment = Experiment(CONFIG, Dots(), context=3, horizon=2, stages={"main": stage})
    options = RunOptions(accelerator="cpu", workers=0, progress=False)
    train(experiment, tmp_path / "run", options=options)
    model = framecast.load(tmp_path / "run")
    assert torch.equal(model.encoder.stem[0].weight, source.stem[0].weight)
    assert f"all tensors of {file}" in model.about["stages"][0]["begun"]["encoder"]
    assert "deep.1.conv1.weight" in (tmp_path / "run/model/README.md").read_text()


def test_without_a_file_nothing_is_taken_over() -> None:
    """New weights, and nothing to record."""
    model = CONFIG.build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert TrainingConfig().build(model, 3).begin() == {}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_file_that_does_not_fit_is_refused(file: Path) -> None:
    """Before anything is copied."""
    model = replace(CONFIG, width=WIDTH + 1).build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(FramecastError, match="where this network has"):
        TrainingConfig(pretrained=file).build(model, 3).begin()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
