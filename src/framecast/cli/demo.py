"""`framecast demo`: a prediction without any data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from framecast.cli import terminal
from framecast.cli.options import DEFAULT_MODEL, OUT, parse
from framecast.cli.predict import MODEL, Predict, describe, predict_one, wish_of

FPS = 10
AFTER = 20
"""Frames of the made-up video after the context, to compare predictions with."""


@dataclass(frozen=True)
class Demo:
    """Make a video of two moving digits, predict how it goes on, and compare.

    The digits are drawn with a font, so that nothing has to be there or to be downloaded.
    """

    out: Annotated[Path, OUT] = Path("out")
    """The folder to write to."""
    model: Annotated[str, MODEL] = DEFAULT_MODEL
    """A shipped model, a model folder or a training run."""
    horizon: int | None = None
    """Frames to predict; as many as the model was trained for if not given."""
    samples: int | None = None
    """Futures to draw; the model's point prediction if not given."""
    seed: int = 0
    """Seed of the samples."""
    clip: int = 1
    """Which clip of the made-up test set, counted from 0."""
    device: str = "cpu"
    """Where to compute, for example cuda."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Draw, predict, and say what was written."""
    demo = parse(Demo, "demo", argv)
    from framecast.cli.footage import stated
    from framecast.cli.forecast import as_json
    from framecast.cli.loading import load_model

    predict = Predict(
        videos=(),
        model=demo.model,
        horizon=demo.horizon,
        samples=demo.samples,
        seed=demo.seed,
        size="native",
        out=str(demo.out / "demo-predicted.mp4"),
    )
    wish = wish_of(predict, Path(predict.out))
    model = load_model(demo.model, demo.device)
    video = demo.out / "demo.mp4"
    context = max(model.expects.context_min, stated(model.about.get("context")) or 10)
    draw(video, demo.clip, context + max(AFTER, demo.horizon or 0))
    outcome = predict_one(model, video, predict, wish, context)
    lines = [f"drew two moving digits: wrote {video}", *describe(outcome)]
    terminal.show({"model": demo.model, "drawn": video, **as_json(outcome)}, lines, demo.json)
    return 0


def draw(path: Path, number: int, frames: int) -> None:
    """Write a clip of the made-up test set as a video.

    Raises:
        FramecastError: if there is no such clip, or the file cannot be written.
    """
    from framecast.data.moving_digits import MovingDigits
    from framecast.errors import FramecastError
    from framecast.video import Writer

    source = MovingDigits(digits="glyphs").source("test", frames, seed=0)
    if not 0 <= number < len(source):
        raise FramecastError(f"--clip is from 0 to {len(source) - 1}, got {number}")
    with Writer(path, FPS) as writer:
        for frame in source[(0, number)].frames:
            writer.append(frame)
