"""The protocols of Kinetics-600, run on a few small videos at their real sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from framecast.evaluation.metrics.sets import SETS
from framecast.evaluation.protocol import Protocol, find, settled
from framecast.evaluation.runner import evaluate
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.video import Writer

NAMES = ("kinetics-600/4-12", "kinetics-600/fvd-64")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("kinetics")
    for number in range(2):
        path = made / "test" / "yoga" / f"video_{number:05d}_000001_000011.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Writer(path, 10) as writer:
            for t in range(16):
                picture = torch.zeros(3, 64, 80)
                picture[:, :, 4 * t : 4 * t + 12] = 0.5 + 0.4 * number
                writer.append(picture)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_they_are_as_published(name: str) -> None:
    protocol = find(name)
    assert protocol.lengths() == (4, 12)
    assert (protocol.sequences, protocol.samples, protocol.split) == (39_000, 1, "test")
    assert (protocol.size, protocol.channels) == ((256, 256), 3)
    assert protocol.resize == ((64, 64) if "64" in name else None)
    folds = {metric.key: metric.folds for metric in SETS[protocol.metrics].distances}
    assert folds == {"fvd": 1, "fvd-2-fold": 2, "fvd-star-2-fold": 2}


@pytest.mark.parametrize("name", NAMES)
def test_they_run(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)
    model = CopyLast(CopyLastConfig())
    result = evaluate(model, find(name), root=root)
    assert result.name == name
    assert result.data.sequences == 2
    assert len(result.rows[0].curves["psnr"]) == 12
    assert set(result.omitted) == {"fvd", "fvd-2-fold", "fvd-star-2-fold"}


def test_scaling_down_changes_the_scores_and_the_hash(root: Path) -> None:
    model = CopyLast(CopyLastConfig())
    large, small = (evaluate(model, find(name), root=root) for name in NAMES)
    assert large.protocol_hash != small.protocol_hash
    assert large.rows[0].values["psnr"] != small.rows[0].values["psnr"]


def test_a_model_of_64_pixels_is_measured_under_a_modified_name(root: Path) -> None:
    protocol: Protocol = find(NAMES[0])
    data = replace(protocol.data, size=64)  # pyright: ignore[reportCallIssue]
    own = settled(replace(protocol, data=data, size=(64, 64)))
    assert own.name == "kinetics-600/4-12 (modified)"
    result = evaluate(CopyLast(CopyLastConfig()), own, root=root)
    assert result.data.sequences == 2
