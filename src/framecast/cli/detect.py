"""`framecast detect`: how many objects a detector finds in true and in predicted frames."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional, UseAppendAction

from framecast import listing
from framecast.cli import terminal
from framecast.cli.options import MODEL, OUT, Size, Start, parse, picture_path
from framecast.errors import FramecastError, VideoError
from framecast.wording import counted

if TYPE_CHECKING:
    from torch import Tensor

    from framecast.cli.footage import Footage
    from framecast.evaluation.detection import Boxes, Detector
    from framecast.model import Model

DEFAULT_OUT = "out/{stem}-objects.png"
TRUTH = "truth"
DETECTOR = tyro.conf.arg(metavar="FILE.onnx")


@dataclass(frozen=True)
class Detect:
    """Count the objects that a detector finds in predicted frames, beside the true ones.

    Each model predicts the same frames of a video from the same context. A table tells for the
    true frames and for each model the objects per frame, their mean confidence, and which share of
    the true frames' objects was found again; a picture shows the boxes.
    """

    video: Positional[Path]
    """A video file, a GIF or a folder of images."""
    detector: Annotated[Path, DETECTOR]
    """A detector that you exported to ONNX: YOLOv5, YOLOv8 or later, or end to end."""
    model: Annotated[UseAppendAction[tuple[str, ...]], MODEL]
    """A shipped model, a model folder or a training run; may be repeated."""
    context: int = 4
    """Observed frames."""
    horizon: int = 4
    """Frames to predict; the video must go on for as many."""
    confidence: float = 0.8
    """Objects count from this confidence on."""
    layout: Literal["auto", "yolov5", "yolov8", "end-to-end"] = "auto"
    """What the detector puts out, where its shape does not tell."""
    detector_size: int | None = None
    """Height and width that the detector sees, where its file leaves them open; 640 if not
    given."""
    seed: int = 0
    """With the same seed, the same futures."""
    start: Start = 0
    """Where the context begins: a frame number, or a time such as 12.5s."""
    size: Size = "model"
    """What frames are resized to, aspect kept and centre cropped: the size that the models were
    trained with, their own, or height x width."""
    fps: float | None = None
    """Frames per second to read at; the video's own if not given."""
    out: Annotated[str, OUT] = DEFAULT_OUT
    """The picture, a .png file; {stem} becomes the video's name."""
    device: str = "cpu"
    """Where models compute, for example cuda; the detector computes on the CPU."""
    json: bool = False
    """Print one JSON document, with every box."""


@dataclass
class Found:
    """What the detector found in one row of frames, and the frames that are shown."""

    boxes: list["Boxes"]
    shown: list["Tensor"]


def run(argv: Sequence[str]) -> int:
    """Predict, detect, and tell."""
    options = parse(Detect, "detect", argv)
    _check(options)
    out = picture_path(options.out, options.video)
    names = list(dict.fromkeys(options.model))
    for name in names:
        listing.checked(name)
    from framecast.cli.loading import load_model
    from framecast.evaluation.detection import Detector

    layout = None if options.layout == "auto" else options.layout
    detector = Detector.load(options.detector, layout=layout, side=options.detector_size)
    models = {name: load_model(name, options.device) for name in names}
    from framecast.cli.footage import faults

    with faults() as damage:
        footage = _footage(options, models)
        truth = _truth(footage)
        rows = _rows(options, models, footage, truth, detector)
    notes = list(dict.fromkeys([*(n for each in footage.values() for n in each.notes), *damage]))
    first = truth.first + options.context
    _draw(options, rows, out, first)
    document = _document(options, rows, detector, [*notes, *_hints(options, rows)], first)
    terminal.show({**document, "wrote": out}, _lines(options, document, out), options.json)
    return 0


