"""V3D-ConvLSTM: three tables and six figures."""

from framecast.reproduction.entries import Entry, Line, Measure, Part, Training, baseline

TINY = Measure("glyphs/5-5@10-samples")
CPU = Measure(
    "moving-mnist/10-10@v3d", "moving-mnist", ("--samples", "10", "--limit", "100"), "10-of-100"
)
FLAT = ("--model.window", "1", "--model.advance", "1", "--model.depth", "1")
PLAIN_KL = ("--stages.main.latent-loss", "kl")
SMALL = "v3d-convlstm/moving-mnist-small"
DIAGRAM = "a diagram"


def _published(preset: str, context: int) -> Training:
    """A preset that observes ten frames, or the same with five."""
    if context == 10:
        return Training(preset)
    return Training(preset, ("--context", str(context)), f"{context}-10")


def _plain(context: int) -> Line:
    return Line(
        "2D ConvLSTM",
        tiny=Training("v3d-convlstm/tiny", (*FLAT, "--model.latent", "0"), "convlstm-2d"),
        cpu=Training(f"{SMALL}-convlstm-2d"),
        paper=_published("v3d-convlstm/moving-mnist-convlstm-2d", context),
    )


def _flat(context: int) -> Line:
    return Line(
        "Variational 2D ConvLSTM",
        tiny=Training("v3d-convlstm/tiny", (*FLAT, *PLAIN_KL), "vrnn-2d"),
        cpu=Training(f"{SMALL}-vrnn-2d"),
        paper=_published("v3d-convlstm/moving-mnist-vrnn-2d", context),
    )


def _kl(context: int) -> Line:
    return Line(
        "Variational 3D ConvLSTM",
        tiny=Training("v3d-convlstm/tiny", PLAIN_KL, "kl"),
        cpu=Training(f"{SMALL}-kl"),
        paper=_published("v3d-convlstm/moving-mnist-kl", context),
    )


def _ours(method: str, context: int) -> Line:
    return Line(
        method,
        tiny=Training("v3d-convlstm/tiny"),
        cpu=Training(SMALL),
        paper=Training("v3d-convlstm/moving-mnist" + ("-5" if context == 5 else "")),
    )


def _other(method: str, model: str, context: int) -> Line:
    """A row of another model, trained on this paper's digits."""
    line, digits = baseline(method, model), ("--data.variant", "v3d", "--data.pool", "train")
    shorter, name = (("--context", "5"), "v3d-5-10") if context == 5 else ((), "v3d")
    return Line(
        method,
        tiny=line.tiny,
        cpu=line.cpu,
        paper=Training(f"{model}/moving-mnist", (*digits, *shorter), name),
    )


def _methods(context: int) -> tuple[Line, ...]:
    """Table 1's rows of which there are models here."""
    return (
        _plain(context),
        _other("PredRNN++", "predrnn-pp", context),
        _other("E3D-LSTM", "e3d-lstm", context),
        _flat(context),
        _ours("Variational 3D ConvLSTM (Ours)", context),
    )


def _steps(context: int) -> tuple[Line, ...]:
    """Table 3's rows."""
    ours = _ours("Variational 3D ConvLSTM + LL Criterion (ours)", context)
    return (_plain(context), _flat(context), _kl(context), ours)


def _digits(context: int, horizon: int, lines: tuple[Line, ...], keyed: bool = True) -> Part:
    """A part of a table of digits; 10→10 is the one that the smaller scales have, too."""
    usual = (context, horizon) == (10, 10)
    return Part(
        f"Moving-MNIST, {context}→{horizon}",
        lines,
        tiny=(TINY,) if usual else (),
        cpu=(CPU,) if usual else (),
        paper=(Measure(f"moving-mnist/{context}-{horizon}@v3d", "moving-mnist"),),
        key=f"{context}-{horizon}" if keyed else None,
    )


LENGTHS = ((5, 10), (5, 15), (10, 10), (10, 20))

KTH = (
    Line("E3D-LSTM", paper=Training("e3d-lstm/kth", ("--horizon", "10"), "10-10")),
    Line("Variational 2D ConvLSTM", paper=Training("v3d-convlstm/kth-vrnn-2d")),
    Line("Variational 3D ConvLSTM (Ours)", paper=Training("v3d-convlstm/kth")),
)


def _people(horizon: int, lines: tuple[Line, ...], key: str | None = None) -> Part:
    measure = Measure(f"kth/10-{horizon}@v3d", "kth")
    return Part(f"KTH, 10→{horizon}", lines, paper=(measure,), key=key)


def _window(window: int, advance: int, dataset: str, small: bool) -> Line:
    """Fig 6: windows of M frames that give H new ones."""
    usual = (window, advance) == (4, 1)
    ending = "" if usual else f"-m{window}-h{advance}"
    name = f"m{window}-h{advance}"
    changes = ("--model.window", str(window), "--model.advance", str(advance))
    return Line(
        f"M {window}, H {advance}",
        tiny=Training("v3d-convlstm/tiny", changes, name) if small else None,
        cpu=Training(SMALL, changes, name) if small else None,
        paper=Training(f"v3d-convlstm/{dataset}{ending}"),
    )


def _windows(dataset: str) -> tuple[Line, ...]:
    pairs = ((2, 1), (4, 1), (4, 2), (4, 4), (8, 1), (8, 4), (8, 8))
    return tuple(_window(m, h, dataset, small=m <= 4 and dataset != "kth") for m, h in pairs)


ENTRIES = (
    Entry(
        "table1",
        "Moving-MNIST beside other methods",
        tuple(_digits(c, h, _methods(c)) for c, h in LENGTHS),
    ),
    Entry(
        "table2",
        "KTH beside other methods",
        (_people(20, KTH, "10-20"), _people(40, KTH), _people(60, KTH)),
        note="published as a picture; one line of it is quoted elsewhere",
    ),
    Entry(
        "table3",
        "What each part adds",
        tuple(_digits(c, h, _steps(c)) for c, h in LENGTHS),
    ),
    Entry("figure1", "The variational recurrent network", missing=DIAGRAM),
    Entry("figure2", "The architecture", missing=DIAGRAM),
    Entry("figure3", "Encoder and decoder", missing=DIAGRAM),
    Entry(
        "figure4",
        "Predictions, KTH",
        (_people(40, KTH),),
        note="as strips of some sequences in the page; the paper's own are not named",
    ),
    Entry(
        "figure5",
        "Predictions, Moving-MNIST",
        (_digits(10, 10, _methods(10), keyed=False),),
        note="as strips of some sequences in the page; the paper's own are not named",
    ),
    Entry(
        "figure6",
        "Window size and output horizon",
        (
            _digits(10, 20, _windows("moving-mnist"), keyed=False),
            _digits(10, 10, _windows("moving-mnist"), keyed=False),
            _people(60, _windows("kth")),
        ),
        note="which M and H the paper draws cannot be read from its text; these are ours",
    ),
)
