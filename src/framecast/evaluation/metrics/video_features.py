"""What a distance between sets of clips looks at."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class VideoFeatures(Protocol):
    """A function from clips to vectors, with a name.

    Those of FVD are `i3d.I3dLogits`. A distance of any others is reported under their name.
    """

    name: str
    """In keys of results, so of letters, digits and -."""
    shortest: int
    """Fewest frames of a clip."""

    def __call__(self, clips: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b k"]:
        """Features of clips in [0, 1], on their device; of each clip without regard to others."""
        ...