def _check(options: Detect) -> None:
    """See that the numbers are in their ranges.

    Raises:
        FramecastError: if one is not, or no model is named.
    """
    for name in ("context", "horizon", "detector_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise FramecastError(f"--{name.replace('_', '-')} is at least 1, got {value}")
    if not 0 < options.confidence <= 1:
        raise FramecastError(f"--confidence is above 0 and at most 1, got {options.confidence:g}")
    if not options.model:
        raise FramecastError("no model is named; give --model NAME, once or more")
    if TRUTH in options.model:
        raise FramecastError(f"a model called {TRUTH!r} cannot stand beside the truth; rename it")


def _footage(options: Detect, models: dict[str, "Model"]) -> dict[str, "Footage"]:
    """The video as each model takes it.

    Raises:
        FramecastError: if it is too short, or models take frames of different sizes.
    """
    from framecast.cli.footage import Reading, open_footage

    reading = Reading(options.start, options.context, options.fps, options.size)
    footage = {name: open_footage(options.video, model, reading) for name, model in models.items()}
    sizes = {name: each.context.frames.shape[-2:] for name, each in footage.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sizes.items())
        raise FramecastError(
            f"the models take frames of different sizes ({told}); give one that all take, "
            "for example --size 240x320"
        )
    return footage


def _truth(footage: dict[str, "Footage"]) -> "Footage":
    """The frames to compare with: in colour, if any model predicts colour."""
    found = list(footage.values())
    return next((each for each in found if each.context.frames.shape[-3] == 3), found[0])


def _rows(
    options: Detect,
    models: dict[str, "Model"],
    footage: dict[str, "Footage"],
    truth: "Footage",
    detector: "Detector",
) -> dict[str, Found]:
    """What is found in the true frames and in each model's.

    Frames are looked at as they come: of the horizon only boxes are kept, and what is shown.
    """
    from framecast.evaluation.detection import drawing
    from framecast.pictures import spread

    height, width = truth.context.frames.shape[-2:]
    kept = spread(options.horizon, drawing.COLUMNS)
    cell = drawing.cell((height, width), len(models) + 1, len(kept))
    total = options.horizon * (len(models) + 1)
    rows: dict[str, Found] = {}
    with terminal.progress(options.video.name, total) as advance:
        for name, stream in _streams(options, models, footage, truth):
            row = rows[name] = Found([], [])
            for number, frame in enumerate(stream):
                boxes = detector.detect(frame, options.confidence)
                row.boxes.append(boxes)
                if number in kept:
                    row.shown.append(drawing.annotated(frame, boxes, detector, cell))
                advance((len(rows) - 1) * options.horizon + number + 1, total)
    return rows


def _streams(
    options: Detect,
    models: dict[str, "Model"],
    footage: dict[str, "Footage"],
    truth: "Footage",
) -> Iterator[tuple[str, Iterator["Tensor"]]]:
    """The true frames, then each model's, by name; one after another.

    Raises:
        VideoError: if the video ends too early.
    """
    yield TRUTH, _following(options, truth)
    for name, model in models.items():
        context = footage[name].context.to(model.device)
        steps = model.stream(context, options.horizon, seed=options.seed)
        yield name, (step.frame[0, 0].float().cpu().clamp(0, 1) for step in steps)


def _following(options: Detect, truth: "Footage") -> Iterator["Tensor"]:
    """The true frames of the horizon.

    Raises:
        VideoError: if there are fewer.
    """
    count = 0
    for frame in islice(truth.future, options.horizon):
        count += 1
        yield frame
    if count < options.horizon:
        cure = f"pass --horizon {count}" if count else "pass a smaller --context"
        raise VideoError(
            f"{options.video} goes on for {counted(count, 'frame')} after the context, and the "
            f"horizon is {options.horizon}; {cure} or give a longer video"
        )


def _hints(options: Detect, rows: dict[str, Found]) -> list[str]:
    if any(map(len, rows[TRUTH].boxes)):
        return []
    return [
        f"no object at a confidence of {options.confidence:g} or above in the true frames: pass a "
        "lower --confidence, larger frames (--size native), or a video of what the detector knows"
    ]


def _draw(options: Detect, rows: dict[str, Found], out: Path, first: int) -> None:
    from framecast.evaluation.detection import drawing
    from framecast.pictures import spread

    title = f"{options.video.name}, objects at a confidence of {options.confidence:g} or above"
    kept = spread(options.horizon, drawing.COLUMNS)
    shown = {name: row.shown for name, row in rows.items()}
    drawing.save_rows(shown, out, title=title, first=first, kept=kept)


def _document(
    options: Detect, rows: dict[str, Found], detector: "Detector", notes: list[str], first: int
) -> dict[str, Any]:
    from framecast.evaluation.detection import summary

    truth = rows[TRUTH].boxes
    return {
        "video": options.video,
        "detector": options.detector,
        "layout": detector.layout,
        "confidence": options.confidence,
        "context": options.context,
        "horizon": options.horizon,
        "rows": [
            {
                "name": name,
                **asdict(summary(row.boxes, truth)),
                "frames": [
                    {"frame": first + number, "objects": _objects(boxes, detector)}
                    for number, boxes in enumerate(row.boxes)
                ],
            }
            for name, row in rows.items()
        ],
        "notes": notes,
    }


def _objects(boxes: "Boxes", detector: "Detector") -> list[dict[str, Any]]:
    rows = zip(boxes.label.tolist(), boxes.confidence.tolist(), boxes.corners, strict=True)
    return [
        {"class": detector.name(label), "confidence": sure, "box": corners.tolist()}
        for label, sure, corners in rows
    ]


def _lines(options: Detect, document: dict[str, Any], out: Path) -> list[Any]:
    columns = ("", "objects per frame", "confidence", "recall", "precision")
    table = [
        (
            row["name"],
            f"{row['objects']:.2f}",
            _share(row["confidence"]),
            *(_share(None if row["name"] == TRUTH else row[key]) for key in columns[3:]),
        )
        for row in document["rows"]
    ]
    heading = (
        f"{options.video}: {options.context} frames observed, {options.horizon} predicted; "
        f"objects at a confidence of {options.confidence:g} or above"
    )
    notes = [f"  {note}" for note in document["notes"]]
    return [heading, *notes, terminal.table(columns, table), f"  wrote {out}"]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
