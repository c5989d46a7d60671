"""How an S-HR-VQVAE is trained: autoencoder, then prior, then both jointly (§4.4)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip, Source
from framecast.data.coded import CodedClips
from framecast.errors import ConfigError
from framecast.layers.autoregressive import DrawOptions
from framecast.layers.quantise import tree_loss
from framecast.layers.upkeep import Upkeep
from framecast.model import digest_of
from framecast.models.s_hr_vqvae.model import SHRVQVAE, log_probs
from framecast.noise import Noise
from framecast.schedules import Schedule, constant
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig
from framecast.tokens import Codes

PAPER = OptimizerConfig(learning_rate=3e-4)
"""Adam as the paper has it, in every stage (§5.2)."""


@dataclass(frozen=True)
class AutoencoderTraining(StageConfig):
    """How the frame autoencoder is trained (Eqs 4 and 5)."""

    type: ClassVar[str] = "s-hr-vqvae/autoencoder"
    optimizer: OptimizerConfig = PAPER
    """Optimizer of encoder, codebooks and decoder."""
    beta: float = 0.25
    """How strongly latent vectors are held to their codewords, β_0 and all β_i."""
    frames_per_clip: int | None = 4
    """Frames taken from each clip, at random; None for all. Those of a clip resemble each other."""
    codebook: Literal["gradient", "average"] = "gradient"
    """Codewords follow Eqs 4 and 5 by gradient, or are moving averages of what chose them."""
    decay: float = 0.99
    """Of the moving averages: of codewords, and of how often each is chosen."""
    restart_every: int = 100
    """Steps between replacements of codewords that are hardly chosen; 0 for never."""
    restart_below: float = 0.03
    """A codeword is replaced if it takes less than this part of an equal share of what comes to its
    codebook."""
    sample_every: int = 0
    """Steps between pictures of predictions; the prior cannot predict yet."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.frames_per_clip is not None and self.frames_per_clip < 1:
            raise ConfigError("frames_per_clip is at least 1 or None")
        if self.restart_every < 0 or not 0 <= self.restart_below < 1:
            raise ConfigError("restart_every is 0 or more and restart_below from 0 to below 1")


class AutoencoderStage(Stage, of=SHRVQVAE, name="autoencoder"):
    """Encoder, codebooks and decoder learn to reconstruct single frames."""

    config_type = AutoencoderTraining

    def __init__(self, config: AutoencoderTraining, model: SHRVQVAE, context: int) -> None:
        """Begin to keep the codebooks up."""
        super().__init__(config, model, context)
        self.averaged = config.codebook == "average"
        terms = (config.decay, config.restart_every, config.restart_below)
        self.upkeep = Upkeep(model.quantiser, *terms, averaged=self.averaged)

    def frozen(self) -> list[nn.Module]:
        """The prior; the codebooks too where they are averages."""
        return [self.model.prior, *([self.model.quantiser] if self.averaged else [])]

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """Eq 4: squared error of the frames, and the quantiser's terms, as means."""
        del phase, step
        frames = self._chosen(self.model.adapted(batch.frames)).flatten(0, 1)
        quantised, latent = self.model.quantise(frames)
        self.upkeep.see(quantised)
        combined = rearrange(
            quantised.straight_through,
            "(n h w) d -> n d h w",
            n=len(frames),
            h=latent.shape[-2],
        )
        error = functional.mse_loss(self.model.decoder(combined).float(), frames)
        terms = tree_loss(quantised, self.config.beta, self.config.beta)
        codes = terms.commitment if self.averaged else terms.total
        return {"total": error + codes, "mse": error, "codes": codes, **self._used()}

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Codebooks from data after the first step; averages and replacements after the others."""
        self.upkeep.after_step(self.model.quantiser, step, reducer)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of reconstructions, summed over a frame's pixels, clipped to [0, 1]."""
        frames = self.model.decode(self.model.encode(batch)).frames
        error = (frames - batch.frames).square().sum((2, 3, 4)).mean()
        return {"score": error, "mse": error}

    def _chosen(self, frames: Tensor) -> Tensor:
        """Some frames of each clip."""
        count = self.config.frames_per_clip
        if count is None or count >= frames.shape[1]:
            return frames
        order = torch.rand(frames.shape[:2]).argsort(1)[:, :count].to(frames.device)
        return frames[torch.arange(len(frames), device=frames.device).unsqueeze(1), order]

    def _used(self) -> dict[str, Tensor]:
        """Of each layer's codewords: the perplexity, and the share that is in use."""
        kinds = {"perplexity": self.upkeep.perplexity(), "used": self.upkeep.used()}
        return {
            f"{kind} {layer}": value
            for kind, values in kinds.items()
            for layer, value in enumerate(values, 1)
        }


