"""Pictures that a run leaves."""

from dataclasses import replace
from pathlib import Path

import torch
from dummy_runs import OPTIONS, chain, plain, traces
from PIL import Image

from contract.dummy import Dots, Dummy, DummyConfig
from framecast import pictures
from framecast.clip import Clip, Key, Source
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.training import train
from framecast.training.samples import picture

CPU = torch.device("cpu")


def test_pictures_are_made_at_intervals_and_change_nothing(tmp_path: Path) -> None:
    train(plain(steps=5, sample_every=2, ema=0.5), tmp_path / "shown", options=OPTIONS)
    found = sorted((tmp_path / "shown" / "samples" / "plain").iterdir())
    assert [path.name for path in found] == [f"{step:09d}.png" for step in (2, 4, 5)]
    with Image.open(found[0]) as image:
        assert image.width > 50
    train(plain(steps=5, sample_every=0, ema=0.5), tmp_path / "not", options=OPTIONS)
    assert not (tmp_path / "not" / "samples").exists()
    assert traces(tmp_path / "shown") == traces(tmp_path / "not")


def test_rows_are_truth_prediction_and_last_frame() -> None:
    torch.manual_seed(0)
    model, source = Dummy(DummyConfig()), Dots().source("validation", 5, 0)
    rows = {}
    for index in range(2):
        frames = source[0, index].frames
        rows[f"{index + 1}: truth"] = frames[3:]
        rows[f"{index + 1}: prediction"] = model.predict(frames[None, :3], 2).frames[0, 0]
        rows[f"{index + 1}: copy-last"] = frames[2:3].expand(2, -1, -1, -1)
    expected = pictures.strip(rows, first=3, title="it")
    assert picture(model, source, 3, 2, CPU, "it").tobytes() == expected.tobytes()


def test_frames_of_two_channels_are_shown_by_their_first() -> None:
    class Pairs(Source):
        def __init__(self, second: float) -> None:
            self.second = second

        def __len__(self) -> int:
            return 1

        def __getitem__(self, key: Key) -> Clip:
            first = torch.linspace(0, 1, 16).reshape(1, 1, 4, 4).expand(5, -1, -1, -1)
            return Clip(torch.cat([first, torch.full_like(first, self.second)], dim=1))

        def fingerprint(self) -> str:
            return ""

    model = CopyLast(CopyLastConfig())
    one, other = (picture(model, Pairs(each), 3, 2, CPU, "it") for each in (0.0, 1.0))
    assert one.tobytes() == other.tobytes()


def test_clips_of_other_sizes_are_left_out() -> None:
    """Videos of several sizes are trained on one at a time, and have no picture together."""

    class Sizes(Source):
        def __init__(self, *sizes: int) -> None:
            self.sizes = sizes

        def __len__(self) -> int:
            return len(self.sizes)

        def __getitem__(self, key: Key) -> Clip:
            size = self.sizes[key[1]]
            return Clip(torch.linspace(0, 1, size).expand(5, 1, size, -1))

        def fingerprint(self) -> str:
            return ""

    model = CopyLast(CopyLastConfig())
    mixed, alone = (picture(model, Sizes(*each), 3, 3, CPU, "it") for each in ((4, 6, 4), (4, 4)))
    assert mixed.tobytes() == alone.tobytes()


def test_later_stages_show_frames_though_they_train_on_codes(tmp_path: Path) -> None:
    each = chain()
    stages = {name: replace(stage, sample_every=5) for name, stage in each.stages.items()}
    train(replace(each, stages=stages), tmp_path, options=OPTIONS)
    assert (tmp_path / "samples" / "prior" / "000000005.png").is_file()
