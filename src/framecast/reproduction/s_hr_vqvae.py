"""S-HR-VQVAE: three tables and seven figures."""

from dataclasses import replace

from framecast.reproduction.entries import Entry, Line, Measure, Part, Training, View, baseline

MODEL = "s-hr-vqvae"
TINY = Measure("glyphs/5-5")
CPU = Measure("moving-mnist/10-10@s-hr", "moving-mnist", ("--limit", "500"), "500")
MOVING_MNIST = Measure("moving-mnist/10-10@s-hr", "moving-mnist")
KTH = Measure("kth/10-20", "kth")

CORRUPTIONS = (
    *(f"gaussian-blur:{sigma}" for sigma in (1, 2, 4)),
    *(f"fragment-blur:{shift}" for shift in (2, 4)),
    *(f"noise:{ratio}" for ratio in (20, 10, 5, 0)),
)


def _joint(method: str, dataset: str) -> Line:
    return Line(
        method,
        tiny=Training("s-hr-vqvae/tiny"),
        cpu=Training("s-hr-vqvae/moving-mnist-cpu"),
        paper=Training(f"{MODEL}/{dataset}-joint"),
    )


def _disjoint(method: str, dataset: str) -> Line:
    """What joint training starts from, so that one run has both."""
    return Line(
        method,
        tiny=Training("s-hr-vqvae/tiny", stage="prior"),
        cpu=Training("s-hr-vqvae/moving-mnist-cpu", stage="prior"),
        paper=Training(f"{MODEL}/{dataset}-joint", stage="prior"),
    )


def _methods(dataset: str) -> tuple[Line, ...]:
    """Table 2's rows of which there are models here."""
    return (
        baseline("ConvLSTM (2015)", "convlstm", dataset),
        baseline("PredRNN (2017)", "predrnn", dataset),
        baseline("PredRNN++ (2018)", "predrnn-pp", dataset),
        baseline("E3D-LSTM (2019)", "e3d-lstm", dataset),
        baseline("V-3D-ConvLSTM (2021)", "v3d-convlstm", dataset),
        _disjoint("S-HR-VQVAE-disjoint (ours)", dataset),
        _joint("S-HR-VQVAE-joint (ours)", dataset),
    )


def _cpu(layers: int, codewords: int, stage: str) -> Training:
    changes = ("--model.layers", str(layers), "--model.codewords", str(codewords))
    return Training("s-hr-vqvae/moving-mnist-cpu", changes, f"{layers}-layers", stage)


def _deepest(training: Training, layers: int) -> Training:
    """The model of most layers, which the paper has nine of."""
    return training if layers == 9 else replace(training, differs=f"{layers} layers")


def _layers(dataset: str, most: int, stage: str) -> tuple[Line, Line, Line]:
    """Models of one, three and most layers, as a stage hands them on."""
    return (
        Line(
            "1-layer S-HR-VQVAE",
            tiny=Training("s-hr-vqvae/tiny-1", stage=stage),
            cpu=_cpu(1, 64, stage),
            paper=Training(f"{MODEL}/{dataset}-1", stage=stage),
        ),
        Line(
            "3-layer S-HR-VQVAE",
            tiny=Training("s-hr-vqvae/tiny", stage=stage),
            cpu=Training("s-hr-vqvae/moving-mnist-cpu", stage=stage),
            paper=Training(f"{MODEL}/{dataset}-joint", stage=stage),
        ),
        Line(
            "9-layer S-HR-VQVAE",
            tiny=_deepest(Training("s-hr-vqvae/tiny-6", stage=stage), 6),
            cpu=_deepest(_cpu(6, 2, stage), 6),
            paper=_deepest(Training(f"{MODEL}/{dataset}-{most}", stage=stage), most),
        ),
    )


def _reconstructed(measure: Measure) -> Measure:
    return Measure(
        measure.protocol, measure.data, ("--task", "reconstruct", "--limit", "100"), "codec"
    )


def _corrupted(measure: Measure) -> tuple[Measure, ...]:
    """Clean frames and all corruptions, encoded and decoded; and predicted, of which fewer."""
    tasks = (
        ("codec", ("--task", "reconstruct", "--limit", "100")),
        ("predicted", ("--limit", "25")),
    )
    return tuple(
        Measure(
            measure.protocol,
            measure.data,
            (*options, *(("--corrupt", kind) if kind else ())),
            "-".join([name, *kind.split(":")]) if kind else name,
        )
        for name, options in tasks
        for kind in ("", *CORRUPTIONS)
    )


