"""LPIPS, the learned perceptual distance, and the files that it needs.

Its weights are not part of the package. A folder of weights, named by the caller or by the
environment variable `FRAMECAST_WEIGHTS`, holds safetensors files that `framecast weights convert`
makes:

    lpips-v0.1-alex.safetensors      alexnet.safetensors
    lpips-v0.1-vgg.safetensors       vgg16.safetensors
    lpips-v0.1-squeeze.safetensors   squeezenet1_1.safetensors

and `lpips-v0.0-…` for the first release of the linear heads. LPIPS of different networks cannot be
compared; a metric's key always names the network.

Reference: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric",
CVPR 2018, equation 1.
"""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast import weights as files
from framecast.errors import FramecastError
from framecast.evaluation.metrics.chunks import per_frame
from framecast.evaluation.metrics.features import CHANNELS, FILES, SMALLEST, Features, Network

Version = Literal["0.1", "0.0"]

VARIABLE = "FRAMECAST_WEIGHTS"
UNNAMED = (
    f"no folder of weights is named (argument `weights`, option --weights, or environment variable "
    f"{VARIABLE})"
)
SHIFT = (-0.030, -0.088, -0.188)  # of red, green and blue in [-1, 1]
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10  # added to the norm of a feature vector before dividing by it
PORTION = 1 << 18  # values of frames worked on at a time; features need up to 300 times as many


