"""Clips, where they come from, and how they are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framecast import registry
from framecast.config import Config
from framecast.errors import DataError

Split = Literal["train", "validation", "test"]
Key = tuple[int, int]
"""(epoch, index): which clip of a source, in which pass over it."""


@dataclass(frozen=True)
class Clip:
    """Frames in a row, alone (`t c h w`) or in a batch (`b t c h w`), in [0, 1]."""

    frames: Float[Tensor, "*b t c h w"]
    actions: Float[Tensor, "*b t a"] | None = None
    """What the agent did at each frame, where the data has it."""
    seconds: Float[Tensor, "*b t"] | None = None
    """Time of each frame since the first one, where the data has it."""
    missing: Bool[Tensor, "*b t c h w"] | None = None
    """Pixels where nothing was measured, if the data tells; scores of events leave them out."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.frames.shape[-4]

    def to(self, device: torch.device | str, **kwargs: Any) -> "Clip":
        """The same clip on another device; keyword arguments go to `Tensor.to`."""
        return self._each(lambda tensor, _: tensor.to(device, **kwargs))

    def pick(self, frames: slice) -> "Clip":
        """The frames of a slice of time."""

        def cut(tensor: Tensor, axes_after_time: int) -> Tensor:
            axis = tensor.ndim - 1 - axes_after_time
            return tensor[(slice(None),) * axis + (frames,)]

        return self._each(cut)

    def split(self, context: int) -> tuple["Clip", "Clip"]:
        """The first `context` frames, and the rest."""
        return self.pick(slice(None, context)), self.pick(slice(context, None))

    @staticmethod
    def collate(clips: Sequence["Clip"]) -> "Clip":
        """Stack clips of one size into a batch; `Clips` are one already, which is given as it is.

        Raises:
            DataError: if the clips differ in shape, or only some have actions, times or missing
                pixels.
        """
        if isinstance(clips, Clips):
            return clips.batch
        shapes = {tuple(clip.frames.shape) for clip in clips}
        if len(shapes) > 1:
            raise DataError(
                f"clips of different sizes cannot form a batch: {_shown(shapes)}; "
                "give the data one size (--data.size H W), or use batches of one"
            )
        return Clip(
            torch.stack([clip.frames for clip in clips]),
            _stack([clip.actions for clip in clips]),
            _stack([clip.seconds for clip in clips]),
            _stack([clip.missing for clip in clips]),
        )

    def _each(self, change: Any) -> "Clip":
        return replace(
            self,
            frames=change(self.frames, 3),
            actions=None if self.actions is None else change(self.actions, 1),
            seconds=None if self.seconds is None else change(self.seconds, 0),
            missing=None if self.missing is None else change(self.missing, 3),
        )


class Clips(Sequence[Clip]):
    """Clips that a source made together, as parts of one batch.

    Collating them copies nothing, so the clips and the batch share memory. A source that keeps the
    tensors for itself gives out a list of clips instead.
    """

    def __init__(self, batch: Clip) -> None:
        """Note the batch, `b t c h w`."""
        self.batch = batch

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.batch.frames)

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> "Clips": ...

    def __getitem__(self, index: int | slice) -> "Clip | Clips":
        """One clip, or the batch of some."""
        part = self.batch._each(lambda tensor, _: tensor[index])
        return Clips(part) if isinstance(index, slice) else part


def _shown(shapes: set[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in sorted(shapes))


def _stack(tensors: list[Tensor | None]) -> Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    if present and len(present) < len(tensors):
        raise DataError(
            "some clips of a batch have actions, times or missing pixels and others have none; "
            "keep the two kinds in datasets of their own"
        )
    return torch.stack(present) if present else None


class Source(ABC):
    """Items by key, clips as a rule; what a prior trains on may be token batches.

    `source[(epoch, index)]` is a pure function of the source's own configuration and the key. A
    source pickles, and opens no file in `__init__`, so that loader processes start cheaply. An item
    has `.to(device, **kwargs)` and a static `.collate(items)`. A source that makes many items
    faster than one by one also has `__getitems__(keys)`, which gives a sequence of them.
    """

    fixed: bool = True
    """Whether an index gives the same item in every epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of items in an epoch."""

    @abstractmethod
    def __getitem__(self, key: Key) -> Any:
        """The item of one key."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of all that determines the items: configuration, and content or files."""

    def name(self, index: int) -> str:
        """What reports call an item."""
        return f"{index:05d}"

    def notes(self) -> tuple[str, ...]:
        """What a reader of results should know: files skipped, counts that deviate."""
        return ()


def collate(items: Sequence[Any]) -> Any:
    """Batch items of one kind by their own rule: the `collate_fn` of every loader here."""
    return type(items[0]).collate(items)


@dataclass(frozen=True)
class DataConfig(Config):
    """A dataset as a configuration: what a preset names and a run stores."""

    root: Path | None = None
    """Folder that holds the dataset; None for what is made up on the fly."""

    def source(self, split: Split, frames: int, seed: int) -> Source:
        """The clips of one split, each of `frames` frames.

        Raises:
            DataError: if the dataset is missing or damaged: one line with the expected layout.
        """
        raise NotImplementedError

    @classmethod
    def resolve(cls, name: str) -> type["DataConfig"]:
        """The class of a dataset's registered name."""
        return registry.find("data", name)