def _both(kth: tuple[Line, ...], digits: tuple[Line, ...], key: bool = True) -> tuple[Part, ...]:
    """The two parts of a table: KTH at the paper's scale alone."""
    return (
        Part("KTH, 10→20", kth, paper=(KTH,), key="kth" if key else None),
        Part(
            "Moving-MNIST, 10→10",
            digits,
            tiny=(TINY,),
            cpu=(CPU,),
            paper=(MOVING_MNIST,),
            key="moving-mnist" if key else None,
        ),
    )


def _codecs() -> tuple[Part, ...]:
    return (
        Part(
            "KTH",
            _layers("kth", 9, "autoencoder"),
            paper=(_reconstructed(KTH),),
        ),
        Part(
            "Moving-MNIST",
            _layers("moving-mnist", 6, "autoencoder"),
            tiny=(_reconstructed(TINY),),
            cpu=(_reconstructed(MOVING_MNIST),),
            paper=(_reconstructed(MOVING_MNIST),),
        ),
    )


def _inside(data: str | None, drawn: bool = True) -> View:
    return View(("inspect", "{model}", "{video}", "--out", "{out}.png"), ".png", data, drawn)


PIXELS = Line(
    "ST-PixelCNN in pixels",
    tiny=Training("s-hr-vqvae/tiny-pixels"),
    paper=Training("s-hr-vqvae/moving-mnist-pixels"),
)
THREE_LAYERS = _disjoint("3-layer S-HR-VQVAE", "moving-mnist")
SIX = "on Moving-MNIST the most layers are six, as in Table 1; the paper's row says nine"
STRIPS = "as strips of some sequences in the page; the paper's own two or three are not named"

ENTRIES = (
    Entry(
        "table1",
        "Configurations, with what tokens cost",
        _codecs(),
        note=f"bits and compression are measured on frames encoded and decoded; {SIX}",
    ),
    Entry(
        "table2",
        "S-HR-VQVAE beside other methods",
        _both(_methods("kth"), _methods("moving-mnist")),
    ),
    Entry(
        "table3",
        "One, three and more layers; joint training",
        _both(
            (*_layers("kth", 9, "prior"), _joint("3-layer S-HR-VQVAE (joint)", "kth")),
            (
                *_layers("moving-mnist", 6, "prior"),
                _joint("3-layer S-HR-VQVAE (joint)", "moving-mnist"),
            ),
        ),
        note=SIX,
    ),
    Entry("figure1", "The architecture", missing="a diagram"),
    Entry(
        "figure2",
        "Predictions beside other methods, Moving-MNIST",
        _both((), _methods("moving-mnist"), key=False)[1:],
        note=STRIPS,
    ),
    Entry(
        "figure3",
        "Predictions beside other methods, KTH",
        _both(_methods("kth"), (), key=False)[:1],
        note=STRIPS,
    ),
    Entry(
        "figure4",
        "What each layer adds, as heat maps",
        (
            Part(
                "KTH",
                (_disjoint("3-layer HR-VQVAE", "kth"),),
                paper=(_inside("kth", drawn=False),),
            ),
            Part(
                "Moving-MNIST",
                (THREE_LAYERS,),
                tiny=(_inside(None),),
                cpu=(_inside("moving-mnist"),),
                paper=(_inside("moving-mnist"),),
            ),
        ),
    ),
    Entry("figure5", "Reconstructions by number of layers", _codecs(), note=SIX),
    Entry(
        "figure6",
        "Blurred and noisy frames, encoded and decoded, and predicted from",
        (
            Part("KTH", (_disjoint("3-layer HR-VQVAE", "kth"),), paper=_corrupted(KTH)),
            Part(
                "Moving-MNIST",
                (THREE_LAYERS,),
                tiny=_corrupted(TINY),
                cpu=_corrupted(MOVING_MNIST),
                paper=_corrupted(MOVING_MNIST),
            ),
        ),
        note="the paper shows pictures and names no levels; these are ours",
    ),
    Entry(
        "figure7",
        "Scores by number of layers, and of the prior in pixels",
        _both(
            _layers("kth", 9, "prior"),
            (*_layers("moving-mnist", 6, "prior"), PIXELS),
            key=False,
        ),
        note=f"the paper's bars carry no numbers; {SIX}",
    ),
)
