"""Codes of a fixed dataset: computed once, kept on disk, read from there afterwards."""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

import torch
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError, safe_open

from framecast import digest
from framecast.clip import Clip, Key, Source, collate
from framecast.config import to_json
from framecast.errors import DataError, FolderError
from framecast.folder import read_verified, verify, write_verified
from framecast.tokens import Codes

SHARD = 512
"""Clips in one file."""
_TENSORS, _FACTS, _LOCK = "codes.safetensors", "codes.json", ".lock"
_BATCH = 8


_elsewhere: ContextVar[Path | None] = ContextVar("elsewhere", default=None)


@contextmanager
def kept_for_now() -> Iterator[None]:
    """Keep codes in a folder of their own that goes with the block: for trials."""
    with TemporaryDirectory(prefix="framecast-") as folder:
        token = _elsewhere.set(Path(folder))
        try:
            yield
        finally:
            _elsewhere.reset(token)


def cache_folder() -> Path:
    """Where codes are kept: `FRAMECAST_CACHE`, or `framecast` in the user's cache folder."""
    if (folder := _elsewhere.get()) is not None:
        return folder
    given = os.environ.get("FRAMECAST_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else home / "framecast"


@runtime_checkable
class Coder(Protocol):
    """What makes codes of clips: a codec, or what has its own way of using one."""

    @property
    def device(self) -> torch.device:
        """Where it takes clips."""
        ...

    def encode(self, clip: Clip) -> Codes:
        """The codes of a batch of clips."""
        ...

    def fingerprint(self) -> str:
        """Digest of all that the codes depend on beside the clips."""
        ...


class CodedClips(Source):
    """The codes of another source's clips.

    An item is the `Codes` of one clip, as a batch of one. The folder's name is a digest of the
    clips and of the coder's weights, so that neither can change unnoticed.
    """

    fixed = True

    def __init__(self, clips: Source, coder: Coder, root: Path | None = None) -> None:
        """Encode what is not in the folder yet, shard by shard; an interruption keeps the others.

        Args:
            clips: A source whose items are the same in every epoch, all of one size.
            coder: Encodes them, where its weights are.
            root: Folder of all codes; `cache_folder()` if None.

        Raises:
            DataError: if the clips change with the epoch or in size, or the folder cannot be
                written.
        """
        if not clips.fixed:
            raise DataError("clips that change with the epoch have no codes to keep")
        self.count, self.clips = len(clips), clips
        self.key = digest.of_json([clips.fingerprint(), coder.fingerprint(), self.count])
        self.folder = (root or cache_folder()) / "codes" / self.key
        try:
            missing = [shard for shard in self._shards() if not self._whole(shard)]
            for shard in _shown(missing):
                with self._alone():
                    if not self._whole(shard):  # nor has another process encoded it since
                        self._encode(shard, coder)
            _, facts = read_verified(self._shard(0), (), (_FACTS,))
        except (OSError, FolderError) as error:
            raise DataError(
                f"cannot keep codes in {self.folder} ({error}); set FRAMECAST_CACHE to another "
                "folder"
            ) from None
        self.values = tuple(facts[_FACTS]["values"])
        self.frame = tuple(facts[_FACTS]["frame"])
        self.length = facts[_FACTS]["length"]

    def __len__(self) -> int:
        """Number of clips."""
        return self.count

    def __getitem__(self, key: Key) -> Codes:
        """The codes of one clip; the epoch plays no part."""
        shard, row = divmod(key[1], SHARD)
        try:
            with safe_open(self._shard(shard) / _TENSORS, "pt") as file:
                slices = [file.get_slice(str(level)) for level in range(len(self.values))]
                levels = tuple(level[row : row + 1].long() for level in slices)
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"codes in {self.folder} cannot be read any more ({error}); go on with the run, "
                "and they are computed again"
            ) from None
        return Codes(levels, self.values, self.frame, self.length)

    def fingerprint(self) -> str:
        """Digest of the clips' fingerprint and of the coder's weights."""
        return self.key

    def name(self, index: int) -> str:
        """What the clips' source calls it."""
        return self.clips.name(index)

    def notes(self) -> tuple[str, ...]:
        """The notes of the clips' source."""
        return self.clips.notes()

    def _shards(self) -> range:
        return range(-(-self.count // SHARD))

    def _shard(self, number: int) -> Path:
        return self.folder / f"{number:05d}"

    def _whole(self, shard: int) -> bool:
        folder = self._shard(shard)
        if not folder.exists():
            return False
        try:
            verify(folder)
        except FolderError:
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other processes that encode the same clips; a killed one lets go."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield

    def _encode(self, shard: int, coder: Coder) -> None:
        """Write one shard, each level in the smallest integers that hold it."""
        first = shard * SHARD
        indices = range(first, min(first + SHARD, self.count))
        parts = [indices[at : at + _BATCH] for at in range(0, len(indices), _BATCH)]
        batches = [self._codes(part, coder) for part in parts]
        codes = Codes.collate(batches).to("cpu")
        tensors = {
            str(number): level.to(_smallest(values))
            for number, (level, values) in enumerate(zip(codes.levels, codes.values, strict=True))
        }
        facts = {"values": codes.values, "frame": codes.frame, "length": codes.length}
        write_verified(self._shard(shard), {_TENSORS: tensors}, {_FACTS: to_json(facts)})

    def _codes(self, indices: Sequence[int], coder: Coder) -> Codes:
        clip: Clip = collate([self.clips[(0, index)] for index in indices])
        return coder.encode(clip.to(coder.device)).to("cpu")


def _smallest(values: int) -> torch.dtype:
    return torch.uint8 if values <= 2**8 else torch.int16 if values <= 2**15 else torch.int64


def _shown(shards: list[int]) -> Iterable[int]:
    """The shards, with a progress bar where somebody watches."""
    console = Console(stderr=True)
    return track(
        shards,
        "encoding clips",
        console=console,
        transient=True,
        disable=not (shards and console.is_terminal),
    )
