"""V3D-ConvLSTM: a variational recurrent network of 3-D convolutions; the 2-D variants with it."""

from framecast.models.v3d_convlstm.model import V3DConvLSTM
from framecast.models.v3d_convlstm.stages import Training

__all__ = ["Training", "V3DConvLSTM"]
