"""What every model is: the frames it expects, its rollout, and all that they share."""

import hashlib
import json
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast import folder, registry
from framecast.clip import Clip
from framecast.config import Config, Json, from_json, to_json
from framecast.errors import FolderError, FramecastError
from framecast.noise import Noise
from framecast.pictures import Panel
from framecast.weights import fits

BRIGHTEST = 2
"""Frames are in [0, 1]; what exceeds this is of another range, and not noise."""


@dataclass(frozen=True)
class FrameSpec:
    """The frames that a model takes."""

    channels: int | None  # None: any number
    size: tuple[int, int] | None = None  # (h, w) in pixels; None: any
    multiple_of: int = 1  # h and w are padded to a multiple of this
    context_min: int = 1  # frames
    context_max: int | None = None  # frames; the last ones are kept


@dataclass(frozen=True)
class Options:
    """How to predict, beyond the horizon and the samples; each model adds its own fields."""


@dataclass(frozen=True)
class ModelConfig(Config):
    """Base of a model's configuration; `type` is the model's registered name."""

    def build(self) -> "Model":
        """A new model of this configuration, weights drawn from the global generator."""
        return registry.find("models", self.type)(self)

    @classmethod
    def resolve(cls, name: str) -> type["ModelConfig"]:
        """The configuration class of a model's registered name."""
        return registry.find("models", name).config_type


@dataclass(frozen=True)
class Step:
    """One predicted frame of every sample."""

    frame: Float[Tensor, "s b c h w"]  # unclipped
    log_prob: Float[Tensor, "s b"] | None = None  # nats of this frame's codes, where it has codes


@dataclass(frozen=True)
class Prediction:
    """Predicted futures."""

    unclipped: Float[Tensor, "s b t c h w"]
    log_prob: Float[Tensor, "s b t"] | None = None  # nats per frame

    @property
    def frames(self) -> Float[Tensor, "s b t c h w"]:
        """The frames, clipped to [0, 1]."""
        return self.unclipped.clamp(0, 1)


