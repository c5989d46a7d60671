"""Framecast's own tables: all models after equally long trainings."""

from dataclasses import dataclass, replace

from framecast.reproduction.entries import Entry, Line, Measure, Part, Training

SMALL = "moving-mnist-small"
SIZE = ("--data.size", "128", "128")
PLACE = (*SIZE, "--data.crop", "64", "64")
"""Parts of frames, in the size in which videos are predicted."""


def _lengths(frames: int) -> tuple[str, ...]:
    return ("--context", str(frames), "--horizon", str(frames))


@dataclass(frozen=True)
class Model:
    """A row of both tables."""

    method: str
    name: str
    digits: str = SMALL
    """Preset for MNIST's digits."""
    digits_as: tuple[str, ...] = ()
    """Options that give it the digits of the others."""
    videos_as: tuple[str, ...] = ()
    """Options that give it the frames and lengths of the others."""

    def trained(self, preset: str, minutes: int, *changes: str) -> Training:
        """In one thread, whose processor time does not depend on what else runs."""
        machine = ("--accelerator", "cpu", "--threads", "1", "--workers", "0")
        options = (*changes, "--minutes", str(minutes), *machine)
        return Training(f"{self.name}/{preset}", options, f"{minutes}-minutes")

    def on_digits(self) -> Line:
        """Its row among digits."""
        return Line(
            self.method,
            tiny=self.trained("tiny", 1),
            cpu=self.trained(self.digits, 30, *self.digits_as),
        )

    def on_videos(self) -> Line:
        """Its row among real videos."""
        return Line(self.method, cpu=self.trained("video-folder", 30, *self.videos_as))


V3D = Model("V3D-ConvLSTM", "v3d-convlstm", videos_as=_lengths(5))
MODELS = (
    Model("ConvLSTM", "convlstm"),
    Model("PredRNN", "predrnn"),
    Model("PredRNN++", "predrnn-pp"),
    Model("E3D-LSTM", "e3d-lstm"),
    Model("SimVP-gSTA", "simvp"),
    Model(
        "S-HR-VQVAE",
        "s-hr-vqvae",
        digits="moving-mnist-cpu",
        videos_as=(*PLACE, "--data.flip"),
    ),
    Model("Video VQ-VAE", "video-vqvae"),
    Model(
        "STIP",
        "stip",
        digits="moving-mnist",
        digits_as=("--data.digits", "mnist+glyphs"),
        videos_as=_lengths(5),
    ),
    Model(
        "HAF-SVG-2",
        "haf-svg",
        digits_as=("--data.variant", "srivastava", *_lengths(10)),
        videos_as=(*_lengths(5), *PLACE),
    ),
    V3D,
)
STEPS = {
    "2D ConvLSTM": "-convlstm-2d",
    "Variational 2D ConvLSTM": "-vrnn-2d",
    "Variational 3D ConvLSTM": "-kl",
    "Variational 3D ConvLSTM + LL": "",
}
"""The rows of V3D-ConvLSTM's Table 3, with what the names of their presets end in."""
DIGITS = Measure("moving-mnist/10-10", "moving-mnist", ("--limit", "1000"), "1000")
VIDEOS = Measure("video-folder", "video-folder", (*_lengths(5), *PLACE), "5-5", prepared=SIZE)
NOTE = (
    "30 minutes of processor time for the steps of each training; validation, pictures and codes "
    "made before a stage come on top"
)

ENTRIES = (
    Entry(
        "table1",
        "Moving digits, all models after equally long trainings",
        (
            Part(
                "",
                tuple(model.on_digits() for model in MODELS),
                tiny=(Measure("glyphs/5-5"),),
                cpu=(DIGITS,),
            ),
        ),
        note=f"{NOTE}; at the scale tiny 1 minute on drawn digits, 5→5",
    ),
    Entry(
        "table2",
        "Videos of one's own 5→5, all models after equally long trainings",
        (
            Part(
                "",
                tuple(model.on_videos() for model in MODELS),
                cpu=(VIDEOS,),
            ),
        ),
        note=f"{NOTE}; videos are decoded once, before all trainings",
    ),
    Entry(
        "table3",
        "V3D-ConvLSTM step by step, after equally long trainings",
        (
            Part(
                "",
                tuple(
                    Line(method, cpu=V3D.trained(SMALL + ending, 30))
                    for method, ending in STEPS.items()
                ),
                cpu=(DIGITS, replace(DIGITS, protocol="moving-mnist/10-20")),
            ),
        ),
        note=NOTE,
    ),
)
