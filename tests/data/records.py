"""TFRecords for tests, written by TensorBoard's writer and Google's protocol buffers."""

import struct
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorboard.summary.writer.record_writer import RecordWriter

FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {"bytes_list": FIELD.TYPE_BYTES, "float_list": FIELD.TYPE_FLOAT, "int64_list": 3}

Values = dict[str, list[bytes] | list[float] | list[int]]


def _message_class():
    """`tf.train.Example`, described as its documentation does."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def add(message, name, number, label, kind=FIELD.TYPE_MESSAGE, of=None):
        message.field.add(name=name, number=number, label=label, type=kind, type_name=of)

    feature = file.message_type.add(name="Feature")
    for number, (name, kind) in enumerate(KINDS.items(), 1):
        add(file.message_type.add(name=name), "value", 1, FIELD.LABEL_REPEATED, kind)
        add(feature, name, number, FIELD.LABEL_OPTIONAL, of=f".t.{name}")
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, FIELD.LABEL_OPTIONAL, FIELD.TYPE_STRING)
    add(entry, "value", 2, FIELD.LABEL_OPTIONAL, of=".t.Feature")
    add(features, "feature", 1, FIELD.LABEL_REPEATED, of=".t.Features.FeatureEntry")
    example = file.message_type.add(name="Example")
    add(example, "features", 1, FIELD.LABEL_OPTIONAL, of=".t.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


Message = _message_class()


def encode(values: Values) -> bytes:
    """An Example with features of the kinds of their values."""
    message = Message()
    for name, items in values.items():
        kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
        getattr(message.features.feature[name], kinds[type(items[0])]).value.extend(items)
    return message.SerializeToString()


def write(path: Path, records: list[bytes]) -> Path:
    """A TFRecord file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)
    return path


def starts(path: Path) -> list[int]:
    """Where the records of a sound file begin, by their lengths alone."""
    content, found = path.read_bytes(), [0]
    while found[-1] < len(content):
        found.append(found[-1] + 16 + struct.unpack_from("<Q", content, found[-1])[0])
    return found[:-1]


def flip(path: Path, place: int) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def bair(number: int, length: int = 30) -> Values:
    """An episode in BAIR's layout; its pixels and actions tell its number and the time."""
    values: Values = {}
    for time in range(length):
        frame = np.random.default_rng([number, time]).integers(0, 256, (64, 64, 3), np.uint8)
        frame[0, 0] = (number, time, 255)
        values[f"{time}/image_aux1/encoded"] = [frame.tobytes()]
        values[f"{time}/action"] = [float(number), float(time), 0.25, -1.0]
        values[f"{time}/endeffector_pos"] = [0.5, float(time), float(number)]
    return values
