"""SimVP: blocks of frames from blocks of frames by convolutions alone.

An encoder makes maps of every frame. A translator takes the maps of all frames as the channels of
one image and makes those of the next frames: `inception` is the first paper's, `gsta` the second's.
A decoder makes frames of them, with the help of the encoder's first maps. Nothing is recurrent.

Reference:
    Gao, Tan, Wu, Li, SimVP: Simpler yet Better Video Prediction (CVPR 2022).
    Tan, Gao, Li, Li, SimVP: Towards Simple yet Powerful Spatiotemporal Predictive Learning (2022).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.batch_norm import BatchNorm, settle
from framecast.layers.recompute import recompute
from framecast.layers.separable import Depthwise, Pointwise
from framecast.layers.typed import Layers
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step, pad_to_multiple
from framecast.noise import Noise
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig

LAYOUT = torch.channels_last
"""In which convolutions are fastest; it changes no result."""
SLOPE = 0.2
"""Of LeakyReLU below 0."""

Size = Literal["same", "half", "double"]
"""Of what comes out of a layer, beside what goes in."""


@dataclass(frozen=True)
class SimVPConfig(ModelConfig):
    """Sizes of a SimVP; the papers' symbols are in brackets."""

    type: ClassVar[str] = "simvp"
    channels: int = 1
    """Channels of a frame."""
    context: int = 10
    """Frames that a block is predicted from."""
    future: int = 10
    """Frames of a block, predicted together; longer horizons go on from them. As published it is
    `context`, whatever the horizon."""
    hidden: int = 64
    """Channels of a frame's maps [hid_S]."""
    halvings: int = 2
    """How often the encoder halves the size, with two convolutions each, and the decoder doubles it
    [N_S / 2]."""
    kernel: int = 3
    """Width of the encoder's and the decoder's convolutions."""
    translator: Literal["inception", "gsta"] = "gsta"
    """A U-shape of inception blocks, or a stack of blocks with gated attention."""
    wide: int = 512
    """Channels of the translator [hid_T]."""
    blocks: int = 8
    """Blocks of the translator; of inception blocks there are so many down and up again [N_T]."""
    expansion: int = 8
    """How many times wider a `gsta` block is inside its second half."""
    reach: tuple[int, int, int] = (5, 7, 3)
    """Attention of `gsta`: width of a first convolution, and of a second whose places lie so many
    cells apart. These stand for one of width 21."""
    drop_path: tuple[float, float] = (0.0, 0.0)
    """Probability in training that a clip skips half of a block, in the first and the last block of
    `gsta`; between them it changes linearly."""
    inception: tuple[int, ...] = (3, 5, 7, 11)
    """Widths of the convolutions side by side in an `inception` block."""
    groups: int = 8
    """Groups of channels of these convolutions, and of the norms after them."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("channels", "context", "future", "halvings", "blocks", "expansion", "groups"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, got {getattr(self, name)}")
        if self.hidden < 2 or self.hidden % 2:
            raise ConfigError(f"hidden is a multiple of the norms' 2 groups, got {self.hidden}")
        for width in (self.kernel, *self.reach[:2], *self.inception):
            if width < 1 or width % 2 == 0:
                raise ConfigError(f"kernels are odd, so that maps keep their size; got {width}")
        if self.reach[2] < 1 or self.wide < 2:
            raise ConfigError("the last of reach is at least 1, and wide at least 2")
        if not all(0 <= rate < 1 for rate in self.drop_path):
            raise ConfigError(f"drop_path is from 0 to below 1, got {self.drop_path}")
        if self.translator == "inception":
            self._check_inception()

    def _check_inception(self) -> None:
        if any(self.drop_path):
            raise ConfigError("drop_path is of the translator gsta; leave it 0 with inception")
        if not self.inception:
            raise ConfigError("inception needs at least one kernel")
        for name, width in (("wide / 2", self.wide / 2), ("future × hidden", self.mapped)):
            if width % self.groups:
                raise ConfigError(f"{name} is a multiple of groups {self.groups}, got {width:g}")

    @property
    def seen(self) -> int:
        """Channels that enter the translator."""
        return self.context * self.hidden

    @property
    def mapped(self) -> int:
        """Channels that leave it."""
        return self.future * self.hidden


# encoder and decoder


class Resized(nn.Module):
    """Convolution that keeps, halves or doubles the size, norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, size: Size) -> None:
        """Draw the weights with a spread of 0.02; biases are 0."""
        super().__init__()
        stride = 2 if size == "half" else 1
        self.larger = size == "double"
        maps = outputs * 4 if self.larger else outputs
        self.convolution = nn.Conv2d(inputs, maps, kernel, stride, kernel // 2)
        self.norm = nn.GroupNorm(2, outputs)
        nn.init.trunc_normal_(self.convolution.weight, std=0.02)
        _zero(self.convolution)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        """Doubling, four neighbouring pixels are channels of one cell."""
        x = self.convolution(x)
        x = functional.pixel_shuffle(x, 2) if self.larger else x
        return functional.silu(self.norm(x))


def _alternating(config: SimVPConfig, size: Size) -> Layers[Resized]:
    """As many layers that change the size as there are halvings, others between them."""
    between: tuple[Size, ...] = ("same", size)
    sizes = (size, *(between * (config.halvings - 1)))
    return Layers[Resized](Resized(config.hidden, config.hidden, config.kernel, s) for s in sizes)


def _through(layers: Iterable[nn.Module], x: Tensor, recomputed: bool) -> Tensor:
    """One layer after another, of which, if they are recomputed, the inputs alone are kept."""
    for layer in layers:
        x = recompute(layer, x, when=recomputed)
    return x


class Encoder(nn.Module):
    """Maps of single frames."""

    def __init__(self, config: SimVPConfig) -> None:
        """Two convolutions for each halving; the second one halves."""
        super().__init__()
        self.first = Resized(config.channels, config.hidden, config.kernel, "same")
        self.rest = _alternating(config, "half")

    def forward(
        self, frames: Float[Tensor, "n c h w"], recomputed: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The small maps, and those of the first convolution, in the size of the frames."""
        # a copy, as the strides of a single channel do not say which layout it is in
        last = frames.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)
        first = recompute(self.first, last, when=recomputed)
        return _through(self.rest, first, recomputed), first


class Decoder(nn.Module):
    """Single frames from their maps: the encoder mirrored."""

    def __init__(self, config: SimVPConfig) -> None:
        """Two convolutions for each doubling; the first one doubles."""
        super().__init__()
        self.rest = _alternating(config, "double")
        self.last = Resized(config.hidden, config.hidden, config.kernel, "same")
        self.output = Pointwise(config.hidden, config.channels)

    def forward(
        self, maps: Tensor, first: Tensor, recomputed: bool = False
    ) -> Float[Tensor, "n c h w"]:
        """Frames; `first` are the encoder's first maps of the observed frames beside them."""
        both = _through(self.rest, maps, recomputed) + first
        return self.output(recompute(self.last, both, when=recomputed))


# the translator of the first paper


class InceptionBlock(nn.Module):
    """Convolutions of several widths side by side, added up."""

    def __init__(self, inputs: int, outputs: int, config: SimVPConfig) -> None:
        """Channels are halved first."""
        super().__init__()
        half, groups = config.wide // 2, config.groups
        self.narrow = Pointwise(inputs, half)
        self.sides = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(half, outputs, kernel, padding=kernel // 2, groups=groups),
                nn.GroupNorm(groups, outputs),
                nn.LeakyReLU(SLOPE),
            )
            for kernel in config.inception
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """The sum."""
        x = self.narrow(x).contiguous()  # convolutions in groups are faster with channels first
        return reduce(torch.add, [side(x) for side in self.sides])


class Inception(nn.Module):
    """Inception blocks, then as many that each see what one of the first gave, the last one first.

    Reference: Gao et al. (2022), Section 3.
    """

    def __init__(self, config: SimVPConfig) -> None:
        """All blocks but the last have `wide` channels."""
        super().__init__()
        wide, more = config.wide, config.blocks - 1
        ins, back = (config.seen, *[wide] * more), (wide, *[2 * wide] * more)
        outs = (*[wide] * more, config.mapped)
        self.down = Layers[InceptionBlock](InceptionBlock(i, wide, config) for i in ins)
        self.up = Layers[InceptionBlock](
            InceptionBlock(i, o, config) for i, o in zip(back, outs, strict=True)
        )

    def forward(
        self, x: Float[Tensor, "b c h w"], recomputed: bool = False
    ) -> Float[Tensor, "b d h w"]:
        """Maps of the future, a frame's channels in a row; so are those of the context."""
        given: list[Tensor] = []
        for block in self.down:
            x = recompute(block, x, when=recomputed)
            given.append(x)
        given.pop()
        first, *others = self.up
        x = recompute(first, x, when=recomputed)
        for block in others:
            x = recompute(block, torch.cat([x, given.pop()], 1), when=recomputed)
        return x


# the translator of the second paper


def _spread(convolution: nn.Conv2d) -> nn.Conv2d:
    """Weights whose variance is 2 over what a place of the input goes into; biases are 0."""
    fan = convolution.weight[0, 0].numel() * convolution.out_channels // convolution.groups
    nn.init.normal_(convolution.weight, std=(2 / fan) ** 0.5)
    return _zero(convolution)


def _zero(convolution: nn.Conv2d) -> nn.Conv2d:
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution


class GatedAttention(nn.Module):
    """Large kernels in two steps weigh what they themselves made.

    Reference: Tan et al. (2022), gated spatiotemporal attention.
    """

    def __init__(self, channels: int, reach: tuple[int, int, int]) -> None:
        """Weights are drawn as the authors' program does."""
        super().__init__()
        near, far, apart = reach
        self.enter = _spread(Pointwise(channels, channels))
        self.near = _spread(Depthwise(channels, near))
        self.far = _spread(Depthwise(channels, far, apart))
        self.gates = _spread(Pointwise(channels, 2 * channels))
        self.leave = _spread(Pointwise(channels, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Half of the maps times the sigmoid of the other half; what came in is added."""
        maps = self.gates(self.far(self.near(functional.gelu(self.enter(x)))))
        return self.leave(functional.glu(maps, 1)) + x


class Mixer(nn.Module):
    """Channels mixed through a wider layer, which sees the neighbours, too."""

    def __init__(self, channels: int, expansion: int) -> None:
        """Weights are drawn as the authors' program does."""
        super().__init__()
        inner = channels * expansion
        self.enter = _spread(Pointwise(channels, inner))
        self.near = _spread(Depthwise(inner, 3))
        self.leave = _spread(Pointwise(inner, channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """What is added to the maps."""
        return self.leave(functional.gelu(self.near(self.enter(x))))


class Added(nn.Module):
    """What a network makes of normalised maps, scaled by channel and added to them."""

    def __init__(self, channels: int, network: nn.Module, drop: float) -> None:
        """Scales begin at 0.01."""
        super().__init__()
        self.norm, self.network, self.drop = BatchNorm(channels), network, drop
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 1e-2))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """In training some clips, by chance, stay as they are; others make up for them."""
        change = self.scale * self.network(self.norm(x))
        if self.training and self.drop:
            kept = (torch.rand(len(x), 1, 1, 1) >= self.drop).to(change)
            change = change * kept / (1 - self.drop)
        return x + change


class GSTA(nn.Module):
    """Blocks of gated attention and mixed channels, as many channels wide as what they take.

    Reference: Tan et al. (2022), Section 3.
    """

    def __init__(self, config: SimVPConfig) -> None:
        """After a block channels change, if the next one has others."""
        super().__init__()
        widths = (config.seen, *[config.wide] * (config.blocks - 1), config.mapped)
        first, last = config.drop_path
        parts: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            rate = first + (last - first) * number / max(config.blocks - 1, 1)
            parts.append(Added(inputs, GatedAttention(inputs, config.reach), rate))
            parts.append(Added(inputs, Mixer(inputs, config.expansion), rate))
            if inputs != outputs:
                parts.append(Pointwise(inputs, outputs))
        self.parts = nn.ModuleList(parts)

    def forward(
        self, x: Float[Tensor, "b c h w"], recomputed: bool = False
    ) -> Float[Tensor, "b d h w"]:
        """Maps of the future, a frame's channels in a row; so are those of the context."""
        return _through(self.parts, x, recomputed)


# the model


class SimVP(Model):
    """Blocks of frames from blocks of frames by convolutions; a point predictor for any size."""

    config_type = SimVPConfig

    def __init__(self, config: SimVPConfig) -> None:
        """Make encoder, translator and decoder."""
        super().__init__(config)
        self.encoder = Encoder(config)
        self.translator = {"inception": Inception, "gsta": GSTA}[config.translator](config)
        self.decoder = Decoder(config)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels; sizes are padded to what the encoder halves, and the
        last frames of a context are kept."""
        return FrameSpec(
            channels=self.config.channels,
            multiple_of=2**self.config.halvings,
            context_min=self.config.context,
            context_max=self.config.context,
        )

    def block(
        self, frames: Float[Tensor, "b t c h w"], recomputed: bool = False
    ) -> Float[Tensor, "b t2 c h w"]:
        """The next `future` frames from `context` frames, of sizes that need no padding."""
        count, context = frames.shape[:2]
        maps, first = self.encoder(frames.flatten(0, 1), recomputed)
        image = maps.unflatten(0, (count, context)).flatten(1, 2)
        image = self.translator(image.contiguous(memory_format=LAYOUT), recomputed)
        maps = image.unflatten(1, (self.config.future, -1)).flatten(0, 1)
        maps = maps.contiguous(memory_format=LAYOUT)
        decoded = self.decoder(maps, self._beside(first, count), recomputed)
        return decoded.unflatten(0, (count, -1))

    def _beside(self, first: Tensor, count: int) -> Tensor:
        """The first maps of one observed frame for each frame of a block, as published in order.

        With more frames to come than were seen, the last one goes on; with fewer, the last ones
        count.
        """
        context, future = self.config.context, self.config.future
        if context == future:
            return first
        numbers = torch.arange(future, device=first.device) + max(context - future, 0)
        maps = first.unflatten(0, (count, context))[:, numbers.clamp(max=context - 1)]
        return maps.flatten(0, 1).contiguous(memory_format=LAYOUT)

    def blocks(
        self, frames: Float[Tensor, "b t c h w"], horizon: int, recomputed: bool = False
    ) -> Iterator[Tensor]:
        """Block after block, each from the last frames before it; the last one is cut.

        Args:
            frames: The last `context` frames, of sizes that need no padding.
            horizon: How many frames in all.
            recomputed: Keep the inputs of layers alone for the backward pass, and compute the rest
                again.
        """
        for done in range(0, horizon, self.config.future):
            block = self.block(frames, recomputed)
            yield block[:, : horizon - done]
            frames = torch.cat([frames, block], 1)[:, -self.config.context :]

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Predict blocks and go on from them as they are, unclipped; all samples are equal."""
        del noise, options
        for block in self.blocks(context.frames, horizon):
            for frame in block.unbind(1):
                yield Step(frame.expand(samples or 1, *frame.shape))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The next frame after each true one: the first of a block from every beginning of the
        clip, whose first frame is repeated before it where it is too short."""
        height, width = clip.frames.shape[-2:]
        missing, ends = self.config.context - 1, range(1, clip.length)
        before = clip.frames[:, :1].expand(-1, missing, -1, -1, -1)
        frames = self.adapted(torch.cat([before, clip.frames], 1))
        predicted = [self.block(frames[:, end - 1 : missing + end])[:, 0] for end in ends]
        return self.restored(torch.stack(predicted, 1), (clip.frames.shape[2], height, width))


# training


@dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """How a SimVP is trained."""

    type: ClassVar[str] = "simvp/main"
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    """Optimizer of all parameters."""
    recompute: bool = False
    """Compute each layer again in the backward pass: equal gradients, less memory, more time."""

    def check(self, model: ModelConfig, context: int, horizon: int) -> None:
        """See that a block can be predicted, and that all of it is learnt."""
        assert isinstance(model, SimVPConfig)
        if context < model.context:
            raise ConfigError(
                f"this simvp predicts from {model.context} frames, and the experiment's "
                f"context has {context}; give both the same"
            )
        if horizon < model.future:
            raise ConfigError(
                f"this simvp predicts {model.future} frames together, and the experiment's "
                f"horizon has {horizon}, which leaves the others untrained; set --model.future "
                f"{horizon}"
            )


class Training(Stage, of=SimVP, name="main"):
    """Squared error of the horizon; beyond a block the model's own frames are gone on from."""

    config_type = TrainingConfig

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """The loss over the horizon, a mean per pixel."""
        del phase, step
        frames = self.model.coloured(batch.frames)
        height, width = frames.shape[-2:]
        seen = frames[:, self.context - self.model.config.context : self.context]
        horizon = frames.shape[1] - self.context
        seen = pad_to_multiple(seen, self.model.expects.multiple_of)
        blocks = self.model.blocks(seen, horizon, self.config.recompute)
        predicted = torch.cat(list(blocks), 1)[..., :height, :width]
        return {"total": functional.mse_loss(predicted.float(), frames[:, self.context :])}

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Move the running statistics of the norms."""
        del step
        settle(self.model, reducer)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout."""
        return self.rollout_scores(batch)