@dataclass(frozen=True)
class PriorTraining(StageConfig):
    """How the ST-PixelCNN is trained (Eq 7)."""

    type: ClassVar[str] = "s-hr-vqvae/prior"
    optimizer: OptimizerConfig = PAPER
    """Optimizer of the prior."""
    window: tuple[int, int] | None = None
    """Context and horizon of a stretch of each clip, at a random place; None, or more frames than
    there are, for the clip itself. Short ones train faster: attention costs the square of the
    frames."""
    attention: bool = True
    """False trains the convolutions alone, several times faster, and silences the attention: for a
    first stage, before one that trains both."""
    own_codes: Schedule = constant(0.0)
    """Probability, by step, that a future frame is seen, by all that is after one of its codes, in
    the codes that the model finds likeliest, given true ones before, so that it learns to go on
    from its own errors; costs a second pass. Below a wrong code the nearest one to the true
    embedding is learnt."""

    def __post_init__(self) -> None:
        """Check the window."""
        super().__post_init__()
        if self.window is not None and min(self.window) < 1:
            raise ConfigError("window has at least 1 frame of context and 1 of horizon, or is None")


class FrameCoder:
    """Codes of frames, whatever the prior is."""

    def __init__(self, model: SHRVQVAE) -> None:
        """Encode with this model's autoencoder."""
        self.model = model

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def encode(self, clip: Clip) -> Codes:
        """The tokens of all layers."""
        return self.model.encode(clip)

    def fingerprint(self) -> str:
        """Digest of encoder and codebooks."""
        coding = nn.ModuleList([self.model.encoder, self.model.quantiser])
        return digest_of(self.model.config.autoencoder, coding)


class PriorStage(Stage, of=SHRVQVAE, name="prior"):
    """The prior learns the codes of future frames; the autoencoder stays as it is."""

    config_type = PriorTraining

    def __init__(self, config: PriorTraining, model: SHRVQVAE, context: int) -> None:
        """Silence the attention where it is not trained."""
        super().__init__(config, model, context)
        if not config.attention:
            model.prior.silence()

    def frozen(self) -> list[nn.Module]:
        """The autoencoder and its codebooks; the attention too where it is not trained."""
        silent = [] if self.config.attention else [net.attention for net in self.model.prior.nets]
        return [self.model.encoder, self.model.quantiser, self.model.decoder, *silent]

    def source(self, clips: Source) -> Source:
        """Codes of a fixed dataset, computed once; other clips are encoded as they come."""
        return CodedClips(clips, FrameCoder(self.model)) if clips.fixed else clips

    def forward(self, phase: str, batch: Clip | Codes, step: int) -> dict[str, Tensor]:
        """Eq 7: cross-entropy in nats, a mean over positions, future frames and layers."""
        del phase
        context, stretch = self._stretch(batch.length)
        indices = self._indices(batch, stretch)
        share = self.config.own_codes(step, self.config.steps)
        if not share:
            return self._losses(indices, indices, context)
        seen = self._own(indices, context, share)
        return self._losses(seen, self._targets(seen, indices), context)

    @torch.no_grad()
    def validate(self, batch: Clip | Codes) -> dict[str, Tensor]:
        """The same cross-entropy, of whole clips."""
        indices = self._indices(batch, slice(None))
        losses = self._losses(indices, indices, self.context)
        return {"score": losses["total"], **losses}

    def _indices(self, batch: Clip | Codes, frames: slice) -> Tensor:
        """Local indices `b t n h w` of a stretch of frames."""
        if isinstance(batch, Codes):
            return torch.stack(batch.levels, 2)[:, frames]
        with torch.no_grad():
            return self.model.indices(self.model.adapted(batch.frames[:, frames]))

    @torch.no_grad()
    def _own(self, indices: Tensor, context: int, share: float) -> Tensor:
        """The indices, with some future frames as the model finds them likeliest."""
        symbols = self.model.symbols(indices)
        likeliest = self.model.prior(symbols, context, attend=self.config.attention).argmax(3)
        future = indices[:, context:]
        chosen = torch.rand(future.shape[:2]).to(indices.device) < share
        future = torch.where(chosen[..., None, None, None], likeliest, future)
        return torch.cat([indices[:, :context], future], 1)

    @torch.no_grad()
    def _targets(self, seen: Tensor, indices: Tensor) -> Tensor:
        """The true indices, and below parents other than the true ones, the best there is."""
        tree = self.model.quantiser
        shown, true = (codes.movedim(2, -1) for codes in (seen, indices))
        best = tree.below(shown, tree.lookup(true).sum(-2))
        right = tree.numbers(shown) == tree.numbers(true)
        parents = torch.cat([torch.ones_like(right[..., :1]), right[..., :-1]], -1)
        return torch.where(parents, true, best).movedim(-1, 2)

    def _losses(self, seen: Tensor, indices: Tensor, context: int) -> dict[str, Tensor]:
        """The loss of the future's codes, given what is seen before each of them."""
        logits = self.model.prior(self.model.symbols(seen), context, attend=self.config.attention)
        nats = -log_probs(logits, indices[:, context:]).mean((0, 1, 3, 4))
        bits = {f"bits {layer}": n.detach() / math.log(2) for layer, n in enumerate(nats, 1)}
        return {"total": nats.mean(), **bits}

    def _stretch(self, length: int) -> tuple[int, slice]:
        """How many of a clip's frames are context, and which frames."""
        if self.config.window is None or sum(self.config.window) > length:
            return self.context, slice(None)
        context, horizon = self.config.window
        start = int(torch.randint(length - context - horizon + 1, ()))
        return context, slice(start, start + context + horizon)


