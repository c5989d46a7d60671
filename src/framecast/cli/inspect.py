"""`framecast inspect`: what a model makes of a video inside, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from framecast import listing
from framecast.cli import terminal
from framecast.cli.options import MODEL, OUT, Size, Start, parse, picture_path
from framecast.errors import FramecastError
from framecast.wording import counted

if TYPE_CHECKING:
    from framecast.cli.footage import Footage
    from framecast.codec import Codec
    from framecast.model import Model

DEFAULT_OUT = "out/{stem}-inside.png"


@dataclass(frozen=True)
class Inspect:
    """Show what a model makes of a video inside, as one picture.

    What there is to see is the model's own: of a model with codes, frames as they come back from
    more and more levels of them, and how often each code is used. The models of the five papers
    have something to show, their neighbours nothing.
    """

    model: Annotated[Positional[str], MODEL]
    """A shipped model (see `framecast models`), a model folder or a training run."""
    video: Positional[Path]
    """A video file, a GIF or a folder of images."""
    context: int | None = None
    """Frames that the model looks at; if not given, as many as it was trained to observe, or codes
    together where the video has so many."""
    start: Start = 0
    """Where they begin: a frame number, or a time such as 12.5s."""
    size: Size = "model"
    """What frames are resized to, aspect kept and centre cropped: the size that the model was
    trained with, their own, or height x width."""
    fps: float | None = None
    """Frames per second to read at; the video's own if not given."""
    out: Annotated[str, OUT] = DEFAULT_OUT
    """The picture, a .png file; {stem} becomes the video's name."""
    device: str = "cpu"
    """Where to compute, for example cuda."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Look inside, write the picture and say where it is."""
    options = parse(Inspect, "inspect", argv)
    if options.context is not None and options.context < 1:
        raise FramecastError(f"--context is at least 1, got {options.context}")
    _check_order(listing.checked(options.model))
    out = picture_path(options.out, options.video)
    from framecast import pictures
    from framecast.cli.loading import load_model

    model = load_model(options.model, options.device)
    footage, damage = _read(model, options)
    panels = model.inspect(footage.context.to(options.device))
    pictures.save(pictures.panels(panels), out)
    frames, _, height, width = footage.context.frames.shape[1:]
    notes = [*footage.notes, *damage]
    lines = [
        f"{options.video}: {counted(frames, 'frame')} of {height}x{width} inspected",
        *[f"  {line}" for line in (*notes, *(f"shows {panel.title}" for panel in panels))],
        f"  wrote {out}",
    ]
    document = {
        "model": options.model,
        "video": options.video,
        "wrote": out,
        "frames": frames,
        "size": [height, width],
        "panels": [
            {"title": panel.title, "range": list(panel.range), "rows": list(panel.rows)}
            for panel in panels
        ],
        "notes": notes,
    }
    terminal.show(document, lines, options.json)
    return 0


def _check_order(model: str) -> None:
    """See that it is no video that stands where the model goes."""
    from framecast.folder import MANIFEST
    from framecast.video import is_video

    path = Path(model)
    if path.exists() and is_video(path) and not (path / MANIFEST).exists():
        raise FramecastError(
            f"{path} is a video; give the model first: framecast inspect MODEL VIDEO"
        )


def _read(model: "Model", options: Inspect) -> tuple["Footage", list[str]]:
    """The frames, and a line on each damage met on the way."""
    from framecast.cli.footage import Reading, faults, open_footage
    from framecast.codec import Codec

    context = options.context
    if context is None and isinstance(model, Codec):
        trained = model.about.get("context")
        usual = max(model.expects.context_min, trained if isinstance(trained, int) else 1)
        context = usual + -usual % model.block
    reading = Reading(options.start, context, options.fps, options.size)
    with faults() as damage:
        footage = open_footage(options.video, model, reading)
        if options.context is None and isinstance(model, Codec):
            footage = _extended(footage, model)
    return footage, damage


def _extended(footage: "Footage", codec: "Codec") -> "Footage":
    """With as many frames as are best coded together, as far as the video has them."""
    import torch

    from framecast.clip import Clip

    observed = footage.context.frames[0]
    more = list(islice(footage.future, max(0, codec.together - len(observed))))
    count = len(more) - (len(observed) + len(more)) % codec.block
    if count <= 0:
        return footage
    frames = torch.cat([observed, torch.stack(more[:count])])
    return replace(footage, context=Clip(frames[None]))
