"""`framecast predict`: the next frames of videos."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, UseAppendAction

from framecast import listing
from framecast.cli import terminal
from framecast.cli.options import DEFAULT_MODEL, FILMS, MODEL, OPTION, OUT, Size, Start, parse
from framecast.errors import FramecastError, VideoError
from framecast.wording import counted

if TYPE_CHECKING:
    from framecast.cli.forecast import Outcome, Wish
    from framecast.model import Model

DEFAULT_OUT = "out/{stem}-predicted.mp4"
DEFAULT_HORIZON = 10
MOST_SAMPLES = 10_000


@dataclass(frozen=True)
class Predict:
    """Predict the next frames of videos.

    Writes for each video its context followed by the predicted frames, and beside it a contact
    sheet (PNG) with time in columns, which also shows the true frames where the video goes on.
    Several samples stand side by side in the video, and in folders of their own when frames are
    written as images; the contact sheet shows below them how far they scatter in each pixel.
    """

    videos: Positional[tuple[Path, ...]]
    """Video files, GIFs, folders of images (one video each) or folders of videos."""
    model: Annotated[str, MODEL] = DEFAULT_MODEL
    """A shipped model (see `framecast models`), a model folder or a training run."""
    context: int | None = None
    """Observed frames; as many as the model was trained with if not given."""
    horizon: int | None = None
    """Frames to predict; as many as the model was trained for if not given, else 10."""
    samples: int | None = None
    """Futures to draw; the model's point prediction if not given."""
    seed: int = 0
    """With the same seed, the same futures."""
    options: Annotated[UseAppendAction[tuple[str, ...]], OPTION] = ()
    """An option of the model, for example temperature=0.7; may be repeated."""
    start: Start = 0
    """Where the context begins: a frame number, or a time such as 12.5s."""
    size: Size = "model"
    """What frames are resized to, aspect kept and centre cropped: the size that the model was
    trained with, their own, or height x width."""
    fps: float | None = None
    """Frames per second to read and write at; the video's own if not given."""
    out: Annotated[str, OUT] = DEFAULT_OUT
    """An .mp4 or .gif file, or a folder for PNG images; {stem} becomes the video's name."""
    mark: bool = False
    """Draw a thin border on predicted frames."""
    device: str = "cpu"
    """Where to compute, for example cuda."""
    json: bool = False
    """Print one JSON document."""


