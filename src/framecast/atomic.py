"""Files and folders that are there whole or not at all.

They are written under a hidden name beside their place, brought to the disk, and renamed. Until
then whatever stood there stands, and a failure leaves nothing beside it.
"""

import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from framecast.errors import FramecastError

_TOKEN = 4  # bytes of a draft's own part of the name
_ANY = 2 * _TOKEN * "[0-9a-f]"


def named(target: Path) -> Path:
    """A path that a file or folder can be made at and renamed to.

    Raises:
        FramecastError: if it ends in no name, as `.` does.
    """
    if target.name in ("", ".."):
        raise FramecastError(f"{target} has no name to write under; give a path such as out")
    return target


class NewFile:
    """A file on its way to its place: `with NewFile(target) as draft`, write `draft`.

    The draft's name ends in the target's suffix, which tells many writers what to write. Parent
    folders are made, and where the target is a link, what it points to is replaced, not the link.
    Where a block cannot be had, `open`, `keep` and `discard` do its parts.

    Raises:
        FramecastError: if the target has no name.
        OSError: as the file system has it; the target is then as it was.
    """

    def __init__(self, target: Path) -> None:
        """Choose a name; nothing is made before the block."""
        self.target = _behind(named(target))
        self.draft = self.target.with_name(f".{self.target.stem}.{_token()}{self.target.suffix}")

    def __enter__(self) -> Path:
        """Give the draft's name."""
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the draft in its place, or throw it away after an error."""
        try:
            if kind is None:
                self.keep()
        finally:
            self.discard()
        if isinstance(error, OSError) and _is_of(error, self.draft):
            raise self._named_after_target(error) from None

    def open(self) -> Path:
        """Make the parent folders, and give the draft's name."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        return self.draft

    def _named_after_target(self, error: OSError) -> OSError:
        """An error of the draft, whose name nobody knows, as one of the target."""
        return OSError(error.errno, error.strerror, str(self.target))

    def keep(self) -> None:
        """Put the finished draft in its place."""
        _permit([self.draft], NewFile(self.target).draft)
        _sync(self.draft)
        self.draft.replace(self.target)
        _sync(self.target.parent)

    def discard(self) -> None:
        """Remove the draft, if it is still there."""
        with suppress(OSError):
            self.draft.unlink()


class NewFolder(NewFile):
    """A folder on its way to its place, made empty; an older folder there is replaced."""

    def __init__(self, target: Path) -> None:
        """Choose a name; nothing is made before the block."""
        super().__init__(target)
        self.draft = self.target.with_name(f".{self.target.name}.{_token()}")

    def open(self) -> Path:
        """Make the draft, an empty folder."""
        super().open()
        try:
            self.draft.mkdir()
        except OSError as error:
            raise self._named_after_target(error) from None
        return self.draft

    def keep(self) -> None:
        """Put the finished draft in its place."""
        paths = list(self.draft.rglob("*"))
        _permit([path for path in paths if path.is_file()], self.draft / _token())
        for path in paths:
            _sync(path)
        _sync(self.draft)
        if self.target.exists():
            self._replace()
        else:
            self.draft.rename(self.target)
        _sync(self.target.parent)

    def discard(self) -> None:
        """Remove the draft, if it is still there."""
        shutil.rmtree(self.draft, ignore_errors=True)

    def _replace(self) -> None:
        """No folder can be renamed over another: the older one steps aside first."""
        old = self.target.with_name(f".{self.target.name}.old.{_token()}")
        self.target.rename(old)
        try:
            self.draft.rename(self.target)
        except BaseException:  # a signal, too
            old.rename(self.target)  # where this fails too, the older one stays under that name
            raise
        shutil.rmtree(old, ignore_errors=True)


def _behind(target: Path) -> Path:
    """What a link points to, there or not; any other path as it is."""
    return Path(os.path.realpath(target)) if target.is_symlink() else target


def _is_of(error: OSError, path: Path) -> bool:
    """Whether it is about a file or folder."""
    return error.filename is not None and Path(error.filename) == path


def _permit(files: Iterable[Path], probe: Path) -> None:
    """Give files the permissions of any new file: some writers make them for their owner alone."""
    try:
        probe.touch()
        mode = stat.S_IMODE(probe.stat().st_mode)
        for path in files:
            if stat.S_IMODE(path.stat().st_mode) != mode:
                path.chmod(mode)
    finally:
        probe.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a text file in one step, as UTF-8.

    Raises:
        OSError: as the file system has it; the target is then as it was.
    """
    with NewFile(target) as draft:
        draft.write_text(text, "utf-8")


def sweep(target: Path) -> None:
    """Remove what killed processes left of attempts to write a file or a folder."""
    stem, suffix, name = map(glob.escape, (target.stem, target.suffix, target.name))
    for pattern in (f".{stem}.{_ANY}{suffix}", f".{name}.{_ANY}", f".{name}.old.{_ANY}"):
        for draft in target.parent.glob(pattern):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def _token() -> str:
    return secrets.token_hex(_TOKEN)


def _sync(path: Path) -> None:
    """Make what was written to a file or folder outlast a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
