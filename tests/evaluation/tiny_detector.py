"""Detectors of a few nodes: every fully red or green square of 8×8 pixels is an object."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CELL = 64, 8
CELLS = SIDE // CELL
COUNT = CELLS**2
NAMES = "{0: 'red square', 1: 'green square'}"


def boxes(layout: str) -> np.ndarray:
    """Centre and size of each cell, or corners where detectors give those; `count 4`."""
    row, column = np.divmod(np.arange(COUNT), CELLS)
    left, top = column * CELL, row * CELL
    if layout == "end-to-end":
        return np.stack([left, top, left + CELL, top + CELL], 1).astype(np.float32)
    half, size = CELL / 2, np.full(COUNT, CELL)
    return np.stack([left + half, top + half, size, size], 1).astype(np.float32)


def write(
    path: Path,
    layout: str,
    *,
    names: str | None = NAMES,
    shape: tuple[int | str, ...] = (1, 3, SIDE, SIDE),
    half: bool = False,
) -> Path:
    """Write a detector. Its score of a cell's class is the mean of that colour in the cell."""
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    values = {
        "boxes": np.tile(boxes(layout), (_batch(shape), 1, 1)),
        "ones": np.ones((_batch(shape), COUNT, 1), np.float32),
        "pair": np.array([0, 2, COUNT], np.int64),
        "start": np.array([0], np.int64),
        "end": np.array([2], np.int64),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["image"], to=TensorProto.FLOAT),
        helper.make_node(
            "AveragePool", ["image"], ["pooled"], kernel_shape=[CELL] * 2, strides=[CELL] * 2
        ),
        helper.make_node("Slice", ["pooled", "start", "end", "axis"], ["coloured"]),
        helper.make_node("Reshape", ["coloured", "pair"], ["classes first"]),
        helper.make_node("Transpose", ["classes first"], ["scores"], perm=[0, 2, 1]),
    ]
    if layout == "yolov5":
        parts = ["boxes", "ones", "scores"]
    elif layout == "yolov8":
        parts = ["boxes", "scores"]
    else:
        nodes += [
            helper.make_node("ReduceMax", ["scores"], ["best"], axes=[2], keepdims=1),
            helper.make_node("ArgMax", ["scores"], ["index"], axis=2, keepdims=1),
            helper.make_node("Cast", ["index"], ["class"], to=TensorProto.FLOAT),
        ]
        parts = ["boxes", "best", "class"]
    rows = "rows" if layout == "yolov8" else "output0"
    nodes.append(helper.make_node("Concat", parts, [rows], axis=2))
    if layout == "yolov8":
        nodes.append(helper.make_node("Transpose", [rows], ["output0"], perm=[0, 2, 1]))
    return save(path, nodes, values, shape, kind, names)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    values: dict[str, np.ndarray],
    shape: tuple[int | str, ...],
    kind: int = TensorProto.FLOAT,
    names: str | None = None,
) -> Path:
    """Write a graph from `images` to `output0`, whose shape is left to the runtime."""
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in values.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if names is not None:
        helper.set_model_props(model, {"names": names, "stride": "32"})
    onnx.save(model, path)
    return path


def constant(path: Path, output: np.ndarray) -> Path:
    """Write a detector that always puts out the same: added to nothing of the image."""
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "zero"], ["nothing"]),
        helper.make_node("Add", ["output", "nothing"], ["output0"]),
    ]
    values = {"zero": np.zeros((), np.float32), "output": output.astype(np.float32)}
    return save(path, nodes, values, (1, 3, SIDE, SIDE))


def _batch(shape: tuple[int | str, ...]) -> int:
    return shape[0] if isinstance(shape[0], int) else 1
