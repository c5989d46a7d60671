"""Video VQ-VAE: eight tables and four figures."""

from framecast.reproduction.entries import Entry, Line, Measure, Part, Training, View

SETTINGS = (
    Part("", commands=(("models", "video-vqvae"), ("train", "video-vqvae/paper", "--help"))),
)
TINY = Measure("glyphs/5-5")
CPU = Measure("moving-mnist/5-10", "moving-mnist", ("--limit", "100"), "100")


def _line(method: str) -> Line:
    return Line(
        method,
        tiny=Training("video-vqvae/tiny"),
        cpu=Training("video-vqvae/moving-mnist-small"),
        paper=Training("video-vqvae/paper"),
    )


def _predicted(data: str | None, drawn: bool = True) -> View:
    words = ("predict", "{video}", "--model", "{model}", "--samples", "3", "--out", "{out}.mp4")
    return View(words, ".mp4", data, drawn)


def _codec(protocol: str, data: str | None) -> tuple[Measure, ...]:
    task = ("--task", "reconstruct", "--limit", "100")
    return (
        Measure(protocol, data, (*task, "--levels", "1"), "codec-top"),
        Measure(protocol, data, task, "codec"),
    )


PICTURES = (
    Part(
        "",
        (_line("Video VQ-VAE"),),
        tiny=(_predicted(None),),
        cpu=(_predicted("moving-mnist"),),
        paper=(_predicted("kinetics-600", drawn=False),),
    ),
)
OTHER_VIDEOS = "of a video of yours: the paper's, of YFCC100M, are not named"

ENTRIES = (
    Entry(
        "table1",
        "Which of two predictions people prefer",
        missing="a study with people; framecast compare RESULTS RESULTS --blind makes a page for "
        "one, and TriVD-GAN-FP is not among the models here",
    ),
    Entry(
        "table2",
        "FVD on Kinetics-600",
        (
            Part(
                "scored at 64×64",
                (_line("Video VQ-VAE"),),
                tiny=(TINY,),
                cpu=(CPU,),
                paper=(Measure("kinetics-600/fvd-64", "kinetics-600"),),
                key="64",
            ),
            Part(
                "at 256×256",
                (_line("Video VQ-VAE"),),
                paper=(Measure("kinetics-600/4-12", "kinetics-600"),),
                key="256",
            ),
        ),
        note="FVD needs the weights of I3D (docs/FVD.md); on digits frames are scored, not FVD",
    ),
    Entry("table3", "The VQ-VAE", SETTINGS),
    Entry("table4", "The two priors", SETTINGS),
    Entry("table5", "What conditions the top prior", SETTINGS),
    Entry("table6", "How observed frames condition the top prior", SETTINGS),
    Entry("table7", "What conditions the bottom prior", SETTINGS),
    Entry("table8", "How the bottom prior's slices are conditioned", SETTINGS),
    Entry("figure1", "Predictions at 256×256", PICTURES, note=OTHER_VIDEOS),
    Entry(
        "figure2",
        "What the top level keeps, and what the bottom level adds",
        (
            Part(
                "",
                (_line("Video VQ-VAE"),),
                tiny=_codec("glyphs/5-5", None),
                cpu=_codec("moving-mnist/5-10", "moving-mnist"),
                paper=_codec("kinetics-600/4-12", "kinetics-600"),
            ),
        ),
    ),
    Entry("figure3", "An overview of the method", missing="a diagram"),
    Entry("figure4", "More predictions at 256×256", PICTURES, note=OTHER_VIDEOS),
)
