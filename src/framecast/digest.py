"""SHA-256 sums, as hex: of files, texts and JSON."""

import hashlib
import json
from io import BufferedReader
from pathlib import Path
from typing import Any


def of_file(file: Path | BufferedReader) -> str:
    """Sum of a file's content; of one that is open, from where it stands."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return of_file(opened)
    return hashlib.file_digest(file, "sha256").hexdigest()


def of_text(text: str) -> str:
    """Sum of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_json(document: Any) -> str:
    """Sum of plain JSON; the order of keys plays no part."""
    return of_text(json.dumps(document, sort_keys=True, allow_nan=False))
