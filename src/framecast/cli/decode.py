"""`framecast decode`: a video from a file of tokens."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from framecast.cli import terminal
from framecast.cli.options import MODEL, OUT, parse
from framecast.errors import FramecastError
from framecast.wording import counted


@dataclass(frozen=True)
class Decode:
    """Turn a file of tokens, made by `framecast encode`, back into a video.

    The model has to be the one that encoded. The file is checked before anything is written.
    """

    file: Positional[Path]
    """The token file."""
    out: Annotated[Path, OUT]
    """An .mp4 or .gif file, or a folder for PNG images."""
    model: Annotated[str | None, MODEL] = None
    """The model that encoded, where it is not found by what the file calls it."""
    levels: int | None = None
    """Use the first levels of tokens alone; all if not given."""
    device: str = "cpu"
    """Where to compute, for example cuda."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True)
class Outcome:
    """What was decoded."""

    file: Path
    written: Path
    model: str
    frames: int
    fps: float
    size: tuple[int, int]
    channels: int
    levels: int
    """Levels of tokens that were used."""
    notes: tuple[str, ...]


def run(argv: Sequence[str]) -> int:
    """Decode one file."""
    options = parse(Decode, "decode", argv)
    outcome = decode(options)
    terminal.show(asdict(outcome), _lines(outcome), options.json)
    return 0


def decode(options: Decode) -> Outcome:
    """Write the video as it is decoded: memory does not grow with its length.

    Raises:
        FramecastError: if the file is not as it was written, the model not the one that wrote it,
            or no such number of levels in it.
    """
    from framecast.cli.coding import blocks_at_a_time, codec_of, decoded, refuse_overwriting
    from framecast.token_file import open_tokens
    from framecast.video import Writer

    refuse_overwriting(options.file, options.out)
    file = open_tokens(options.file)
    header = file.header
    most = len(header.values)
    if options.levels is not None and not 1 <= options.levels <= most:
        raise FramecastError(f"--levels is from 1 to {most}, got {options.levels}")
    writer = Writer(options.out, header.fps)
    codec = codec_of(file, options.model, options.device)
    channels, height, width = header.frame
    blocks = blocks_at_a_time(header.block, (height, width))
    with terminal.progress(options.file.name, header.frames) as advance, writer:
        for chunk in file.chunks(blocks):
            for frame in decoded(codec, chunk, options.levels):
                writer.append(frame)
            advance(writer.count, header.frames)
    return Outcome(
        file=options.file,
        written=writer.path,
        model=options.model or header.origin.name,
        frames=header.frames,
        fps=header.fps,
        size=(height, width),
        channels=channels,
        levels=options.levels or most,
        notes=tuple(writer.notes),
    )


def _lines(outcome: Outcome) -> list[str]:
    height, width = outcome.size
    return [
        f"{outcome.file}: {counted(outcome.frames, 'frame')} of {height}x{width} at "
        f"{outcome.fps:.4g} frames per second, from {counted(outcome.levels, 'level')} of tokens "
        f"of {outcome.model}",
        *[f"  {note}" for note in outcome.notes],
        f"  wrote {outcome.written}",
    ]
