"""Pictures say that they are ours, so that nothing else is ever taken for what may be replaced."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

KEY, NAME = "Software", "framecast"


def signature() -> PngInfo:
    """What a PNG file is saved with, `image.save(path, pnginfo=signature())`."""
    info = PngInfo()
    info.add_text(KEY, NAME)
    return info


def signed(path: Path) -> bool:
    """Whether a file is a PNG picture that was saved with the signature."""
    try:
        with Image.open(path) as image:
            return image.info.get(KEY) == NAME
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError):
        return False
