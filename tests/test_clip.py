"""Clips and their batches."""

import pytest
import torch

from framecast.clip import Clip, Clips, collate
from framecast.errors import DataError


def clip(length=4, actions=False, seconds=False, missing=False, size=6) -> Clip:
    """A clip whose every entry is different."""
    frames = torch.arange(length * size * size).reshape(length, 1, size, size) / 1000
    return Clip(
        frames,
        torch.arange(length * 2.0).reshape(length, 2) if actions else None,
        torch.arange(length * 1.0) if seconds else None,
        frames * 1000 % 3 == 0 if missing else None,
    )


@pytest.mark.parametrize("batched", [False, True])
def test_split_cuts_time_of_all_parts(batched):
    """Context and future are slices of time, with or without a batch axis."""
    whole = clip(5, actions=True, seconds=True, missing=True)
    if batched:
        whole = Clip.collate([whole, whole])
    context, future = whole.split(2)
    assert (context.length, future.length) == (2, 3)
    assert torch.equal(torch.cat([context.frames, future.frames], -4), whole.frames)
    assert torch.equal(torch.cat([context.actions, future.actions], -2), whole.actions)
    assert torch.equal(torch.cat([context.seconds, future.seconds], -1), whole.seconds)
    assert torch.equal(torch.cat([context.missing, future.missing], -4), whole.missing)


def test_collate_stacks():
    """A batch holds its clips in order."""
    batch = collate([clip(), Clip(clip().frames + 1)])
    assert batch.frames.shape == (2, 4, 1, 6, 6)
    assert torch.equal(batch.frames[1], clip().frames + 1)
    assert batch.actions is None


def test_clips_made_together_are_collated_without_a_copy():
    """They are the clips of their batch, which is given as it is; some of them are some of it."""
    batch = collate([clip(actions=True, seconds=True, missing=True), clip(4, True, True, True)])
    clips = Clips(batch)
    assert len(clips) == len(list(clips)) == 2
    assert torch.equal(clips[1].frames, batch.frames[1])
    assert clips[1].frames.shape == clip().frames.shape
    assert collate(clips) is batch
    last = collate(clips[1:])
    assert torch.equal(last.actions, batch.actions[1:])
    assert last.frames.data_ptr() == batch.frames[1].data_ptr()
    copied = collate(list(clips))
    assert torch.equal(copied.missing, batch.missing)
    assert copied.frames.data_ptr() != batch.frames.data_ptr()
    with pytest.raises(IndexError):
        clips[2]


def test_collate_refuses_what_does_not_fit():
    """Different sizes, and actions in only some clips, are errors that say so."""
    with pytest.raises(DataError, match=r"different sizes.*4x1x6x6, 4x1x8x8; .*--data\.size H W"):
        Clip.collate([clip(size=6), clip(size=8)])
    with pytest.raises(DataError, match="actions"):
        Clip.collate([clip(), clip(actions=True)])


def test_to_moves_every_part():
    """`to` reaches frames, actions and times, and passes keyword arguments on."""
    moved = clip(actions=True, seconds=True, missing=True).to("meta", non_blocking=True)
    parts = (moved.frames, moved.actions, moved.seconds, moved.missing)
    assert {part.device.type for part in parts} == {"meta"}


def test_annotations_are_checked_in_tests():
    """The canary: if shapes stopped being checked, this would not raise."""
    with pytest.raises(Exception, match="frames"):
        Clip(torch.zeros(3, 4))
