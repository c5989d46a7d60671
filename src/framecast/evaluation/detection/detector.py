"""A detector from an ONNX file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from framecast.errors import FramecastError
from framecast.evaluation.detection import layouts
from framecast.evaluation.detection.boxes import Boxes, Letterbox, areas, ranked, suppressed
from framecast.evaluation.detection.layouts import Layout

SIDE = 640
"""Height and width of the input where the file leaves them open."""
OVERLAP = 0.45
"""Most intersection over union of two boxes of a class. Reference: YOLOv5, detection."""
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Detector:
    """Finds objects in frames; computes on the CPU, and nothing leaves the machine."""

    path: Path
    layout: Layout
    size: tuple[int, int]
    """(height, width) of the input, which frames are letterboxed to."""
    batch: int
    """Frames that it takes at once."""
    names: Mapping[int, str]
    """Names of the classes, as far as the file has them."""
    overlap: float
    """Most intersection over union of two boxes of a class; more are doubles."""
    session: Any

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        layout: Layout | None = None,
        side: int | None = None,
        overlap: float = OVERLAP,
    ) -> "Detector":
        """Load a detector, and try it on an empty frame.

        Args:
            path: An ONNX file with one image as input, `b 3 h w` in [0, 1].
            layout: What it puts out; told from the shape if None.
            side: Height and width of the input, where the file leaves them open; 640 if None.
            overlap: Most intersection over union of two boxes of a class.

        Raises:
            FramecastError: if onnxruntime is not installed, or the file is not such a detector.
        """
        path = Path(path)
        session = _session(path)
        batch, size = _input_shape(path, session, side)
        names = layouts.read_names(session.get_modelmeta().custom_metadata_map)
        blank = _run(path, session, np.zeros((batch, 3, *size), np.float32))
        if layout is None:
            layout = layouts.layout_of(blank.shape, len(names) or None)
        elif not layouts.fits(layout, blank.shape):
            raise FramecastError(
                f"{path} puts out the shape {blank.shape}, which is not {layout}; "
                "leave --layout out"
            )
        return cls(path, layout, size, batch, names, overlap, session)

    def detect(self, frame: Float[Tensor, "c h w"], confidence: float) -> Boxes:
        """The objects in a frame at some confidence or above, by falling confidence.

        Args:
            frame: Gray or RGB, in [0, 1].
            confidence: From 0 to 1.

        Returns:
            Boxes in pixels of the frame.

        Raises:
            FramecastError: if the frame has neither one nor three channels, or the detector fails.
        """
        if len(frame) not in (1, 3):
            raise FramecastError(f"a detector takes gray or RGB frames, not {len(frame)} channels")
        box = Letterbox.of((frame.shape[-2], frame.shape[-1]), self.size)
        image = box.apply(frame.detach().float().cpu().expand(3, -1, -1))
        # a file may ask for more frames at once than there are
        batch = torch.zeros(self.batch, *image.shape)
        batch[0] = image
        output = _run(self.path, self.session, batch.numpy())[0]
        found = ranked(layouts.read(output, self.layout, confidence))
        if self.layout != "end-to-end":
            found = suppressed(found, self.overlap)
        placed = Boxes(box.restore(found.corners), found.confidence, found.label)
        return placed.pick(areas(placed.corners) > 0)

    def name(self, label: int) -> str:
        """What a class is called."""
        return self.names.get(label, f"class {label}")


def _session(path: Path) -> Any:
    """A file as onnxruntime reads it.

    Raises:
        FramecastError: if it cannot.
    """
    runtime = _runtime()
    if not path.is_file():
        raise FramecastError(f"{path} is no file; give a detector exported to ONNX")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what it logs below comes as an exception, too
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FramecastError(
            f"{path} cannot be loaded ({_reason(error)}); export the detector to ONNX again"
        ) from error


def _runtime() -> Any:
    """The onnxruntime module.

    Its official builds record events, with an identifier in the home folder, and send them to
    their maker. Only this variable, set before the import, keeps all of that from starting.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise FramecastError(
            "detectors need onnxruntime, which is not installed: pip install onnxruntime"
        ) from error
    onnxruntime.disable_telemetry_events()  # for builds that do not know the variable
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime


def _input_shape(path: Path, session: Any, side: int | None) -> tuple[int, tuple[int, int]]:
    """Batch, and height and width, of a detector's input.

    Raises:
        FramecastError: if it takes something else than one RGB image.
    """
    inputs: Sequence[Any] = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    if len(inputs) != 1 or len(shape) != 4 or (_fixed(shape[1]) and shape[1] != 3):
        raise FramecastError(
            f"{path} takes {len(inputs)} inputs, the first of the shape {shape}; a detector takes "
            "one image as (batch, 3, height, width)"
        )
    if inputs[0].type not in TYPES:
        raise FramecastError(
            f"{path} takes {inputs[0].type}; a detector takes float or float16 images"
        )
    fixed = [length for length in shape[2:] if _fixed(length)]
    if side is not None and any(length != side for length in fixed):
        raise FramecastError(
            f"{path} takes images of {shape[2]}x{shape[3]} alone, not {side}x{side}"
        )
    height, width = (length if _fixed(length) else side or SIDE for length in shape[2:])
    return (shape[0] if _fixed(shape[0]) else 1), (height, width)


def _fixed(length: object) -> bool:
    """Whether an axis has a length; otherwise it has a name or nothing."""
    return isinstance(length, int) and length > 0


def _run(path: Path, session: Any, images: Float[np.ndarray, "b 3 h w"]) -> Any:
    """The first output, in single precision.

    Raises:
        FramecastError: if the detector fails.
    """
    given = session.get_inputs()[0]
    outputs = session.get_outputs()
    try:
        found = session.run([outputs[0].name], {given.name: images.astype(TYPES[given.type])})[0]
    except Exception as error:
        size = f"{images.shape[2]}x{images.shape[3]}"
        raise FramecastError(
            f"{path} fails on an image of {size} ({_reason(error)}); export it for another size"
        ) from error
    return np.asarray(found, np.float32)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
