#!/usr/bin/env python3
"""Writes the golden files of test_quant.c: what the gguf package (0.19) makes of random blocks.

TYPE.bin: the bytes of 512 elements (of 64 for float types), then those elements as little-endian
float32, dequantized by the package. TYPE.enc (types with a simple encoder): 256 float32, then the
package's quantization of them.

Usage: generate.py OUT_FOLDER      (needs gguf and numpy)
"""
import sys
import warnings

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

warnings.simplefilter("ignore")
TYPES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
ENCODED = TYPES[:8]
rng = np.random.default_rng(20251)


def main(out):
    for name in TYPES:
        t = T[name]
        length, size = GGML_QUANT_SIZES[t]
        n = 64 if length == 1 else 512
        while True:  # random bytes, but no infinity or NaN among the scales: those compare badly
            raw = rng.integers(0, 256, (1, n // length * size), dtype=np.uint8)
            values = raw.view(np.float32) if name == "F32" else dequantize(raw, t)
            if np.isfinite(values).all():
                break
        with open(f"{out}/{name}.bin", "wb") as f:
            f.write(raw.tobytes() + np.asarray(values, "<f4").tobytes())
    x = rng.standard_normal((8, 32)).astype(np.float32)
    x *= np.array([1, 1e-3, 30, 1, 0, 1e-6, 1, 5000], np.float32).reshape(8, 1)
    x[3] = np.abs(x[3])
    x[6] = 0.75
    for name in ENCODED:
        with open(f"{out}/{name}.enc", "wb") as f:
            f.write(x.astype("<f4").tobytes())
            f.write(np.ascontiguousarray(quantize(x.reshape(1, 256), T[name])).tobytes())


main(sys.argv[1])
