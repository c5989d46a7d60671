"""Command lines run in the test's process, in a folder of its own, on clips that tests write."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framecast import registry
from framecast.cli.main import main
from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

Folder = Callable[..., Path]


@dataclass(frozen=True)
class Ran:
    """What a command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one document and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run `framecast …` in a new folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def picture(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    """A colour image whose bar tells its number."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 250, width)[None]
    image[..., 2] = np.linspace(0, 120, height)[:, None]
    image[:, number % width, 1] = 255
    return image


@pytest.fixture
def frame_folder(tmp_path: Path) -> Folder:
    """Write a folder of PNG images, which is a video without losses."""

    def write(name: str = "clip", count: int = 12, height: int = 24, width: int = 32) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(number, height, width)).save(folder / f"{number}.png")
        return folder

    return write


@pytest.fixture
def model_folder(tmp_path: Path) -> Folder:
    """Write a model folder of a tiny ConvLSTM."""

    def write(name: str = "model", channels: int = 1, **about: Any) -> Path:
        model = ConvLSTM(ConvLSTMConfig(channels=channels, hidden=(2,), kernel=3))
        model.about = about
        model.save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> str:
    """A registered model without weights that draws samples and has an option and a fixed size."""
    monkeypatch.setitem(registry.MODELS, "noisy", "noisy_model:Noisy")
    return "noisy"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data."""
    folder = os.environ.get("FRAMECAST_DATA")
    if not folder:
        pytest.skip("FRAMECAST_DATA names no folder of real data")
    return Path(folder)


def images(folder: Path) -> np.ndarray:
    """The images of a folder in order, `t h w 3`."""
    paths = sorted(folder.glob("*.png"), key=lambda path: int(path.stem))
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