class Model(nn.Module, ABC):
    """A video predictor.

    A model's file gives `config_type`, `expects`, `rollout`, `teacher_forced` and its stages; the
    rest is here.
    """

    config_type: ClassVar[type[ModelConfig]]
    options_type: ClassVar[type[Options]] = Options
    stages: ClassVar[dict[str, Any]]
    """Training stages by name; a `Stage` subclass enters itself."""

    config: Any
    about: Json
    """What the weights were trained on and for; written to and read from model folders."""

    def __init__(self, config: ModelConfig) -> None:
        """Keep the configuration; a subclass builds its networks from it."""
        super().__init__()
        self.config = config
        self.about = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give every model its own table of stages."""
        super().__init_subclass__(**kwargs)
        cls.stages = {}

    @property
    @abstractmethod
    def expects(self) -> FrameSpec:
        """The frames that `rollout` takes."""

    @abstractmethod
    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Predict frame after frame.

        Args:
            context: `b t c h w` as `expects` says.
            horizon: How many frames.
            samples: Futures per sequence; None is the point prediction, with one row of samples.
            noise: A stream per row.
            options: An instance of the model's `options_type`.
        """

    @abstractmethod
    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """Predict every next frame from the true ones before it, as training does.

        Output i predicts frame i + 1 and depends on frames up to i alone, so there is one fewer
        than frames.
        """

    def check_options(self, options: Options) -> None:
        """See that options fit this model's sizes, where their own ranges do not say so.

        Raises:
            ValueError: says which one does not.
        """
        del options

    def log_prob(self, context: Clip, future: Clip) -> Float[Tensor, " b"]:
        """Log-likelihood of given futures' codes, in nats, by the untempered model.

        Not a likelihood of pixels.

        Raises:
            ValueError: as `code_log_probs`.
        """
        levels = self.code_log_probs(context, future)
        return torch.stack([level.sum(1) for level in levels]).sum(0)

    def code_log_probs(self, context: Clip, future: Clip) -> tuple[Float[Tensor, "b _"], ...]:
        """Log-likelihood of each code of given futures, given all before it, in nats.

        Args:
            context: Observed frames.
            future: Those that follow.

        Returns:
            Level by level, from coarse to fine, all codes of the future's frames.

        Raises:
            ValueError: if the model has no likelihood of codes, or takes no clips of this length.
        """
        del context, future
        raise FramecastError(f"{self.config.type} has no codes and gives them no likelihood")

    def _together(self, context: Clip, future: Clip) -> Tensor:
        """The frames of both, as the model takes them, one after the other.

        Raises:
            FramecastError: if they are not what the model expects, or not alike.
        """
        self._check_frames(context.frames)
        one, other = (tuple(clip.frames.shape) for clip in (context, future))
        if (one[0], one[2:]) != (other[0], other[2:]):
            raise FramecastError(
                f"context and future are of one size, got b t c h w of {one} and {other}"
            )
        return self.adapted(torch.cat([context.frames, future.frames], 1))

    def inspect(self, clip: Clip) -> list[Panel]:
        """Pictures of what the model makes of a clip `1 t c h w`.

        Raises:
            ValueError: if the model has nothing to show.
        """
        del clip
        raise FramecastError(f"{self.config.type} has nothing inside to show as pictures")

    def predict(
        self,
        context: Clip | Float[Tensor, "b t c h w"],
        horizon: int,
        *,
        samples: int | None = None,
        seed: int = 0,
        sequences: Sequence[int] | None = None,
        options: Options | None = None,
    ) -> Prediction:
        """Predict the next frames of a batch of clips.

        Args:
            context: Observed frames in [0, 1], `b t c h w`.
            horizon: How many frames to predict, at least 1.
            samples: Futures per sequence; None for the model's point prediction.
            seed: With the same seed, the same futures.
            sequences: Numbers of the sequences, which name their random streams; 0, 1, … if None.
            options: The model's own options.

        Returns:
            The futures, `s b t c h w`, in the size and channels of the context.

        Raises:
            ValueError: if the context or an argument is not what the model expects.
        """
        steps = list(
            self.stream(
                context,
                horizon,
                samples=samples,
                seed=seed,
                sequences=sequences,
                options=options,
            )
        )
        given = [step.log_prob for step in steps if step.log_prob is not None]
        return Prediction(
            torch.stack([step.frame for step in steps], dim=2),
            torch.stack(given, dim=2) if given else None,
        )

    def stream(
        self,
        context: Clip | Float[Tensor, "b t c h w"],
        horizon: int,
        *,
        samples: int | None = None,
        seed: int = 0,
        sequences: Sequence[int] | None = None,
        options: Options | None = None,
        first_sample: int = 0,
    ) -> Iterator[Step]:
        """As `predict`, frame by frame as they come: memory does not grow with the horizon.

        `first_sample` is the number of the first sample: 100 samples come out the same at once or
        as 50 from number 0 and 50 from number 50.
        """
        clip = context if isinstance(context, Clip) else Clip(context)
        options = self.options_type() if options is None else options
        self._check(clip, horizon, samples, options)
        numbers = range(len(clip.frames)) if sequences is None else sequences
        if len(numbers) != len(clip.frames):
            raise FramecastError(f"{len(numbers)} sequence numbers for {len(clip.frames)} clips")
        noise = Noise.of(seed, numbers, samples or 1, first_sample)
        return self._stream(clip, horizon, samples, noise, options)

    def _stream(
        self, clip: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        channels, height, width = clip.frames.shape[-3:]
        steps = self.rollout(self._adapt(clip), horizon, samples, noise, options)
        while True:
            # not around the loop: between frames the mode and the gradients are the consumer's
            with torch.no_grad(), evaluating(self):
                step = next(steps, None)
            if step is None:
                return
            yield Step(self.restored(step.frame, (channels, height, width)), step.log_prob)

    def _check(self, clip: Clip, horizon: int, samples: int | None, options: Options) -> None:
        name = self.config.type
        self._check_frames(clip.frames)
        if not _whole(horizon):
            raise FramecastError(
                f"the horizon is at least 1 frame, as a whole number, got {horizon}"
            )
        if not (samples is None or _whole(samples)):
            raise FramecastError(
                f"samples is at least 1, as a whole number, or None, got {samples}"
            )
        if not isinstance(options, self.options_type):
            raise FramecastError(
                f"{name} expects {self.options_type.__name__}, got {type(options).__name__}"
            )
        self.check_options(options)
        if clip.length < self.expects.context_min:
            raise FramecastError(
                f"{name} expects at least {self.expects.context_min} context frames, "
                f"got {clip.length}"
            )

    def _check_inspected(self, clip: Clip) -> None:
        """See that there is one clip, of frames that the model takes."""
        if len(clip.frames) != 1:
            raise FramecastError("inspect takes one clip, 1 t c h w")
        self._check_frames(clip.frames)

    def _check_frames(self, frames: Tensor) -> None:
        spec, name = self.expects, self.config.type
        self._check_values(frames)
        if frames.ndim != 5 or 0 in frames.shape:
            shape = tuple(frames.shape)
            raise FramecastError(f"{name} expects frames as b t c h w, got the shape {shape}")
        channels, height, width = frames.shape[-3:]
        if spec.channels not in (None, channels) and (channels, spec.channels) != (1, 3):
            raise FramecastError(f"{name} expects {spec.channels} channels, got {channels}")
        if spec.size not in (None, (height, width)):
            raise FramecastError(
                f"{name} expects frames of {spec.size[0]}x{spec.size[1]}, got {height}x{width}"
            )

    def _check_values(self, frames: Tensor) -> None:
        """See that frames are of numbers that the weights go with."""
        name = self.config.type
        if not isinstance(frames, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(frames).__name__
            raise FramecastError(f"{name} expects a torch tensor b t c h w in [0, 1], got {kind}")
        if not frames.is_floating_point():
            raise FramecastError(
                f"{name} expects frames in [0, 1], got {frames.dtype}; divide by 255, as float32"
            )
        weights = next((p for p in self.parameters() if p.is_floating_point()), frames)
        if frames.dtype != weights.dtype and not torch.is_autocast_enabled(frames.device.type):
            raise FramecastError(
                f"{name} has weights of {weights.dtype}, got frames of {frames.dtype}; convert them"
            )
        if frames.device != weights.device:
            raise FramecastError(
                f"{name} is on {weights.device}, got frames on {frames.device}; move one of them"
            )
        if frames.device.type == "cpu" and frames.numel():
            low, high = map(float, frames.detach().aminmax())  # of which NaN makes NaN
            if not (math.isfinite(low) and math.isfinite(high)):
                raise FramecastError(
                    f"{name} expects frames in [0, 1], got values that are not finite; replace them"
                )
            if high > BRIGHTEST:
                raise FramecastError(
                    f"{name} expects frames in [0, 1], got up to {high:g}; divide by their largest "
                    "possible value, such as 255"
                )

    def _adapt(self, clip: Clip) -> Clip:
        spec = self.expects
        clip = clip.pick(slice(-spec.context_max if spec.context_max else None, None))
        return Clip(self.adapted(clip.frames), clip.actions, clip.seconds)

    def adapted(self, frames: Tensor) -> Tensor:
        """Frames with the channels and the padding that the model takes."""
        return pad_to_multiple(self.coloured(frames), self.expects.multiple_of)

    def coloured(self, frames: Tensor) -> Tensor:
        """Frames with the channels that the model takes: one is made three."""
        gray = (frames.shape[2], self.expects.channels) == (1, 3)
        return frames.expand(-1, -1, 3, -1, -1) if gray else frames

    def restored(self, frames: Tensor, shape: Sequence[int]) -> Tensor:
        """Frames `* c h w` of the model in the channels, height and width of what it was given."""
        channels, height, width = shape
        frames = frames[..., :height, :width]
        return frames if frames.shape[-3] == channels else frames.mean(-3, keepdim=True)

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for a model without any."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def fingerprint(self) -> str:
        """SHA-256 of configuration and tensors, as hex."""
        return digest_of(self.config, self)

    def parameter_count(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def save(
        self, path: str | PathLike[str], *, half: bool = False, card: str | None = None
    ) -> None:
        """Write a model folder that `framecast.load` reads.

        Args:
            path: The folder; an older model folder there is replaced in one step.
            half: Store floating-point weights in half precision.
            card: The text of its README.md; a short one is made if None.

        Raises:
            FolderError: if something else stands there or it cannot be written, or a weight is too
                large for half precision.
        """
        tensors = self.state_dict()
        if half:
            for key, value in tensors.items():
                if value.is_floating_point() and not fits(value, torch.half):
                    raise FolderError(f"{key} has values that half precision cannot hold")
            tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
        name, fields = self.config.type, to_json(self.config)
        fields.pop("type")
        card = card or f"# {name}\n\n{self.parameter_count():,} parameters.\n"
        folder.write_model(Path(path), name, fields, tensors, self.about, card)


def load(name: str | PathLike[str], device: torch.device | str = "cpu") -> Model:
    """Load a model: a shipped name (`framecast.models()`), a model folder, or a training run.

    Nothing in the folder is executed: weights are safetensors, the rest is JSON, and the type is
    looked up among the registered models.

    Returns:
        The model in evaluation mode.

    Raises:
        FolderError: if the folder is missing or damaged, or the weights do not fit.
        ConfigError: if its configuration has unknown fields or wrong types.
    """
    contents = folder.read_model(folder.locate(name))
    data = {"type": contents.type, **contents.config}
    config = from_json(ModelConfig, data, str(contents.path / folder.CONFIG))
    model = config.build()
    load_weights(model, contents.tensors, str(contents.path))
    model.about = contents.about
    return model.to(device).eval()


def digest_of(config: Config, module: nn.Module) -> str:
    """SHA-256 of a configuration and of a module's tensors, as hex."""
    found = hashlib.sha256(json.dumps(to_json(config), sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        found.update(f"{name}:{plain.dtype}:{tuple(plain.shape)}".encode())
        found.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back into its own afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def load_weights(model: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Copy tensors into a module, all of them or none.

    Raises:
        FolderError: names the first tensor that is missing, unknown, or of another shape.
    """
    expected = model.state_dict()
    for key, tensor in expected.items():
        if key not in tensors:
            raise FolderError(f"{where}: the weights lack {key}")
        if tensors[key].shape != tensor.shape:
            got, want = tuple(tensors[key].shape), tuple(tensor.shape)
            raise FolderError(f"{where}: {key} has the shape {got}, the model needs {want}")
    for key in tensors:
        if key not in expected:
            raise FolderError(f"{where}: the weights hold {key}, which the model does not have")
    model.load_state_dict(tensors)


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Extend the last two axes below and right, by reflection, to multiples of a number.

    A frame smaller than its padding is reflected repeatedly.
    """
    height, width = frames.shape[-2:]
    missing = (-height % multiple, -width % multiple)
    if missing == (0, 0):
        return frames
    flat = frames.reshape(-1, 1, height, width)
    while missing != (0, 0):
        down = min(missing[0], max(flat.shape[-2] - 1, 0))
        right = min(missing[1], max(flat.shape[-1] - 1, 0))
        if (down, right) == (0, 0):
            flat = functional.pad(flat, (0, missing[1], 0, missing[0]), mode="replicate")
            break
        flat = functional.pad(flat, (0, right, 0, down), mode="reflect")
        missing = (missing[0] - down, missing[1] - right)
    return flat.reshape(*frames.shape[:-2], *flat.shape[-2:])


def _whole(value: object) -> bool:
    """Whether it is a whole number from 1, of any library."""
    try:
        return operator.index(value) >= 1  # pyright: ignore[reportArgumentType]
    except TypeError:
        return False
