"""Rewrites a GGUF file with its weights as float32: the same model, without the rounding that differs between engines.

An engine that computes with block formats rounds its activations to 8 bits; two that differ in the last bit of one sum soon differ in
many of those roundings, and by a few tenths in a logit: llama.cpp differs by that much from itself when its flash attention is
switched off. With float32 weights nothing is rounded that way, so equality means equality.
"""

import struct

import numpy as np

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F32, _F16, _Q4_1, _Q8_0 = 0, 1, 3, 8


def _dequantize(kind, raw, count):
    if kind == _F32:
        return raw[:count * 4].view("<f4")
    if kind == _F16:
        return raw[:count * 2].view("<f2").astype("<f4")
    half = lambda columns: columns.copy().view("<f2").astype("<f4")  # noqa: E731
    if kind == _Q8_0:
        blocks = raw[:count // 32 * 34].reshape(-1, 34)
        return half(blocks[:, :2]) * blocks[:, 2:].view(np.int8)
    if kind == _Q4_1:
        blocks = raw[:count // 32 * 20].reshape(-1, 20)
        quants = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
        return half(blocks[:, :2]) * quants + half(blocks[:, 2:4])
    raise ValueError(f"GGUF tensor type {kind} is not read here")


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at].tobytes()

    def value(self, kind):
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            inner, count = self.number("I"), self.number("Q")
            return [self.value(inner) for _ in range(count)]
        return self.number(_NUMBERS[kind])

    def skip_value(self, kind):
        if kind == _STRING:
            self.string()
        elif kind == _ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip_value(inner)
        else:
            self.number(_NUMBERS[kind])


def entries(path):
    """The metadata as a dictionary; strings are bytes."""
    reader = _Reader(np.memmap(path, np.uint8, "r"))
    reader.at = 16
    return {reader.string().decode(): reader.value(reader.number("I")) for _ in range(reader.number("Q"))}


def read(path):
    """The metadata as bytes with the number of its entries, and of each tensor (name, shape, type, data from its first byte on)."""
    data = np.fromfile(path, np.uint8)
    reader = _Reader(data)
    reader.at = 8
    tensor_count, entry_count = reader.number("Q"), reader.number("Q")
    begin = reader.at
    for _ in range(entry_count):
        reader.string()
        reader.skip_value(reader.number("I"))
    metadata = data[begin:reader.at].tobytes()
    tensors = []
    for _ in range(tensor_count):
        name = reader.string()
        shape = [reader.number("Q") for _ in range(reader.number("I"))]
        tensors.append((name, shape, reader.number("I"), reader.number("Q")))
    base = (reader.at + 31) // 32 * 32
    return metadata, entry_count, [(name, shape, kind, data[base + start:]) for name, shape, kind, start in tensors]


def write(target, metadata, entry_count, tensors):
    """`tensors`: of each (name, shape, type, bytes, a function that makes them)."""
    with open(target, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), entry_count) + metadata)
        offset = 0
        for name, shape, kind, size, _ in tensors:
            out.write(struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) +
                      struct.pack("<IQ", kind, offset))
            offset += (size + 31) // 32 * 32
        out.write(b"\0" * (-out.tell() % 32))
        for _, _, _, size, make in tensors:
            out.write(make() + b"\0" * (-size % 32))


def rewrite(source, target):
    metadata, entry_count, tensors = read(source)

    def expanded(name, shape, kind, raw):
        count = int(np.prod(shape))
        return name, shape, _F32, count * 4, lambda: _dequantize(kind, raw, count).astype("<f4").tobytes()

    write(target, metadata, entry_count, [expanded(*tensor) for tensor in tensors])
