"""A model whose frames pass through discrete codes."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from framecast import pictures
from framecast.clip import Clip
from framecast.errors import FramecastError
from framecast.model import Model, evaluating
from framecast.pictures import Panel
from framecast.tokens import Codes, Grid, Usage, bits_of

FRAMES_SHOWN = 4
"""Most frames of a clip that `inspect` shows."""


class Codec(Model):
    """A video predictor that codes frames: levels of tokens, from coarse to fine."""

    block: ClassVar[int] = 1
    """Fewest frames that are coded together; lengths are multiples of it."""

    @property
    def together(self) -> int:
        """Frames of a long video that are best coded together, a multiple of `block`."""
        return self.block

    @property
    @abstractmethod
    def values(self) -> tuple[int, ...]:
        """How many values a token of each level can take."""

    @abstractmethod
    def grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        """Each level's grid for frames whose size is a multiple of `expects.multiple_of`."""

    @abstractmethod
    def tokenize(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """The tokens of every level, of frames as `expects` says."""

    @abstractmethod
    def render(self, levels: Sequence[Int64[Tensor, "b _ _ _"]]) -> Float[Tensor, "b t c h w"]:
        """Frames from the first levels, unclipped; the levels that are not given add nothing."""

    def bits(self, shape: tuple[int, int, int, int]) -> int:
        """Bits that the tokens of a clip `t c h w` take, packed; padding included.

        Raises:
            FramecastError: if the length is no multiple of `block`.
        """
        length, _, height, width = shape
        self._check_length(length)
        return bits_of(self.values, self.padded_grids(length, height, width))

    def padded_grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        """Each level's grid for frames of any size, which are padded before they are coded."""
        multiple = self.expects.multiple_of
        return self.grids(length, height + -height % multiple, width + -width % multiple)

    def encode(self, clip: Clip | Float[Tensor, "b t c h w"]) -> Codes:
        """The tokens of a batch of clips.

        Args:
            clip: Frames in [0, 1], `b t c h w`; sizes are padded, one channel is made three where
                the model takes three.

        Raises:
            ValueError: if the frames are not what the model expects.
        """
        clip = clip if isinstance(clip, Clip) else Clip(clip)
        self._check_frames(clip.frames)
        length, channels, height, width = clip.frames.shape[-4:]
        self._check_length(length)
        with torch.no_grad(), evaluating(self):
            levels = self.tokenize(self.adapted(clip.frames))
        return Codes(levels, self.values, (channels, height, width), length)

    def _check_length(self, length: int) -> None:
        if length % self.block:
            raise FramecastError(
                f"{self.config.type} codes {self.block} frames at a time, got {length}; "
                f"give a multiple of {self.block}"
            )

    def decode(self, codes: Codes, levels: int | None = None) -> Clip:
        """The frames of tokens, clipped to [0, 1].

        Args:
            codes: What `encode` gave.
            levels: Use the first levels alone; None for all.

        Raises:
            ValueError: if the tokens are not of this codec.
        """
        if codes.values != self.values:
            raise FramecastError(
                f"these tokens take {codes.values} values per level and {self.config.type} has "
                f"{self.values}; decode with the model that encoded"
            )
        count = len(codes.levels) if levels is None else levels
        if not 1 <= count <= len(codes.levels):
            raise FramecastError(f"levels is from 1 to {len(codes.levels)}, got {levels}")
        with torch.no_grad(), evaluating(self):
            frames = self.render(codes.levels[:count])
        return Clip(self.restored(frames, codes.frame).clamp(0, 1))

    def inspect(self, clip: Clip) -> list[Panel]:
        """Frames as they come back from more and more levels, and how often each token occurs.

        Args:
            clip: `1 t c h w`; t is a multiple of `block`.

        Returns:
            The clip; its reconstructions from the first level, the first two and so on, with the
            squared error summed over the pixels of a frame; and a histogram of each level's tokens.

        Raises:
            ValueError: if the frames are not what the model expects.
        """
        codes = self.encode(clip)
        shown = pictures.spread(clip.length, FRAMES_SHOWN)
        numbers = ", ".join(map(str, shown))
        original = pictures.row(clip.frames[0, shown])
        panels = [Panel(f"original, frames {numbers}", original, (0, 1))]
        for count in range(1, len(codes.levels) + 1):
            decoded = self.decode(codes, count).frames
            error = (decoded - clip.frames).square().sum((2, 3, 4)).mean()
            levels = "level 1" if count == 1 else f"levels 1 to {count}"
            image = pictures.row(decoded[0, shown])
            panels.append(Panel(f"from {levels}, MSE {error:.4g}", image, (0, 1)))
        for number, (level, values) in enumerate(zip(codes.levels, codes.values, strict=True), 1):
            usage = Usage.of(level, values)
            title = f"level {number}: {usage.used} of {values} used"
            title += f", perplexity {usage.perplexity:.3g}"
            panels.append(Panel(title, pictures.bars(usage.counts.numpy()), (0, 1)))
        return panels
