"""What an evaluation is to do, checked before anything is predicted."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import torch

import framecast
from framecast.clip import Clip, Source, collate
from framecast.config import to_json
from framecast.data.order import Sequential
from framecast.data.windows import Windows
from framecast.errors import ConfigError, DataError, FramecastError
from framecast.evaluation.columns import Columns, metric_set
from framecast.evaluation.distances import Distances, scaled
from framecast.evaluation.likelihood import check_likelihood
from framecast.evaluation.metrics import VideoFeatures
from framecast.evaluation.protocol import Protocol, settled, trained_data
from framecast.evaluation.reconstruction import check_codec
from framecast.evaluation.result import (
    FORMAT_VERSION,
    DataInfo,
    ModelInfo,
    Result,
    RunInfo,
)
from framecast.model import Model, Options
from framecast.video import Size

OVERLAP = "sequences overlap, but intervals take them as independent and so are too narrow"
MOST_VALUES = 2**28
"""Pixels times channels of the clips of a batch, if it has several: 1 GiB of frames."""
SOURCE_SEED = 0
"""Seed of the data: a protocol's sequences are the same in every evaluation."""


@dataclass(frozen=True)
class Batch:
    """Some sequences of one size."""

    sequences: tuple[int, ...]  # numbers in the dataset
    context: Clip  # what the model is given, corrupted where the protocol says so
    truth: Clip  # clean frames to score against: those that follow, or of a reconstruction the same

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(self.sequences, self.context.to(device), self.truth.to(device))

    def scaled(self, size: Size | None) -> "Batch":
        """The same batch with frames of the size at which they are scored."""
        if size is None:
            return self
        return Batch(self.sequences, _scaled(self.context, size), _scaled(self.truth, size))


def _scaled(clip: Clip, size: Size) -> Clip:
    """A clip of another size; what is made of a pixel that is missing is missing as well."""
    missing = clip.missing
    if missing is not None:
        missing = scaled(missing.to(clip.frames.dtype), size) > 0
    return replace(clip, frames=scaled(clip.frames, size), missing=missing)


