"""Eidetic 3D LSTM: a memory that looks up its own past."""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.errors import ConfigError
from framecast.layers.norm import Norm
from framecast.layers.norm import norm as normalise
from framecast.layers.recurrent.unit import Turn, Unit
from framecast.layers.winograd import Volumes

CHANNELS_LAST = torch.channels_last_3d
"""How the past is kept, so that it need not be copied to be attended to."""


class E3DLSTMState(NamedTuple):
    """Hidden state, temporal memory, and past temporal memories one behind the other."""

    hidden: Float[Tensor, "b k d h w"]
    cell: Float[Tensor, "b k d h w"]
    past: Float[Tensor, "b k n h w"]  # n = frames kept × d, from the oldest on


class E3DLSTMUnit(Unit[E3DLSTMState]):
    """One E3D-LSTM layer, on maps `b c d h w` of d frames; maps `b c h w` are taken for d = 1.

    With X the features, M from the unit below and W convolutions of (depth, kernel, kernel),

        I, R = σ(W[X, H]), G = tanh(W[X, H])
        C' = I·G + LayerNorm(C + RECALL(R, past)), RECALL(R, P) = softmax(R Pᵀ) P
        I', F' = σ(W[X, M]), G' = tanh(W[X, M]), M' = I'·G' + F'·M
        O = σ(W[X, H, C', M']), H' = O·tanh(W₁ₓ₁ₓ₁[C', M'])

    RECALL compares all d·h·w positions of R with all those of the past C, the last one included.
    Before the first frame the past is one C of zeros. LayerNorm has statistics over all axes but
    the batch; with `norm="none"` it has no weights.

    The authors' program, and those that follow it, give the M that they took to the next unit
    instead of M', so that it stays zero for ever: its authors call it a fault of the published
    program, which their experiments did not have. Here M' goes on. The program also keeps
    tanh(W M) of M, which makes 17 convolutions, and has a tanh within O: `reference` is these two,
    otherwise it is the paper.

    These are 16 products of a map and the 1×1×1 of two: 18.78M weights (M = 2^20) at 128 channels
    and kernel 5. Table VII of STIP has 18.80M, one 1×1 more; no source says where. `residual`, the
    output plus such a convolution of the features, is a place for it. The table's 4.70G of
    multiplications at depth 1 count those with the zeros before and behind the one frame, two
    thirds of all, which are left out here.

    Reference:
        Wang et al., Eidetic 3D LSTM (2019), the equations of the Eidetic 3D LSTM.
    """

    zigzags: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int,
        hidden: int,
        kernel: int = 5,
        *,
        depth: int = 3,
        history: int | None = 5,
        reference: bool = False,
        residual: bool = False,
        norm: Norm = "none",
        recall_norm: Norm | None = None,
        size: tuple[int, ...] | None = None,
        bias: bool = False,
        forget_bias: float = 1.0,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the features.
            hidden: Channels of the hidden state and both memories.
            kernel: Height and width of the convolutions, odd.
            depth: Their depth. An even one reaches one frame farther on than back.
            history: τ, how many past memories are recalled, at least 1; None for all, as in the
                authors' program: then the state grows with every frame.
            reference: Whether tanh(W M) is kept in M' instead of M, and O is σ(tanh(·)), as in the
                authors' program.
            residual: Whether a 1×1×1 convolution of the features is added to the output.
            norm: Normalisation of the products of X, H and M.
            recall_norm: The weights of the LayerNorm; None for those of `norm`.
            size: (h, w) or (d, h, w) of the maps, where there are norms `layer`.
            bias: Whether the convolutions have a bias.
            forget_bias: Constant added to F'.

        Raises:
            ConfigError: if there is nothing to recall.
        """
        super().__init__()
        if history is not None and history < 1:
            raise ConfigError(f"one memory at least is recalled, not {history}; None recalls all")
        self.hidden, self.history, self.forget_bias = hidden, history, forget_bias
        self.reference = reference
        volume = (1, *size) if size is not None and len(size) == 2 else size

        def gates(channels: int, count: int) -> nn.Sequential:
            outputs = count * hidden
            return nn.Sequential(
                Volumes(channels, outputs, (depth, kernel, kernel), bias),
                normalise(norm, outputs, volume),
            )

        self.from_features = gates(inputs, 7)
        self.from_hidden = gates(hidden, 4)
        self.from_memory = gates(hidden, 4 if reference else 3)
        self.from_new = Volumes(2 * hidden, hidden, (depth, kernel, kernel), bias)
        self.merge = Volumes(2 * hidden, hidden, (1, 1, 1), bias)
        self.residual = Volumes(inputs, hidden, (1, 1, 1), bias) if residual else None
        weighed = norm if recall_norm is None else recall_norm
        self.recalled = (
            nn.GroupNorm(1, hidden, affine=False)
            if weighed == "none"
            else normalise(weighed, hidden, volume)
        )

    def initial(self, features: Float[Tensor, "b *c h w"]) -> E3DLSTMState:
        """Zeros for a batch of features of this size."""
        shape = features.shape[2:] if features.ndim == 5 else (1, *features.shape[2:])
        zeros = features.new_zeros(len(features), self.hidden, *shape)
        return E3DLSTMState(zeros, zeros, zeros.contiguous(memory_format=CHANNELS_LAST))

    def forward(
        self,
        features: Float[Tensor, "b c *d h w"],
        state: E3DLSTMState,
        memory: Float[Tensor, "b k *d h w"] | None = None,
    ) -> Turn[E3DLSTMState]:
        """One frame, or window of frames: both memories, then the output."""
        x = features if features.ndim == 5 else features.unsqueeze(2)
        old = torch.zeros_like(state.cell) if memory is None else memory.reshape_as(state.cell)
        of_features = self.from_features(x).chunk(7, 1)
        of_hidden = self.from_hidden(state.hidden).chunk(4, 1)
        cell = self._temporal(of_features[:3], of_hidden[:3], state)
        new = self._spatial(of_features[3:6], old)
        both = torch.cat([cell, new], 1)
        leave = of_features[6] + of_hidden[3] + self.from_new(both)
        leave = torch.sigmoid(leave.tanh() if self.reference else leave)
        hidden = leave * torch.tanh(self.merge(both))
        if self.residual is not None:
            hidden = hidden + self.residual(x)
        shape = (len(features), self.hidden, *features.shape[2:])
        past = self._remember(state.past, cell)
        return Turn(hidden.reshape(shape), E3DLSTMState(hidden, cell, past), new.reshape(shape))

    def _temporal(
        self, one: tuple[Tensor, ...], other: tuple[Tensor, ...], state: E3DLSTMState
    ) -> Tensor:
        """C' of what features and hidden state give its gates."""
        enter, recall, new = (a + b for a, b in zip(one, other, strict=True))
        found = recollect(torch.sigmoid(recall), state.past)
        return torch.sigmoid(enter) * torch.tanh(new) + self.recalled(state.cell + found)

    def _spatial(self, one: tuple[Tensor, ...], memory: Tensor) -> Tensor:
        """M' of what features and memory give its gates."""
        other = self.from_memory(memory).split(self.hidden, 1)
        enter, forget, new = (a + b for a, b in zip(one, other[:3], strict=True))
        old = other[3].tanh() if self.reference else memory
        kept = torch.sigmoid(forget + self.forget_bias) * old
        return torch.sigmoid(enter) * torch.tanh(new) + kept

    def _remember(self, past: Tensor, new: Tensor) -> Tensor:
        """The past with a new memory, and without what is older than the history."""
        kept = past.shape[2] if self.history is None else (self.history - 1) * new.shape[2]
        new = new.contiguous(memory_format=CHANNELS_LAST)
        return torch.cat([past[:, :, max(0, past.shape[2] - kept) :], new], 2)


def recollect(
    query: Float[Tensor, "b k d h w"], past: Float[Tensor, "b k n h w"]
) -> Float[Tensor, "b k d h w"]:
    """RECALL: means of the past's vectors, weighted by the softmax of their products with a query.

    Args:
        query: The recall gate; every position asks for itself.
        past: Maps one behind the other, kept with channels last, which is the order needed here.
    """
    asked, known = (maps.flatten(2).transpose(1, 2).unsqueeze(1) for maps in (query, past))
    found = functional.scaled_dot_product_attention(
        asked.contiguous(), known.contiguous(), known.contiguous(), scale=1.0
    )
    return found.squeeze(1).transpose(1, 2).unflatten(2, query.shape[2:])
