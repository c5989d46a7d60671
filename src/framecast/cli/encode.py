"""`framecast encode`: a video as a file of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional

from framecast import listing
from framecast.cli import terminal
from framecast.cli.options import MODEL, OUT, Size, Start, parse
from framecast.errors import FramecastError
from framecast.wording import counted

if TYPE_CHECKING:
    from torch import Tensor

    from framecast.cli.coding import Coded
    from framecast.cli.footage import Footage
    from framecast.codec import Codec
    from framecast.token_file import TokenFile

SSIM_LEAST = 11
"""Sides of the window, in pixels."""


@dataclass(frozen=True)
class Encode:
    """Turn a video into a file of tokens, which `framecast decode` turns back.

    Needs a model with codes. Says how many bits a frame takes, and how close the frames are that
    the tokens give back.
    """

    video: Positional[Path]
    """A video file, a GIF or a folder of images."""
    model: Annotated[str, MODEL]
    """A shipped model, a model folder or a training run; the file keeps what is written here."""
    out: Annotated[Path, OUT]
    """The token file."""
    start: Start = 0
    """The first frame: a number, or a time such as 12.5s."""
    frames: int | None = None
    """How many at most; all that follow if not given."""
    size: Size = "model"
    """What frames are resized to, aspect kept and centre cropped: the size that the model was
    trained with, their own, or height x width."""
    fps: float | None = None
    """Frames per second to read and play back at; the video's own if not given."""
    device: str = "cpu"
    """Where to compute, for example cuda."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True)
class Outcome:
    """What was encoded."""

    video: Path
    written: Path
    model: str
    frames: int
    fps: float
    size: tuple[int, int]
    channels: int
    tokens: int
    bits: int
    """Of all tokens."""
    bits_per_frame: float
    ratio: float
    """Bits of the same frames at 8 bits per pixel and channel, divided by `bits`."""
    header_bytes: int
    payload_bytes: int
    psnr: float
    """`pixel.psnr` of the decoded frames in dB, mean over frames."""
    ssim: float | None
    """`ssim.ssim_gaussian`, mean over frames; None where they are smaller than its window."""
    notes: tuple[str, ...]


def run(argv: Sequence[str]) -> int:
    """Encode one video."""
    options = parse(Encode, "encode", argv)
    listing.checked(options.model)
    if options.frames is not None and options.frames < 1:
        raise FramecastError(f"--frames is at least 1, got {options.frames}")
    from framecast.cli.coding import load_codec, refuse_overwriting

    refuse_overwriting(options.video, options.out)
    if options.out.is_dir():
        raise FramecastError(f"{options.out} is a folder; give --out the name of a file")
    outcome = encode(load_codec(options.model, options.device), options)
    terminal.show(asdict(outcome), _lines(outcome), options.json)
    return 0


def encode(codec: "Codec", options: Encode) -> Outcome:
    """Encode a video as it is read: memory does not grow with its length.

    Raises:
        FramecastError: if it cannot be read or does not fit the codec.
    """
    from framecast.cli.coding import coded, origin_of, step_of
    from framecast.cli.footage import Reading, faults, open_footage
    from framecast.token_file import write_tokens

    reading = Reading(options.start, 1, options.fps, options.size)
    quality = Quality()
    with (
        faults() as damage,
        terminal.progress(options.video.name) as advance,
    ):
        footage = open_footage(options.video, codec, reading)
        total = _expected(footage, options.frames)

        def chunks() -> Iterator[Any]:
            for part in coded(codec, _frames(footage, options.frames)):
                quality.add(part)
                advance(quality.frames, max(total, quality.frames))
                yield part.chunk

        origin = origin_of(options.model, codec)
        file = write_tokens(
            options.out, chunks(), origin=origin, fps=float(footage.fps), step=step_of(codec)
        )
    notes = [*footage.notes, *damage]
    if options.frames is not None and file.header.frames < options.frames:
        found = counted(file.header.frames, "frame")
        notes.append(f"the video has no more than {found} from there on")
    return _outcome(options, file, quality, notes)


class Quality:
    """Sums over frames of how close the decoded ones are."""

    def __init__(self) -> None:
        """Nothing is seen yet."""
        self.frames = 0
        self._psnr = 0.0
        self._ssim: float | None = 0.0

    def add(self, part: "Coded") -> None:
        """Compare the frames of a part with what their tokens give back."""
        from framecast.evaluation.metrics import pixel, ssim

        self.frames += len(part.frames)
        self._psnr += float(pixel.psnr(part.decoded, part.frames).sum())
        if self._ssim is None or min(part.frames.shape[-2:]) < SSIM_LEAST:
            self._ssim = None
        else:
            self._ssim += float(ssim.ssim_gaussian(part.decoded, part.frames).sum())

    @property
    def psnr(self) -> float:
        """Mean over frames, in dB."""
        return self._psnr / self.frames

    @property
    def ssim(self) -> float | None:
        """Mean over frames; None where they are too small."""
        return None if self._ssim is None else self._ssim / self.frames


def _frames(footage: "Footage", most: int | None) -> "Iterator[Tensor]":
    return islice(chain(footage.context.frames[0], footage.future), most)


def _expected(footage: "Footage", most: int | None) -> int:
    """How many frames there will be, as far as the video tells; 0 if it does not."""
    from framecast.video import probe

    info = probe(footage.path)
    scale = footage.fps / info.fps if info.fps else 1
    there = max(0, round((info.frames or 0) * scale) - footage.first)
    return min(there, most or there)


def _outcome(options: Encode, file: "TokenFile", quality: Quality, notes: list[str]) -> Outcome:
    header = file.header
    channels, height, width = header.frame
    return Outcome(
        video=options.video,
        written=file.path,
        model=options.model,
        frames=header.frames,
        fps=header.fps,
        size=(height, width),
        channels=channels,
        tokens=header.tokens,
        bits=header.bits,
        bits_per_frame=header.bits / header.frames,
        ratio=8 * channels * height * width * header.frames / header.bits,
        header_bytes=file.start,
        payload_bytes=header.payload,
        psnr=quality.psnr,
        ssim=quality.ssim,
        notes=tuple(notes),
    )


def _lines(outcome: Outcome) -> list[str]:
    height, width = outcome.size
    channels = counted(outcome.channels, "channel")
    similarity = "" if outcome.ssim is None else f", SSIM {outcome.ssim:.4f}"
    total = outcome.header_bytes + outcome.payload_bytes
    return [
        f"{outcome.video}: {counted(outcome.frames, 'frame')} of {height}x{width}, {channels}, "
        f"in {outcome.tokens:,} tokens",
        *[f"  {note}" for note in outcome.notes],
        f"  {outcome.bits_per_frame:,.10g} bits per frame, {outcome.ratio:.4g} times fewer than "
        "the same frames at 8 bits",
        f"  decoded: PSNR {outcome.psnr:.2f} dB{similarity}, means over "
        f"{counted(outcome.frames, 'frame')}",
        f"  wrote {outcome.written}: {total:,} bytes, {outcome.header_bytes:,} of header and "
        f"{outcome.payload_bytes:,} for {outcome.bits:,} bits of tokens",
    ]
