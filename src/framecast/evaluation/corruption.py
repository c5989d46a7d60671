"""Corruptions of the frames that a model is given, while the clean ones are what is scored.

Each is one kind at one level, called `KIND:LEVEL`, and changes frames in [0, 1] into frames in
[0, 1]. Beyond the borders a blur sees the nearest pixel.

Reference: S-HR-VQVAE, section 7.3 and figure 6, which name the kinds; levels are chosen here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from framecast.clip import Clip
from framecast.config import Config
from framecast.errors import ConfigError
from framecast.noise import Noise, mix
from framecast.registry import suggest

Kind = Literal["gaussian-blur", "fragment-blur", "noise"]

LEVELS: Mapping[Kind, tuple[float, ...]] = MappingProxyType(
    {
        "gaussian-blur": (1.0, 2.0, 4.0),
        "fragment-blur": (2.0, 4.0),
        "noise": (20.0, 10.0, 5.0, 0.0),
    }
)
"""The kinds and their usual levels, mildest first: σ in pixels, shift in pixels, SNR in dB."""

ALL = "all"
"""What stands for every usual level of every kind."""
REACH = 4
"""A Gaussian is cut off this many σ from its centre."""
NOISE_SEED = 0
"""Corrupted frames are data: they are the same in every evaluation, whatever its seed."""


@dataclass(frozen=True)
class Corruption(Config):
    """What happens to the frames that a model is given."""

    kind: Kind
    """Gaussian blur, mean of four shifted copies, or white Gaussian noise."""
    level: float
    """σ in pixels, shift in pixels (whole), or signal-to-noise ratio in dB."""

    def __post_init__(self) -> None:
        """Check the level.

        Raises:
            ConfigError: one line that says what levels there are.
        """
        if self.kind == "gaussian-blur" and not 0.01 <= self.level <= 1000:
            raise ConfigError(f"{self.name}: σ is from 0.01 to 1,000 pixels, such as 2")
        shifts = range(1, 1001)
        if self.kind == "fragment-blur" and self.level not in shifts:
            raise ConfigError(f"{self.name}: the shift is a whole number of pixels, such as 2")
        if self.kind == "noise" and not -200 <= self.level <= 200:
            raise ConfigError(f"{self.name}: the ratio is from -200 to 200 dB, such as 10")

    @property
    def name(self) -> str:
        """`KIND:LEVEL`, which `find` reads."""
        return f"{self.kind}:{self.level:.12g}"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return {
            "gaussian-blur": f"Gaussian blur, σ {self.level:g} px",
            "fragment-blur": f"fragment blur, four copies shifted by ±{self.level:g} px",
            "noise": f"white Gaussian noise, SNR {self.level:g} dB",
        }[self.kind]

    def __call__(self, clip: Clip, sequences: Sequence[int]) -> Clip:
        """The clips of a batch, corrupted; a pure function of each clip and its number.

        Args:
            clip: `b t c h w` in [0, 1].
            sequences: The clips' numbers in the dataset, which name their noise.
        """
        if self.kind == "gaussian-blur":
            frames = gaussian_blur(clip.frames, self.level)
        elif self.kind == "fragment-blur":
            frames = fragment_blur(clip.frames, int(self.level))
        else:
            frames = clip.frames + white_noise(clip.frames, self.level, sequences)
        return replace(clip, frames=frames.clamp(0, 1))


def find(name: str) -> Corruption:
    """The corruption of a name like `gaussian-blur:2`; any level that makes sense may be given.

    Raises:
        ConfigError: if there is none, with the nearest names.
    """
    kinds: dict[str, Kind] = {kind: kind for kind in LEVELS}
    kind, _, level = name.partition(":")
    number = _number(level)
    if kind not in kinds or number is None:
        raise ConfigError(f"there is no corruption {name!r}; {suggest(name, usual())}")
    return Corruption(kinds[kind], number)


def find_all(names: Sequence[str]) -> list[Corruption]:
    """The corruptions of several names, each once; `all` stands for all usual ones.

    Raises:
        ConfigError: as `find`.
    """
    known = [each for name in names for each in (usual() if name == ALL else [name])]
    return list(dict.fromkeys(map(find, known)))


def usual() -> list[str]:
    """Names of the usual levels of every kind."""
    return [Corruption(kind, level).name for kind, levels in LEVELS.items() for level in levels]


def gaussian_blur(
    frames: Float[Tensor, "*n c h w"], sigma: float | int
) -> Float[Tensor, "*n c h w"]:
    """Every frame and channel convolved with a Gaussian.

    Weights exp(−d²/2σ²) at whole distances d up to ⌈4σ⌉, across and down, scaled to a sum of 1.

    Args:
        frames: In any range.
        sigma: In pixels.
    """
    reach = math.ceil(REACH * sigma)
    distance = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    kernel = (weights / weights.sum()).to(frames)
    padded = _padded(frames, reach)
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(across, kernel.view(1, 1, -1, 1)).reshape(frames.shape)


def fragment_blur(frames: Float[Tensor, "*n c h w"], shift: int) -> Float[Tensor, "*n c h w"]:
    """The mean of four copies of every frame, shifted along the diagonals.

    Pixel (y, x) becomes the mean of the pixels (y ± shift, x ± shift).

    Args:
        frames: In any range.
        shift: In pixels.
    """
    height, width = frames.shape[-2:]
    padded = _padded(frames, shift)
    copies = [
        padded[..., y : y + height, x : x + width] for y in (0, 2 * shift) for x in (0, 2 * shift)
    ]
    return torch.stack(copies).mean(0).reshape(frames.shape)


def white_noise(
    frames: Float[Tensor, "b t c h w"], snr: float | int, sequences: Sequence[int]
) -> Float[Tensor, "b t c h w"]:
    """Gaussian noise, independent for every pixel, channel and frame, to be added to clips.

    The signal's power is the mean of the squared values (in [0, 1], nothing subtracted) over all
    frames, channels and pixels of a clip, so that one clip has noise of one strength: its variance
    is that power / 10^(snr/10). A black clip gets none. The draws are named by the clip's number
    alone, so that at other ratios it is the same noise, scaled.

    Args:
        frames: Clips of a batch.
        snr: Signal-to-noise ratio in dB, before anything is clipped.
        sequences: Numbers of the clips.
    """
    noise = Noise((tuple(mix(NOISE_SEED, "corruption", number) for number in sequences),))
    draws = torch.stack([noise.normal(*frames.shape[2:])[0] for _ in range(frames.shape[1])], 1)
    power = frames.double().square().flatten(1).mean(1)
    deviation = (power / 10 ** (snr / 10)).sqrt()
    return draws.to(frames) * deviation.to(frames).view(-1, 1, 1, 1, 1)


def _padded(frames: Tensor, reach: int) -> Float[Tensor, "n 1 h2 w2"]:
    """Frames with as many nearest pixels beyond each border; channels one by one."""
    planes = frames.reshape(-1, 1, *frames.shape[-2:])
    return functional.pad(planes, (reach,) * 4, mode="replicate")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