@dataclass(frozen=True)
class Task:
    """A model, a protocol and everything that they need."""

    model: Model
    protocol: Protocol
    columns: Columns
    distances: Distances
    """What compares all predicted clips with all true ones."""
    source: Source
    available: int
    """Sequences that the protocol has."""
    limit: int | None
    batch: int
    """Futures (sequence × sample) predicted at a time."""
    seed: int
    options: Options
    likelihood: bool
    """Whether the true futures' codes get a likelihood."""

    @classmethod
    def of(
        cls,
        model: Model,
        protocol: Protocol,
        *,
        root: Path | None,
        limit: int | None,
        batch: int,
        seed: int,
        weights: Path | None,
        options: Options | None,
        features: VideoFeatures | None = None,
        likelihood: bool = False,
    ) -> "Task":
        """Find the data and see that everything fits.

        Raises:
            FramecastError: if the model does not take the protocol's frames, or the data is
                missing or not as the protocol says.
        """
        if limit is not None and limit < 1:
            raise ConfigError(f"a limit of {limit} sequences leaves nothing; use 1 or more")
        if batch < 1:
            raise ConfigError(f"a batch of {batch} futures is none; use 1 or more")
        if root is not None:
            protocol = replace(protocol, data=replace(protocol.data, root=root))
        metrics = metric_set(protocol.metrics)
        if features is not None:
            metrics = metrics.with_features(features.name)
            protocol = replace(protocol, metrics=metrics.name)
        protocol = settled(protocol)
        source = protocol.data.source(protocol.split, sum(protocol.lengths()), SOURCE_SEED)
        available = min(len(source), protocol.sequences or len(source))
        columns = Columns.of(protocol, weights, metrics)
        distances = Distances.of(
            metrics,
            protocol,
            model,
            min(available, limit or available),
            weights=weights,
            features=features,
        )
        task = cls(
            model,
            protocol,
            columns,
            distances,
            source,
            available,
            limit,
            batch,
            seed,
            options or model.options_type(),
            likelihood,
        )
        task._check_frames()
        return task

    @property
    def used(self) -> int:
        """Sequences that are predicted."""
        return min(self.available, self.limit or self.available)

    @property
    def several(self) -> bool:
        """Whether there are several samples."""
        return (self.protocol.samples or 1) > 1

    def batches(self) -> Iterator[Batch]:
        """The sequences in order, those of one size together."""
        corrupt = self.protocol.corruption
        most = MOST_VALUES // self.source[(0, 0)].frames.numel()
        size = max(1, min(self.batch // (self.protocol.samples or 1), most))
        for keys in Sequential(len(self.source), size, self.used):
            for same in _by_shape(keys, _items(self.source, keys)):
                clip = collate([item for _, item in same])
                self._check_values(clip, same[0][0][1])
                numbers = tuple(index for (_, index), _ in same)
                given, truth = self._parts(clip)
                yield Batch(numbers, given if corrupt is None else corrupt(given, numbers), truth)

    def draft(self, device: torch.device | str, command: str | None) -> Result:
        """The result, all but the figures."""
        protocol = self.protocol
        config = to_json(self.model.config)
        kind = config.pop("type")
        return Result(
            format_version=FORMAT_VERSION,
            protocol=protocol.definition(),
            protocol_hash=self.columns.protocol_hash(protocol),
            notes=list(protocol.notes),
            model=ModelInfo(
                kind,
                self.model.fingerprint(),
                self.model.parameter_count(),
                config,
                self.model.about,
                to_json(self.options),
            ),
            data=DataInfo(self.source.fingerprint(), self.available, self.used, self._data_notes()),
            run=RunInfo(self.seed, self.limit, str(device), 0.0, 0.0, versions(), command),
            metrics=self.columns.infos(self.several) | self.distances.infos(),
            omitted=self.columns.omitted | self.distances.omitted,
            rows=[],
        )

    def _data_notes(self) -> list[str]:
        """What the source says about itself, and what weakens conclusions from it."""
        notes = list(self.source.notes())
        windows = getattr(self.source, "windows", None)
        if isinstance(windows, Windows) and windows.overlap:
            notes.append(OVERLAP)
        now, trained = to_json(self.protocol.data), trained_data(self.model.about)
        for key in ("split", "splits", "persons"):
            ours, theirs = now.get(key), trained.get(key)
            if now.get("type") == trained.get("type") and ours != theirs:
                notes.append(
                    f"the data's {key} is {ours}, the model was trained with {theirs}: it may have "
                    "been trained on some of these sequences"
                )
        return notes

    def _parts(self, clip: Clip) -> tuple[Clip, Clip]:
        """What the model is given of clips, and what its frames are compared with."""
        if self.protocol.task == "reconstruct":
            return clip, clip
        return clip.split(self.protocol.lengths()[0])

    def _check_frames(self) -> None:
        """Let the model look at the first clip, and compare it with the protocol."""
        protocol = self.protocol
        clip = self.source[(0, 0)]
        _, channels, height, width = clip.frames.shape
        for what, said, found in (
            ("channels", protocol.channels, channels),
            ("(height, width)", protocol.size, (height, width)),
        ):
            if said not in (None, found):
                raise DataError(f"{protocol.name} has {what} {said}, but the data has {found}")
        given, future = self._parts(collate([clip]))
        if self.likelihood and protocol.task == "reconstruct":
            raise ConfigError("--likelihood is of futures; a reconstruction has none")
        try:
            if protocol.task == "reconstruct":
                check_codec(self.model, given, protocol.levels, self.options)
            else:
                _, horizon = protocol.lengths()
                self.model.stream(
                    given, horizon, samples=protocol.samples, seed=self.seed, options=self.options
                )
                if self.likelihood:
                    check_likelihood(self.model, given, future)
        except FramecastError as error:
            raise ConfigError(
                f"{protocol.name} gives {given.length} frames of {height}x{width} with {channels} "
                f"channel{'s' if channels > 1 else ''}: {error}"
            ) from None

    def _check_values(self, clip: Clip, index: int) -> None:
        low, high = self.protocol.value_range
        least, most = clip.frames.min().item(), clip.frames.max().item()
        if not (low <= least and most <= high):
            raise DataError(
                f"{self.protocol.name} has values from {low:g} to {high:g}, but from sequence "
                f"{self.source.name(index)} on the data has {least:g} to {most:g}"
            )


def versions() -> dict[str, str]:
    """Versions of what the figures may depend on."""
    known = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "av", "pillow")}
    return {"framecast": framecast.__version__, "python": platform.python_version(), **known}


def _items(source: Source, keys: list[tuple[int, int]]) -> Sequence[Clip]:
    many = getattr(source, "__getitems__", None)
    return [source[key] for key in keys] if many is None else list(many(keys))


def _by_shape(
    keys: list[tuple[int, int]], clips: Sequence[Clip]
) -> Iterator[list[tuple[tuple[int, int], Clip]]]:
    pairs = zip(keys, clips, strict=True)
    for _, same in groupby(pairs, key=lambda pair: pair[1].frames.shape):
        yield list(same)
