"""`framecast data show|prepare|verify`: look at a dataset, convert it, check it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional

from framecast import listing, registry
from framecast.cli import terminal
from framecast.cli.options import NESTED, OUT, dispatch, parse
from framecast.errors import DataError, FramecastError
from framecast.wording import counted


def run(argv: Sequence[str]) -> int:
    """Find the verb's verb."""
    actions = {
        "show": (_show, "draw a few clips of a dataset and say what is in it"),
        "prepare": (_prepare, "convert videos once, so that training reads them faster"),
        "verify": (_verify, "check what was prepared against its checksums"),
    }
    code = dispatch("data", argv, actions)
    if not argv or argv[0] in {"-h", "--help"}:
        terminal.show(None, ["", terminal.listing(listing.datasets(), "dataset")], as_json=False)
    return code


def _show(argv: Sequence[str]) -> int:
    from framecast.clip import DataConfig, Split

    name, config, rest = _dataset(argv, "show")

    @dataclass(frozen=True)
    class Show:
        """Draw a few clips of a dataset as a picture, and say what is in it."""

        data: DataConfig
        split: Split = "train"
        """Which part of the dataset."""
        frames: int = 10
        """Frames of a clip."""
        clips: int = 4
        """Clips to draw, spread over the split."""
        seed: int = 0
        """Seed of what is drawn at random."""
        out: Annotated[Path, OUT] = Path("out") / f"{name}.png"
        """The picture to write."""
        json: FlagCreatePairsOff[bool] = False
        """Print one JSON document."""

    options = _parse(Show, Show(config), f"show {name}", rest)
    if options.frames < 1 or options.clips < 1:
        raise FramecastError("--frames and --clips are at least 1")
    root = options.data.root
    if root is not None and options.out.resolve().is_relative_to(root.resolve()):
        raise FramecastError(f"{options.out} lies among the data; give another --out")
    source = options.data.source(options.split, options.frames, options.seed)
    facts = _draw(source, options.clips, options.out)
    document = {
        "dataset": name,
        "split": options.split,
        "clips": len(source),
        **facts,
        "fixed": source.fixed,
        "fingerprint": source.fingerprint(),
        "notes": list(source.notes()),
        "wrote": options.out,
    }
    terminal.show(document, _facts(document), options.json)
    return 0


def _draw(source: Any, wanted: int, out: Path) -> dict[str, Any]:
    """Draw clips from all over a source, one per row, and describe them."""
    from framecast import pictures

    chosen = pictures.spread(len(source), wanted)
    clips = [source[(0, index)] for index in chosen]
    frames = [clip.frames for clip in clips]
    names = [source.name(index) for index in chosen]
    labels = [
        f"{name} ({number})" if names.count(name) > 1 else name
        for number, name in enumerate(names, 1)
    ]
    rows = {name: _drawable(f, frames[0]) for name, f in zip(labels, frames, strict=True)}
    pictures.save(pictures.strip(rows), out)
    return {
        "shapes": sorted({tuple(f.shape) for f in frames}),
        "range": (min(float(f.min()) for f in frames), max(float(f.max()) for f in frames)),
        "actions": clips[0].actions is not None,
        "shown": labels,
    }


def _drawable(frames: Any, like: Any) -> Any:
    """Frames in the size of others, in colour or gray: the first channel of any other number."""
    from framecast.video import fit

    shown = frames if frames.shape[1] in (1, 3) else frames[:, :1]
    return fit(shown, like.shape[-2:])


def _facts(document: dict[str, Any]) -> list[str]:
    shapes = ", ".join("x".join(map(str, shape)) for shape in document["shapes"])
    epochs = "the same in every epoch" if document["fixed"] else "drawn anew in every epoch"
    low, high = document["range"]
    clips = counted(document["clips"], "clip")
    return [
        f"{document['dataset']}, {document['split']}: {clips}, {epochs}",
        f"  frames, channels, height, width: {shapes}; values from {low:.3g} to {high:.3g}",
        *(["  with actions"] if document["actions"] else []),
        *[f"  {note}" for note in document["notes"]],
        f"  fingerprint {document['fingerprint']}",
        f"  wrote {document['wrote']}: {', '.join(document['shown'])}",
    ]


