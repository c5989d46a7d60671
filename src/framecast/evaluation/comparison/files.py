"""Pages on the disk: nothing that this did not make is ever replaced."""

from pathlib import Path

from framecast import atomic
from framecast.errors import FolderError
from framecast.evaluation.comparison.markup import GENERATOR


def check(*paths: Path) -> None:
    """See that pages may be written to places, where only other pages may stand.

    Raises:
        FolderError: if something else is there.
    """
    for path in paths:
        if path.is_dir():
            raise FolderError(f"{path} is a folder; give --out NAME.html")
        if path.exists() and GENERATOR not in _beginning(path):
            raise FolderError(f"{path} is there and no comparison; give another --out")


def write(path: Path, text: str) -> None:
    """Write a page: it is there whole, or what stood there is.

    Raises:
        FolderError: if it cannot be written.
    """
    check(path)
    try:
        atomic.write_text(path, text)
    except OSError as error:
        reason = error.strerror or error
        raise FolderError(f"{path} cannot be written ({reason}); give another --out") from None


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1000).decode("utf-8", "replace")