class Lpips(nn.Module):
    """A feature stack with one linear head per compared layer.

    Attributes:
        network: Which stack.
        version: Release of the heads. Version 0.0 is fed without shift and scale of the colours,
            as it was published.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: Network, version: Version) -> None:
        super().__init__()
        self.network: Network = network
        self.version: Version = version
        self.features = Features(network)
        self.heads = nn.ParameterList(torch.zeros(1, count, 1, 1) for count in CHANNELS[network])
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(
        self, one: Float[Tensor, "n 3 h w"], two: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n"]:
        """Distance of RGB images in [-1, 1]: summed over layers, mean over each layer's pixels."""
        return self.between(self.looked_at(one), self.looked_at(two))

    def looked_at(self, images: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """What is compared of images: unit vectors in each place of each layer."""
        if self.version == "0.1":
            images = (images - self.shift) / self.scale
        return [_unit(features) for features in self.features(images)]

    def between(self, one: list[Tensor], two: list[Tensor]) -> Float[Tensor, "n"]:
        """The distance, from what `looked_at` gives."""
        layers = zip(one, two, self.heads, strict=True)
        distances = [((a - b).square() * head).sum(1).mean((1, 2)) for a, b, head in layers]
        return torch.stack(distances).sum(0)


def lpips(
    prediction: Float[Tensor, "*n c h w"],
    target: Float[Tensor, "*n c h w"],
    model: Lpips,
    *,
    published_range: bool = True,
) -> Float[Tensor, "*n"]:
    """LPIPS of each frame.

    Args:
        prediction: Frames in [0, 1], RGB or gray (c = 3 or 1; gray is repeated to three channels).
        target: Frames in [0, 1] of the same shape. Where it is one that was expanded over samples,
            it is looked at once for all of them.
        model: From `load`, on the frames' device.
        published_range: Map [0, 1] to the network's range [-1, 1]. `False` feeds [0, 1] as it is,
            which some published evaluations do; the scale of the values differs.

    Returns:
        Distances ≥ 0; 0 for equal frames.

    Raises:
        FramecastError: Another number of channels, or frames too small for the network.
    """
    channels, height, width = target.shape[-3:]
    smallest = SMALLEST[model.network]
    if channels not in (1, 3):
        raise FramecastError(f"LPIPS compares frames of 1 or 3 channels, not {channels}")
    if min(height, width) < smallest:
        raise FramecastError(
            f"frames of {height}×{width} are too small for LPIPS with {model.network}: "
            f"{smallest}×{smallest} at least"
        )

    def frames(one: Tensor, two: Tensor) -> Tensor:
        return model(_fed(one, published_range), _fed(two, published_range))

    expanded = target.ndim > 3 and len(target) > 1 and target.stride(0) == 0
    if expanded and prediction.shape == target.shape:
        return _against_one(prediction, target[0], model, published_range)
    return per_frame(frames, prediction, target, pixels=PORTION)


def _against_one(
    prediction: Float[Tensor, "s *n c h w"],
    target: Float[Tensor, "*n c h w"],
    model: Lpips,
    published_range: bool,
) -> Float[Tensor, "s *n"]:
    """All samples of a frame one after another, so that few target frames meet in a portion."""
    with torch.no_grad():
        samples, *leading = prediction.shape[:-3]
        ours = prediction.movedim(0, -4).flatten(0, -4)
        theirs = target.reshape(-1, *target.shape[-3:])
        owners = torch.arange(len(theirs), device=target.device).repeat_interleave(samples)
        portion = max(1, PORTION // theirs[0].numel())
        distances = []
        for own, owner in zip(ours.split(portion), owners.split(portion), strict=True):
            first, last = int(owner[0]), int(owner[-1])
            seen = model.looked_at(_fed(theirs[first : last + 1].float(), published_range))
            repeated = [layer[owner - first] for layer in seen]
            own_seen = model.looked_at(_fed(own.float(), published_range))
            distances.append(model.between(own_seen, repeated))
        return torch.cat(distances).reshape(*leading, samples).movedim(-1, 0)


def folder_of(weights: Path | None) -> Path | None:
    """The folder of weights: the one given, else the one that `FRAMECAST_WEIGHTS` names, if any."""
    if weights is not None:
        return weights
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def missing(network: Network, version: Version, weights: Path | None) -> str | None:
    """Why LPIPS cannot be computed, in one line; `None` where its files are there."""
    folder = folder_of(weights)
    if folder is None:
        return UNNAMED
    absent = [name for name in _names(network, version) if not (folder / name).is_file()]
    return f"{folder} lacks {' and '.join(absent)}" if absent else None


def load(network: Network, version: Version, weights: Path | None, device: torch.device) -> Lpips:
    """LPIPS from converted files; loaded once per folder and device.

    Args:
        network: Which feature stack.
        version: Which release of the linear heads.
        weights: Folder of weights; `None` for the one that `FRAMECAST_WEIGHTS` names.
        device: Where the frames are.

    Raises:
        FramecastError: A file is missing or belongs to another network.
    """
    folder = folder_of(weights)
    reason = missing(network, version, weights)
    if folder is None or reason is not None:
        raise FramecastError(f"LPIPS with {network} needs weights: {reason}")
    return _loaded(network, version, folder.resolve(), device)


@lru_cache(maxsize=4)
def _loaded(network: Network, version: Version, folder: Path, device: torch.device) -> Lpips:
    model = Lpips(network, version)
    stack, heads = (folder / name for name in _names(network, version))
    _fill(dict(model.features.named_parameters()), files.read(stack), stack)
    names = {
        f"lin{number}.model.1.weight": head for number, head in enumerate(model.heads.parameters())
    }
    _fill(names, files.read(heads), heads)
    return model.to(device)


def _names(network: Network, version: Version) -> tuple[str, str]:
    return FILES[network], f"lpips-v{version}-{network}.safetensors"


def _fill(parameters: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    for name, parameter in parameters.items():
        if name not in state or state[name].shape != parameter.shape:
            raise FramecastError(
                f"{path}: lacks {name} of shape {tuple(parameter.shape)}; "
                "is it the file of another network?"
            )
        parameter.copy_(state[name])


def _fed(frames: Tensor, published_range: bool) -> Tensor:
    colour = frames.expand(-1, 3, -1, -1)
    return colour * 2 - 1 if published_range else colour


def _unit(features: Tensor) -> Tensor:
    norm = features.square().sum(1, keepdim=True).sqrt()
    return features / (norm + EPSILON)
