#!/usr/bin/env python3
"""gguf_edit.py - plants faults in a GGUF file, for the tests of the commands that find them.

usage: gguf_edit.py IN OUT EDIT...

EDITs (N: a tensor's name; rows and indices count from 0; a tensor that elements are written to
becomes F32 first):
  f32:N              decode Q8_0 to F32
  set:N:I:V          element I becomes V (nan, inf allowed)
  fill:N:V           every element becomes V
  fillrow:N:R:V      every element of row R becomes V
  thin:N:K           all but every K-th element become 0
  scale:N:V          every element times V
  add:N:V            every element plus V
  transpose:N        a matrix and its shape
  rename:N:M         another name
  copy:N:M           another tensor with the same content
  drop:PATTERN       no such tensors
  u32:KEY:V          a u32 metadata entry gets another value, or is added
  arch:NAME          general.architecture
"""
import fnmatch
import struct
import sys

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
BLOCKS = {0: (1, 4), 1: (1, 2), 8: (32, 34), 30: (1, 2), 2: (32, 18), 12: (256, 144),
          14: (256, 210)}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, fmt):
        values = struct.unpack_from("<" + fmt, self.data, self.at)
        self.at += struct.calcsize("<" + fmt)
        return values[0] if len(values) == 1 else values

    def text(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def skip_value(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            element, n = self.take("I"), self.take("Q")
            for _ in range(n if element == 8 else 0):
                self.text()
            self.at += 0 if element == 8 else SIZES[element] * n
        else:
            self.at += SIZES[kind]


def load(path):
    with open(path, "rb") as f:
        r = Reader(f.read())
    assert r.take("4s") == b"GGUF"
    r.take("I")
    n_tensors, n_meta = r.take("Q"), r.take("Q")
    meta, tensors = {}, {}
    for _ in range(n_meta):
        key = r.text().decode()
        start = r.at
        r.skip_value(r.take("I"))
        meta[key] = r.data[start:r.at]
    infos = []
    for _ in range(n_tensors):
        name = r.text().decode()
        n_dims = r.take("I")
        dims = [r.take("Q") for _ in range(n_dims)]
        infos.append((name, dims, r.take("I"), r.take("Q")))
    base = -(-r.at // 32) * 32
    for name, dims, kind, offset in infos:
        n = 1
        for d in dims:
            n *= d
        length, size = BLOCKS[kind]
        begin = base + offset
        tensors[name] = [dims, kind, r.data[begin:begin + n // length * size]]
    return meta, tensors


def save(path, meta, tensors):
    out = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta)))
    for key, value in meta.items():
        out += struct.pack("<Q", len(key)) + key.encode() + value
    data = bytearray()
    for name, (dims, kind, content) in tensors.items():
        data += bytes(-len(data) % 32)
        raw = name.encode()
        out += struct.pack("<Q", len(raw)) + raw
        out += struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
        data += content
    out += bytes(-len(out) % 32) + data
    with open(path, "wb") as f:
        f.write(out)


def floats(tensor):
    dims, kind, content = tensor
    if kind == 0:
        return list(struct.unpack(f"<{len(content) // 4}f", content))
    assert kind == 8, "only F32 and Q8_0 are decoded"
    values = []
    for at in range(0, len(content), 34):
        d, *codes = struct.unpack_from("<e32b", content, at)
        values += [d * c for c in codes]
    return values


def store(tensor, values):
    tensor[1], tensor[2] = 0, struct.pack(f"<{len(values)}f", *values)


def change(tensor, op, args):
    values = floats(tensor)
    width = tensor[0][0]
    if op == "set":
        values[int(args[0])] = float(args[1])
    elif op == "fill":
        values = [float(args[0])] * len(values)
    elif op == "fillrow":
        row = int(args[0])
        values[row * width:(row + 1) * width] = [float(args[1])] * width
    elif op == "thin":
        values = [v if i % int(args[0]) == 0 else 0.0 for i, v in enumerate(values)]
    elif op == "scale":
        values = [v * float(args[0]) for v in values]
    elif op == "add":
        values = [v + float(args[0]) for v in values]
    elif op == "transpose":
        rows = len(values) // width
        values = [values[r * width + c] for c in range(width) for r in range(rows)]
        tensor[0] = [rows, width]
    else:
        assert op == "f32", op
    store(tensor, values)


def edit(meta, tensors, text):
    op, *args = text.split(":")
    if op == "u32":
        meta[args[0]] = struct.pack("<II", 4, int(args[1]))
    elif op == "arch":
        meta["general.architecture"] = struct.pack("<IQ", 8, len(args[0])) + args[0].encode()
    elif op == "copy":
        tensors[args[1]] = list(tensors[args[0]])
    elif op == "drop":
        for name in fnmatch.filter(list(tensors), args[0]):
            del tensors[name]
    elif op == "rename":
        items = [(args[1] if n == args[0] else n, t) for n, t in tensors.items()]
        tensors.clear()
        tensors.update(items)
    else:
        change(tensors[args[0]], op, args[1:])


def main():
    meta, tensors = load(sys.argv[1])
    for text in sys.argv[3:]:
        edit(meta, tensors, text)
    save(sys.argv[2], meta, tensors)


if __name__ == "__main__":
    main()
