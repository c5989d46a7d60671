"""HAF-SVG: eight figures; its paper has no table."""

from framecast.reproduction.entries import Entry, Line, Measure, Part, Training

TINY = Measure("stochastic-glyphs/5-10")
CPU = Measure("stochastic-moving-mnist/5-25", "moving-mnist", ("--limit", "100"), "100")
DIAGRAM = "a diagram"

GROUPS = {"SVG": 1, "HAF-SVG-1": 1, "HAF-SVG-2": 2, "HAF-SVG-4": 4}
"""Methods of Fig 6, with their groups of z_t."""


def _tiny(method: str) -> Training:
    if method == "HAF-SVG-2":
        return Training("haf-svg/tiny")
    aligned = ("--model.coder.aligned",) if method == "SVG" else ()
    groups = ("--model.latent.groups", str(GROUPS[method]))
    return Training("haf-svg/tiny", (*aligned, *groups), _suffix(method))


def _suffix(method: str) -> str:
    return "svg-lp" if method == "SVG" else method.lower()


def _line(method: str, dataset: str) -> Line:
    small = "haf-svg/moving-mnist-small"
    return Line(
        method,
        tiny=_tiny(method),
        cpu=Training(small if method == "HAF-SVG-2" else f"{small}-{_suffix(method)}"),
        paper=Training(f"haf-svg/{dataset}-{_suffix(method)}"),
    )


def _lines(dataset: str, *methods: str) -> tuple[Line, ...]:
    return tuple(_line(method, dataset) for method in methods or GROUPS)


def _held(number: int | None) -> Line:
    """HAF-SVG-2 with one of its groups held at zero."""
    line = _line("HAF-SVG-2", "bair")
    if number is None:
        return line
    options = ("--option", f"zeroed=[{number}]")
    name = f"without-{number}"
    return Line(
        f"HAF-SVG-2, z^{number} held at zero",
        tiny=line.tiny,
        cpu=line.cpu,
        paper=line.paper,
        options=options,
        name=name,
    )


STRIPS = (
    "as strips of some sequences in the page, the first sample and the best one by squared error; "
    "the paper's own are not named"
)
CURVES = "the paper's curves carry no numbers"
BOUNCING = "at the smaller scales digits that bounce at random stand for all datasets"

DIGITS_2 = Part(
    "Moving-MNIST-2, 5→25",
    _lines("moving-mnist-2"),
    tiny=(TINY,),
    cpu=(CPU,),
    paper=(Measure("moving-mnist-2/5-25", "moving-mnist"),),
)
DIGITS_3 = Part(
    "Moving-MNIST-3, 5→25",
    _lines("moving-mnist-3"),
    paper=(Measure("moving-mnist-3/5-25", "moving-mnist"),),
)
KTH = Part("KTH, 10→20", _lines("kth"), paper=(Measure("kth/10-20@svg", "kth"),))
BAIR = Part("BAIR, 2→28", _lines("bair"), paper=(Measure("bair/2-28", "bair"),))

ENTRIES = (
    Entry("figure1", "The graphical model", missing=DIAGRAM),
    Entry("figure2", "The pipeline", missing=DIAGRAM),
    Entry("figure3", "The feature aligner", missing=DIAGRAM),
    Entry(
        "figure4",
        "Predictions of SVG and HAF-SVG-1, two digits",
        (
            Part(
                DIGITS_2.title,
                _lines("moving-mnist-2", "SVG", "HAF-SVG-1"),
                tiny=DIGITS_2.tiny,
                cpu=DIGITS_2.cpu,
                paper=DIGITS_2.paper,
            ),
        ),
        note=STRIPS,
    ),
    Entry(
        "figure5",
        "Predictions of SVG and HAF-SVG-1, KTH",
        (Part(KTH.title, _lines("kth", "SVG", "HAF-SVG-1"), paper=KTH.paper),),
        note=STRIPS,
    ),
    Entry(
        "figure6",
        "PSNR and SSIM over time, best of 100",
        (DIGITS_2, DIGITS_3, KTH, BAIR),
        note=f"{CURVES}; {BOUNCING}",
    ),
    Entry(
        "figure7",
        "Best of 5, 50 and 100 samples",
        (
            Part(
                "Moving-MNIST-3, 5→25",
                _lines("moving-mnist-3", "SVG", "HAF-SVG-4"),
                tiny=(TINY,),
                cpu=(CPU,),
                paper=DIGITS_3.paper,
            ),
        ),
        note=f"an evaluation has the best of the first 5, of 50 and of all; {CURVES}; {BOUNCING}",
    ),
    Entry(
        "figure8",
        "What the two groups of z_t control",
        (
            Part(
                "BAIR, 2→28",
                (_held(None), _held(1), _held(2)),
                tiny=(TINY,),
                cpu=(CPU,),
                paper=BAIR.paper,
            ),
        ),
        note=f"each group held at zero; {BOUNCING}",
    ),
)
