"""Parts of clips: the same in all frames, anew in every epoch, the centre for measuring."""

import pickle
from dataclasses import dataclass, field

import pytest
import torch

from framecast.clip import Clip, Key, Source
from framecast.data.varied import VariedClips
from framecast.data.video_folder import VideoFolder
from framecast.errors import ConfigError, DataError
from framecast.video import Writer


@dataclass(frozen=True)
class Places(Source):
    """Pixels that say where they are: row, column and frame."""

    size: tuple[int, int] = (6, 9)
    fixed: bool = field(default=True, init=False)

    def __len__(self) -> int:
        return 40

    def __getitem__(self, key: Key) -> Clip:
        height, width = self.size
        row = torch.arange(height).view(1, 1, -1, 1).expand(3, 1, -1, width)
        column = torch.arange(width).view(1, 1, 1, -1).expand(3, 1, height, -1)
        return Clip(
            torch.cat([row, column], 1).float() / 100, missing=(row == 2).expand(3, 2, -1, -1)
        )

    def fingerprint(self) -> str:
        return "places"


def place(clip: Clip) -> tuple[int, int, bool]:
    """Top, left and whether mirrored; checks that the part is one rectangle in every frame."""
    rows, columns = (clip.frames * 100).round().long().unbind(1)
    top, mirrored = int(rows.min()), bool(columns[0, 0, 0] > columns[0, 0, -1])
    left, (height, width) = int(columns.min()), clip.frames.shape[-2:]
    across = torch.arange(left, left + width)
    assert torch.equal(rows, torch.arange(top, top + height).view(1, -1, 1).expand_as(rows))
    expected = across.flip(0) if mirrored else across
    assert torch.equal(columns, expected.expand_as(columns))
    assert torch.equal(clip.missing[:, 0], rows == 2)
    return top, left, mirrored


def test_training_parts_are_drawn_over_all_places_and_anew_in_every_epoch():
    source = VariedClips(Places(), (4, 5), True, seed=3)
    drawn = [place(source[(epoch, index)]) for epoch in range(3) for index in range(40)]
    assert not source.fixed
    assert drawn[:40] != drawn[40:80]
    assert {top for top, _, _ in drawn} == {0, 1, 2}
    assert {left for _, left, _ in drawn} == {0, 1, 2, 3, 4}
    assert 40 < sum(mirrored for _, _, mirrored in drawn) < 80


def test_parts_are_a_function_of_seed_and_key():
    source = VariedClips(Places(), (4, 5), True, seed=3)
    again = pickle.loads(pickle.dumps(source))
    other = VariedClips(Places(), (4, 5), True, seed=4)
    keys = [(epoch, index) for epoch in range(2) for index in range(10)]
    assert [place(source[k]) for k in keys] == [place(again[k]) for k in reversed(keys)][::-1]
    assert [place(source[k]) for k in keys] != [place(other[k]) for k in keys]


def test_without_a_seed_it_is_the_centre_as_it_is():
    source = VariedClips(Places(), (4, 5), True, seed=None)
    assert source.fixed
    assert {place(source[(e, i)]) for e in range(2) for i in range(20)} == {(1, 2, False)}


@pytest.mark.parametrize(("crop", "flip"), [((4, 5), False), (None, True)])
def test_cut_alone_and_mirrored_alone(crop, flip):
    clips = [VariedClips(Places(), crop, flip, seed=1)[(0, i)] for i in range(20)]
    assert {tuple(c.frames.shape[-2:]) for c in clips} == {crop or (6, 9)}
    assert len({place(c)[2] for c in clips}) == (2 if flip else 1)


def test_fingerprints_tell_how_clips_are_cut():
    made = [((4, 5), True, 1), ((4, 5), True, 2), ((4, 4), True, 1), ((4, 5), False, 1)]
    assert len({VariedClips(Places(), *each).fingerprint() for each in made}) == len(made)


def test_a_part_larger_than_the_frame():
    with pytest.raises(DataError, match=r"8x8 cannot be cut from frames of 6x9; set a smaller"):
        VariedClips(Places(), (8, 8), False, 0)[(0, 0)]
    with pytest.raises(ConfigError, match="cannot be cut"):
        VideoFolder(size=(32, 32), crop=(32, 33))
    with pytest.raises(ConfigError, match="crop is"):
        VideoFolder(crop=(0, 3))


def test_a_video_folder_cuts_training_clips_at_random_and_others_in_the_centre(tmp_path):
    torch.manual_seed(0)
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
        with Writer(tmp_path / split / "a.mp4", 10.0) as writer:
            for frame in torch.rand(8, 3, 16, 24):
                writer.append(frame)
    whole = VideoFolder(root=tmp_path, random_windows=False)
    config = VideoFolder(root=tmp_path, random_windows=False, crop=(8, 8), flip=True)
    train, test = config.source("train", 4, 0), config.source("test", 4, 0)
    assert not torch.equal(train[(0, 0)].frames, train[(1, 0)].frames)
    frames = whole.source("test", 4, 0)[(0, 0)].frames
    assert torch.equal(test[(0, 0)].frames, frames[..., 4:12, 8:16])
    assert test.name(0) == whole.source("test", 4, 0).name(0)
    assert test.windows == whole.source("test", 4, 0).windows
    unmirrored = VideoFolder(root=tmp_path, crop=(8, 8)).source("test", 4, 0)
    assert test.fingerprint() == unmirrored.fingerprint(), "what is measured is the same"
    assert train.fingerprint() != unmirrored.fingerprint()
