"""Pages on the disk: nothing that this did not make is ever replaced."""

from pathlib import Path

from framecast import atomic
from framecast.errors import FolderError
from framecast.evaluation.comparison.markup import GENERATOR


def check(*paths: Path, generator: str = GENERATOR) -> None:
    """See that pages may be written to places, where only pages of one kind may stand.

    Args:
        paths: The places.
        generator: What such pages say they were made by.

    Raises:
        FolderError: if something else is there.
    """
    for path in paths:
        if path.is_dir():
            raise FolderError(f"{path} is a folder; give --out NAME.html")
        if path.exists() and not _made_by(generator, path):
            raise FolderError(f"{path} is there and not made by {generator}; give another --out")


def write(path: Path, text: str, generator: str = GENERATOR) -> None:
    """Write a page: it is there whole, or what stood there is. Arguments are as of `check`.

    Raises:
        FolderError: if it cannot be written.
    """
    check(path, generator=generator)
    try:
        # names of files need be no UTF-8
        atomic.write_text(path, text.encode("utf-8", "replace").decode())
    except OSError as error:
        reason = error.strerror or error
        raise FolderError(f"{path} cannot be written ({reason}); give another --out") from None


def _made_by(generator: str, path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(1000).decode("utf-8", "replace")
    return f'"{generator}"' in beginning or f"<!-- {generator} -->" in beginning