@dataclass
class Report:
    """What became of each video."""

    outcomes: list["Outcome"] = field(default_factory=list)
    failures: dict[Path, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """0 where all succeeded, 1 where some did, 2 where none did."""
        return (1 if self.outcomes else 2) if self.failures else 0


def run(argv: Sequence[str]) -> int:
    """Predict each video; those that fail are listed at the end."""
    options = parse(Predict, "predict", argv)
    listing.checked(options.model)
    from framecast.cli.footage import find_videos
    from framecast.cli.loading import load_model

    videos = find_videos(options.videos)
    targets = outputs(videos, options.out)
    check_inputs_safe(videos, targets)
    wish = wish_of(options, targets[0])
    model = load_model(options.model, options.device)
    report = Report()
    for video, out in zip(videos, targets, strict=True):
        try:
            report.outcomes.append(predict_one(model, video, options, replace(wish, out=out)))
        except (FramecastError, OSError) as error:
            if len(videos) == 1:
                raise
            from framecast.cli.main import explain

            report.failures[video] = explain(error) or str(error)
    terminal.show(_document(options.model, report), _lines(report), options.json)
    for reason in report.failures.values():
        terminal.note(f"framecast: error: {reason}")
    return report.code


def wish_of(options: Predict, out: Path) -> "Wish":
    """What the options ask for.

    Raises:
        FramecastError: if a number is out of its range.
    """
    from framecast.cli.forecast import Wish

    for name in ("context", "horizon", "samples"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise FramecastError(f"--{name} is at least 1, got {value}")
    if options.samples is not None and options.samples > MOST_SAMPLES:
        raise FramecastError(
            f"--samples is at most {MOST_SAMPLES:,}, which are predicted together, got "
            f"{options.samples:,}; another --seed gives others"
        )
    return Wish(
        out=out,
        horizon=options.horizon or DEFAULT_HORIZON,
        samples=options.samples,
        seed=options.seed,
        mark=options.mark,
        images=_images(options.out),
    )


def predict_one(
    model: "Model", video: Path, options: Predict, wish: "Wish", context: int | None = None
) -> "Outcome":
    """Predict one video and write the result.

    Args:
        model: Loaded.
        video: A file or a folder of images.
        options: How the video is read.
        wish: What to predict and where to write it.
        context: Observed frames where the options leave it open.

    Raises:
        FramecastError: if it cannot be read, predicted or written.
    """
    from framecast.cli.footage import Reading, faults, open_footage, stated
    from framecast.cli.forecast import forecast
    from framecast.cli.loading import options_of

    reading = Reading(options.start, options.context or context, options.fps, options.size)
    horizon = options.horizon or stated(model.about.get("horizon")) or DEFAULT_HORIZON
    with (
        faults() as damage,
        terminal.progress(video.name, horizon) as advance,
    ):
        footage = open_footage(video, model, reading)
        wish = replace(wish, horizon=horizon, options=options_of(model, options.options))
        outcome = forecast(model, footage, wish, advance)
    return replace(outcome, notes=(*outcome.notes, *damage))


def outputs(videos: Sequence[Path], template: str) -> list[Path]:
    """Where the result of each video goes: numbered where names or contact sheets would be one.

    Raises:
        FramecastError: if several videos would go to one file.
    """
    from framecast.cli.forecast import beside

    single = len(videos) == 1
    suffix = "" if _images(template) else Path(template).suffix
    if suffix and suffix.lower() not in FILMS:
        raise VideoError(
            f"--out {template} has the unknown suffix {suffix}; end it in .mp4 or .gif, or give a "
            "folder name without a dot for PNG images"
        )
    if not single and "{stem}" not in template:
        if suffix:
            raise FramecastError(
                f"{len(videos)} videos cannot go to one file; put {{stem}} into --out, "
                f"for example --out {Path(template).with_name('{stem}' + Path(template).suffix)}"
            )
        template = f"{template}/{{stem}}"
    wanted = [Path(template.replace("{stem}", _stem(video))) for video in videos]
    taken: set[str] = set()

    def free(target: Path) -> bool:
        """Take the names of an output, if none is taken yet."""
        # File systems that ignore case have a.mp4 and A.mp4 for one.
        names = {str(path).casefold() for path in (target, beside(target))}
        if names & taken:
            return False
        taken.update(names)
        return True

    own = [free(target) for target in wanted]  # before numbers are given, so that they pass by
    numbered = (
        (target.with_name(f"{target.name.removesuffix(suffix)}-{n}{suffix}") for n in count(2))
        for target in wanted
    )
    return [
        target if first else next(filter(free, others))
        for target, first, others in zip(wanted, own, numbered, strict=True)
    ]


def _images(template: str) -> bool:
    """Whether folders of images are asked for: the names of videos may have dots, this has none."""
    suffix = Path(template).suffix
    return not suffix or "{stem}" in suffix or Path(template).is_dir()


def check_inputs_safe(videos: Sequence[Path], targets: Sequence[Path]) -> None:
    """Refuse to write over a video that is read, among its images, or over somebody's picture.

    Raises:
        FramecastError: names the output.
    """
    from framecast.cli.forecast import beside
    from framecast.signature import signed

    read = {video.resolve() for video in videos}
    for target in targets:
        for path in (target.resolve(), beside(target).resolve()):
            if read & {path, path.parent} or any(path in video.parents for video in read):
                raise FramecastError(f"{path} would overwrite an input; give another --out")
        sheet = beside(target)
        if sheet.exists() and not signed(sheet):
            raise FramecastError(
                f"the contact sheet would replace {sheet}, which is no picture of framecast's; "
                "give another --out"
            )


def describe(outcome: "Outcome") -> list[str]:
    """Lines on what was done and written."""
    from framecast.cli.forecast import scatter, summary

    height, width = outcome.size
    samples = f", {counted(outcome.samples, 'sample')}" if outcome.samples else ""
    lines = [
        f"{outcome.video}: {counted(outcome.context, 'frame')} of {height}x{width} observed, "
        f"{outcome.horizon} predicted{samples}",
        *[f"  {note}" for note in outcome.notes],
    ]
    if outcome.errors:
        lines.append(f"  {summary(outcome.errors)}")
    if outcome.deviation:
        lines.append(f"  {scatter(outcome.deviation)}")
    return [*lines, *[f"  wrote {path}" for path in (*outcome.written, outcome.sheet)]]


def _stem(video: Path) -> str:
    path = video.resolve()
    return path.name if path.is_dir() else path.stem


def _lines(report: Report) -> list[str]:
    return [line for outcome in report.outcomes for line in describe(outcome)]


def _document(model: str, report: Report) -> dict[str, Any]:
    from framecast.cli.forecast import as_json

    return {
        "model": model,
        "results": [as_json(outcome) for outcome in report.outcomes],
        "failures": [{"video": v, "error": reason} for v, reason in report.failures.items()],
    }
