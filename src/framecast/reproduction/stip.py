"""STIP: eight tables and eight figures."""

from dataclasses import replace

from framecast.reproduction.entries import Entry, Line, Measure, Part, Training, View, baseline

TINY = Measure("glyphs/5-5")
CPU = Measure("moving-mnist/10-10", "moving-mnist", ("--limit", "500"), "500")
OTHERS = {
    "ConvLSTM": ("convlstm", "NeurIPS2015"),
    "PredRNN": ("predrnn", "NeurIPS2017"),
    "PredRNN++": ("predrnn-pp", "ICML2018"),
    "E3D-LSTM": ("e3d-lstm", "ICLR2019"),
}
SETTINGS = ("ucf-sports", "human36m", "sjtu4k")
SHORTEST = {"ucf-sports": 512, "human36m": 1024, "sjtu4k": 2160}
"""Pixels of the shorter side."""
HORIZONS = {"ucf-sports": 6}
LISTED = ("--data.split", "published")
SPLITS = {"ucf-sports": LISTED, "human36m": LISTED}
"""Options of what is measured on the published lists of windows, and so trained on them."""

# With one level of features, as the preset has it, there is nothing to recall.
TINY_CHANGES = ("--model.levels", "2")


def _results(protocol: str, dataset: str, others: tuple[str, ...], years: bool) -> tuple[Part, ...]:
    """A table of methods on one dataset."""
    lines = (
        replace(
            baseline(f"{name} ({OTHERS[name][1]})" if years else name, OTHERS[name][0]),
            paper=_four_layers(OTHERS[name][0], dataset),
        )
        for name in others
    )
    ours = Line(
        "STIP",
        tiny=Training("stip/tiny"),
        cpu=Training("stip/moving-mnist"),
        paper=_published(f"stip/{dataset}", dataset),
    )
    measures = (Measure(protocol, dataset),)
    return (Part("", (*lines, ours), tiny=(TINY,), cpu=(CPU,), paper=measures, key=""),)


def _published(preset: str, dataset: str) -> Training:
    """A preset of the paper's, trained on the windows that the paper's figures are of."""
    return Training(preset, LISTED, "published") if dataset in SPLITS else Training(preset)