def read_prepare(argv: Sequence[str]) -> Any:
    """What is prepared, and where.

    Raises:
        FramecastError: says what is wrong with the arguments.
    """
    from framecast.clip import DataConfig
    from framecast.data.recorded import RecordedConfig

    name, config, rest = _dataset(argv, "prepare")
    if not isinstance(config, RecordedConfig):
        raise DataError(f"{name} needs no preparing: it is read as it is")

    @dataclass(frozen=True)
    class Prepare:
        """Convert the videos of a dataset once, so that training reads frames without decoding.

        Interrupted, the same command goes on where it stopped. The prepared folder then serves as
        --data.root. Videos that cannot be read are listed and left out.
        """

        data: DataConfig
        out: Annotated[Path, OUT] = Path("prepared") / name
        """The folder to write: new, empty, or of an earlier call."""
        json: FlagCreatePairsOff[bool] = False
        """Print one JSON document."""

    return _parse(Prepare, Prepare(config), f"prepare {name}", rest)


def _prepare(argv: Sequence[str]) -> int:
    from framecast.data.prepare import prepare

    options = read_prepare(argv)
    with terminal.progress("videos") as advance:
        done = prepare(options.data, options.out, lambda number, total, _: advance(number, total))
    lines = [
        f"wrote {done.root}: {counted(done.converted, 'video')} converted, "
        f"{done.kept} kept from before, {counted(done.frames, 'frame')}, "
        f"{done.bytes / 1e6:,.1f} MB",
        *[f"  left out {video}: {reason}" for video, reason in done.unreadable.items()],
        *[f"  kept {video} up to a fault: {reason}" for video, reason in done.damaged.items()],
        f"next: --data.root {done.root}",
    ]
    terminal.show(asdict(done), lines, options.json)
    return 1 if done.unreadable or done.damaged else 0


@dataclass(frozen=True)
class Verify:
    """Check every array of a prepared folder, or every record of TFRecords, by its checksum."""

    root: Positional[Path]
    """The prepared folder, or a folder of TFRecord files."""
    json: bool = False
    """Print one JSON document."""


def _verify(argv: Sequence[str]) -> int:
    options = parse(Verify, "data verify", argv)
    from framecast.data import tfrecord
    from framecast.data.prepare import verify
    from framecast.data.prepared import is_prepared

    sound = f"{options.root} is sound"
    if is_prepared(options.root) or not tfrecord.below(options.root):
        faults = verify(options.root)
        lines = [f"{video}: {fault}" for video, fault in faults.items()]
        lines += ["run framecast data prepare again to mend it"] if faults else []
    else:
        with terminal.progress("files") as advance:
            faults = tfrecord.verify(options.root, advance)
        lines = list(faults.values())
    terminal.show({"faults": faults}, lines or [sound], options.json)
    return 1 if faults else 0


def _dataset(argv: Sequence[str], action: str) -> tuple[str, Any, list[str]]:
    """The dataset that is named first, with its default configuration, and the other arguments.

    Raises:
        SystemExit: 0, after help.
        FramecastError: if none is named.
    """
    names = ", ".join(registry.names("data"))
    if argv and argv[0] in {"-h", "--help"}:
        print(
            f"usage: framecast data {action} NAME …\n\ndatasets: {names}\n\n"
            f"`framecast data {action} NAME --help` lists the options of one, with their values."
        )
        raise SystemExit(0)
    if not argv or argv[0].startswith("-"):
        raise FramecastError(f"name a dataset after framecast data {action}: {names}")
    return argv[0], registry.find("data", argv[0])(), list(argv[1:])


def _parse(cls: Any, default: Any, action: str, argv: list[str]) -> Any:
    return parse(cls, f"data {action}", argv, settings=NESTED, default=default)