@dataclass(frozen=True)
class JointTraining(StageConfig):
    """How prior and decoder are trained together (Eq 9)."""

    type: ClassVar[str] = "s-hr-vqvae/joint"
    optimizer: OptimizerConfig = PAPER
    """Optimizer of prior and decoder."""
    weight: float = 0.11
    """λ, weight of the reconstruction from predicted codes."""
    codes: Literal["teacher-forced", "rollout", "gumbel"] = "teacher-forced"
    """Which predicted codes are decoded: the likeliest ones given true codes before them, codes
    drawn one after another (the paper's words; slow), or straight-through Gumbel draws given true
    codes, by which the reconstruction error reaches the prior too."""
    gumbel_temperature: float = 1.0
    """Temperature of the Gumbel draws' gradient."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if not (self.weight >= 0 and self.gumbel_temperature > 0):
            raise ConfigError("weight is 0 or more and gumbel_temperature above 0")


class JointStage(Stage, of=SHRVQVAE, name="joint"):
    """The decoder learns to make the best of predicted codes, while the prior learns on."""

    config_type = JointTraining

    def frozen(self) -> list[nn.Module]:
        """The encoder and the codebooks."""
        return [self.model.encoder, self.model.quantiser]

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """Eq 9: L_p + λ ‖x − D(e_C)‖², both as means."""
        del phase, step
        return self._losses(batch, self.config.codes)

    @torch.no_grad()
    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Eq 9, with the likeliest codes given true ones before them."""
        losses = self._losses(batch, "teacher-forced")
        return {"score": losses["total"], **losses}

    def _losses(self, batch: Clip, codes: str) -> dict[str, Tensor]:
        frames = self.model.adapted(batch.frames)
        with torch.no_grad():
            indices = self.model.indices(frames)
        future = indices[:, self.context :]
        logits = self.model.prior(self.model.symbols(indices), self.context).float()
        nats = functional.cross_entropy(logits.movedim(3, 1), future)
        predicted = self.model.frames_of(self._predicted(codes, logits, indices))
        error = functional.mse_loss(predicted.float(), frames[:, self.context :])
        return {"total": nats + self.config.weight * error, "nats": nats, "mse": error}

    def _predicted(
        self,
        codes: str,
        logits: Float[Tensor, "b u n m h w"],
        indices: Int64[Tensor, "b t n h w"],
    ) -> Float[Tensor, "b u n d h w"]:
        """Codewords of the future."""
        if codes == "teacher-forced":
            return self.model.codewords(logits.argmax(3))
        if codes == "gumbel":
            return self._gumbel(logits)
        seed = int(torch.randint(2**31, ()))
        noise = Noise.of(seed, range(len(indices)), 1)
        with torch.no_grad():
            context = self.model.symbols(indices[:, : self.context])
            drawn = self.model.draw(context, logits.shape[1], 1, noise, DrawOptions())
            return self.model.codewords(torch.stack([one.indices for one in drawn], 1))

    def _gumbel(self, logits: Float[Tensor, "b u n m h w"]) -> Float[Tensor, "b u n d h w"]:
        """Codewords drawn layer by layer, with the gradient of a softmax over their codebook."""
        tree = self.model.quantiser
        codewords: list[Tensor] = []
        parents = torch.zeros_like(logits[:, :, 0, 0], dtype=torch.int64)
        for layer, codebook in enumerate(tree.codebooks):
            places = logits[:, :, layer].movedim(2, -1)
            choice = functional.gumbel_softmax(places, self.config.gumbel_temperature, hard=True)
            siblings = functional.embedding(parents, codebook.flatten(1))
            siblings = siblings.unflatten(-1, (tree.size, tree.width))
            codewords.append((choice.unsqueeze(-2) @ siblings).squeeze(-2).movedim(-1, 2))
            parents = parents * tree.size + choice.argmax(-1)
        return torch.stack(codewords, 2)