def _four_layers(model: str, dataset: str) -> Training:
    """Four layers of 128, on patches of which 32 lie along the shorter side; of an E3D-LSTM 16."""
    along = 16 if model == "e3d-lstm" else 32
    changes = ("--data", dataset, *SPLITS.get(dataset, ()))
    changes += ("--model.channels", "3", "--context", "4")
    changes += ("--horizon", str(HORIZONS.get(dataset, 4)))
    changes += ("--model.patch", str(-(-SHORTEST[dataset] // along)))
    if model == "e3d-lstm":
        changes += ("--model.recall-norm", "group", "--model.size", "None")
    return Training(f"{model}/moving-mnist", changes, dataset)


UCF_SPORTS = _results("ucf-sports/4-6@published", "ucf-sports", tuple(OTHERS), years=True)
HUMAN36M = _results("human36m/4-4@published", "human36m", tuple(OTHERS), years=True)
SJTU4K = _results("sjtu4k/4-4", "sjtu4k", ("ConvLSTM", "PredRNN", "PredRNN++"), years=False)


def _pictures(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The same without the published figures beside."""
    return tuple(Part(p.title, p.lines, tiny=p.tiny, cpu=p.cpu, paper=p.paper) for p in parts)


def _changed(preset: str, name: str, *changes: str) -> Training:
    return Training(preset, changes, name)


def _streams(method: str, name: str, dataset: str, *changes: str) -> Line:
    """A row of Table VI: which of the two schemes it has."""
    return Line(
        method,
        tiny=_changed("stip/tiny", f"levels-2-{name}", *TINY_CHANGES, *changes),
        cpu=_changed("stip/moving-mnist", name, *changes)
        if changes
        else Training("stip/moving-mnist"),
        paper=_published(f"stip/{dataset}-{name}", dataset),
    )


def _schemes(dataset: str) -> tuple[Line, ...]:
    one, forgotten = "--model.no-two-streams", ("--model.recall", "0.0")
    return (
        _streams("1. w/o STED, MGIR", "plain", dataset, one, *forgotten),
        _streams("2. w STED", "sted", dataset, *forgotten),
        _streams("3. w MGIR", "mgir", dataset, one),
        _streams("4. w STED, MGIR", "mse", dataset),
    )


def _loss(method: str, suffix: str, tiny: Training, folder: str, dataset: str) -> Line:
    return Line(
        method,
        tiny=tiny,
        cpu=Training(f"stip/video-folder{folder}"),
        paper=_published(f"stip/{dataset}{suffix}", dataset),
    )


def _losses(dataset: str) -> tuple[Line, ...]:
    judged = ("--stages.main.discriminator.layers", "5")
    return (
        _loss("L_MSE", "-mse", Training("stip/tiny"), "", dataset),
        _loss(
            "L_MSE + L_GAN",
            "-gan",
            _changed("stip/tiny", "gan", "--stages.main.loss", "mse+gan", *judged),
            "-gan",
            dataset,
        ),
        _loss(
            "L_MSE + L_GAN + L_LP",
            "",
            _changed("stip/tiny", "lp", "--stages.main.loss", "mse+gan+lp", *judged),
            "-lp",
            dataset,
        ),
    )


def _unit(method: str, unit: str) -> Line:
    return Line(
        method,
        tiny=Training(f"unit-stack/tiny-{unit}"),
        paper=_published(f"unit-stack/human36m-{unit}", "human36m"),
    )


def _inside(data: str | None, drawn: bool = True) -> View:
    return View(("inspect", "{model}", "{video}", "--out", "{out}.png"), ".png", data, drawn)


DIGITS = "at the smaller scales digits stand for the dataset, and frames are gray and few"
LAYOUTS = "the paper does not say what the other methods' networks are: here four layers of 128"
DIAGRAM = "a diagram"

ENTRIES = (
    Entry(
        "table1",
        "Settings by dataset",
        (Part("", commands=tuple(("train", f"stip/{name}", "--help") for name in SETTINGS)),),
    ),
    Entry("table2", "Settings by layer", (Part("", commands=(("models", "stip"),)),)),
    Entry("table3", "UCF Sports beside other methods", UCF_SPORTS, note=f"{DIGITS}; {LAYOUTS}"),
    Entry("table4", "Human3.6M beside other methods", HUMAN36M, note=f"{DIGITS}; {LAYOUTS}"),
    Entry("table5", "SJTU4K beside other methods", SJTU4K, note=f"{DIGITS}; {LAYOUTS}"),
    Entry(
        "table6",
        "Two streams and recalled features",
        (
            Part(
                "UCF Sports",
                _schemes("ucf-sports"),
                tiny=(TINY,),
                cpu=(CPU,),
                paper=(Measure("ucf-sports/4-1@published", "ucf-sports"),),
                key="ucf-sports",
            ),
            Part(
                "Human3.6M",
                _schemes("human36m"),
                paper=(Measure("human36m/4-1@published", "human36m"),),
                key="human36m",
            ),
            Part(
                "SJTU4K",
                _schemes("sjtu4k"),
                paper=(Measure("sjtu4k/4-1", "sjtu4k"),),
                key="sjtu4k",
            ),
        ),
        note=DIGITS,
    ),
    Entry(
        "table7",
        "Predictive units",
        (
            Part(
                "",
                (
                    _unit("ConvGRU", "convgru"),
                    _unit("TrajGRU-L9", "trajgru"),
                    _unit("dGRU", "dgru"),
                    _unit("Casual-LSTM", "causal-lstm"),
                    _unit("E3D-LSTM", "e3d-lstm"),
                    _unit("Reversible-PM", "reversible-pm"),
                    _unit("RPM", "rpm"),
                    _unit("STGRU", "stgru"),
                ),
                tiny=(TINY,),
                paper=(Measure("human36m/4-4@published", "human36m"),),
                key="",
                commands=(("models", "--units"),),
            ),
        ),
        note="parameters and multiply–adds are counted by framecast models --units",
    ),
    Entry(
        "table8",
        "Loss functions",
        (
            Part(
                "UCF Sports, 4→6",
                _losses("ucf-sports"),
                tiny=(TINY,),
                cpu=(Measure("video-folder", "video-folder"),),
                paper=(Measure("ucf-sports/4-6@published", "ucf-sports"),),
                key="ucf-sports",
            ),
            Part(
                "Human3.6M, 4→4",
                _losses("human36m"),
                paper=(Measure("human36m/4-4@published", "human36m"),),
                key="human36m",
            ),
        ),
        note="at the scale of CPUs on videos of yours; LPIPS needs weights (docs/METRICS.md)",
    ),
    Entry("figure1", "The autoencoder", missing=DIAGRAM),
    Entry("figure2", "The recurrent unit", missing=DIAGRAM),
    Entry("figure3", "The training process", missing=DIAGRAM),
    Entry("figure4", "Predictions, UCF Sports", _pictures(UCF_SPORTS), note=DIGITS),
    Entry(
        "figure5",
        "Features and gates inside",
        (
            Part(
                "",
                (
                    Line(
                        "STIP",
                        tiny=Training("stip/tiny"),
                        cpu=Training("stip/moving-mnist"),
                        paper=_published("stip/ucf-sports", "ucf-sports"),
                    ),
                ),
                tiny=(_inside(None),),
                cpu=(_inside("moving-mnist"),),
                paper=(_inside("ucf-sports", drawn=False),),
            ),
        ),
    ),
    Entry("figure6", "Predictions, Human3.6M", _pictures(HUMAN36M), note=DIGITS),
    Entry("figure7", "Predictions, SJTU4K", _pictures(SJTU4K), note=DIGITS),
    Entry(
        "figure8",
        "Objects that a detector finds in predicted frames",
        missing="needs a detector of yours: framecast detect VIDEO --detector FILE.onnx --model "
        "RUN (docs/DETECTION.md); the paper's frames are not named",
    ),
)
