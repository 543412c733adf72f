#!/usr/bin/env python3
"""quantization_compare.py - apr's quantizers beside llama.cpp's: errors, blocks, KL divergence.

Quantizes the same files by `apr quantize` and by `llama-quantize`, and compares the results tensor
by tensor: the root mean square error of both (decoded by the Python package gguf, weighted where
an importance matrix was given), blocks that differ, and, for the model's own weights, the mean KL
divergence of the logits, computed by apr for both, from those of the float32 weights. The model's
shapes are also filled with normal weights and with Student's t of 3 degrees of freedom.

--spread N says how much of a KL divergence is chance: each error of a file keeps its size and gets
a random sign, N times (the same N for both files); printed are the mean and the standard deviation
of the divergences of these files, whose errors are as large as the file's in every weight.

--equivalents N: the same function as N other models: the dimensions of the residual stream, of the
values and of the gated layers in another order and with other signs, which changes every block.
Printed are the geometric means over these models of the divergences and of their ratio, with its
standard error: what a quantizer does to a model, without the luck of one file.

--sensitivity N: where errors cost most. Noise of equal energy in the weights of a certain size
only, in units of the root mean square of their 256 neighbours, N times each, and its KL divergence.

usage: quantization_compare.py --apr APR --llama-quantize PATH --text FILE MODEL.gguf
       [--types q4_0,q4_k_m,...] [--spread N] [--equivalents N] [--sensitivity N]
MODEL holds any types; its F32 form is what is quantized. Needs numpy and gguf. Exit code 1 if
apr's error is the larger one for any tensor, or a block differs that must not."""
import argparse
import copy
import os
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, dequantize

SINGLE = "q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k_s q4_k_s q5_k_s q6_k iq4_nl iq4_xs".split()
MIXES = "q3_k_m q3_k_l q4_k_m q5_k_m".split()
IDENTICAL = ("Q8_0", "Q4_0", "Q5_0")  # without importance
CONTEXT = 512


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout


def tensors(path):
    return {t.name: t for t in GGUFReader(path).tensors}


def write_with(source, path, tensor_of):
    """A copy of an F32 file whose tensors are tensor_of(name, shape), or as they are if None."""
    reader = GGUFReader(source)
    writer = GGUFWriter(path, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=sub)
    for t in reader.tensors:
        made = tensor_of(t.name, t.data.shape)
        writer.add_tensor(t.name, np.array(t.data) if made is None else made)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def fill(source, path, draw):
    """A copy of an F32 file whose matrices are drawn anew."""
    write_with(source, path, lambda name, shape: draw(shape) if len(shape) > 1 else None)


def importance(path):
    found = tensors(path)
    means = {}
    for name, t in found.items():
        if name.endswith(".in_sum2"):
            base = name[: -len(".in_sum2")]
            means[base] = (t.data / found[base + ".counts"].data).reshape(-1).astype(np.float64)
    return means


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Judge:
    """Logits of a text in chunks, and how far another file's are from the first file's."""

    def __init__(self, apr, model, text, folder):
        self.apr, self.out = apr, os.path.join(folder, "logits")
        ids = run(apr, "tokenize", model, open(text, encoding="utf-8").read()).split()
        ids = [i.decode() for i in ids]
        self.chunks = [ids[i : i + CONTEXT] for i in range(0, len(ids) - 1, CONTEXT)]
        self.n = len(ids)
        self.reference = self.logits(model)

    def logits(self, model):
        parts = []
        for chunk in self.chunks:
            run(self.apr, "logits", model, "--ids", ",".join(chunk), "--all", "-o", self.out)
            parts.append(np.fromfile(self.out, np.float32).reshape(len(chunk), -1))
        return log_softmax(np.concatenate(parts))

    def kl(self, model):
        a, b = self.reference, self.logits(model)
        return float((np.exp(a) * (a - b)).sum(-1).mean())


def compare(source, ours, theirs, means, main):
    """Of the tensors of the main type: errors of both, the worst tensor's ratio, blocks that
    differ."""
    x, a, b = tensors(source), tensors(ours), tensors(theirs)
    sums, worst, differing, n_blocks = np.zeros(3), ("", 0.0), 0, 0
    for name, t in a.items():
        if t.tensor_type != b[name].tensor_type:
            sys.exit(f"{name}: {t.tensor_type.name} and {b[name].tensor_type.name}")
        if t.data.ndim < 2 or t.tensor_type.name != main:
            continue
        want = np.asarray(x[name].data, np.float64)
        weight = means.get(name, 1.0)
        errors = []
        for t2 in (t, b[name]):
            got = dequantize(t2.data, t2.tensor_type).reshape(want.shape)
            errors.append(float((weight * (want - got) ** 2).sum()))
        sums += errors + [float((weight * want**2).sum())]
        ratio = np.sqrt(errors[0] / errors[1]) if errors[1] else 1.0 + errors[0]
        worst = max(worst, (name, ratio), key=lambda w: w[1])
        size = {"Q8_0": 34, "Q4_0": 18, "Q5_0": 22}.get(main, t.data.shape[-1])
        pa, pb = (np.asarray(t2.data).reshape(-1, size) for t2 in (t, b[name]))
        differing += int((pa != pb).any(-1).sum())
        n_blocks += len(pa)
    return np.sqrt(sums[:2] / sums[2]), worst, differing, n_blocks


def with_matrices(source, path, matrices):
    """A copy of an F32 file with these matrices."""
    write_with(source, path, lambda name, shape: matrices[name].astype(np.float32)
               if name in matrices else None)


def matrices_of(path):
    return {
        n: np.asarray(dequantize(t.data, t.tensor_type), np.float32)
        for n, t in tensors(path).items() if len(t.data.shape) > 1
    }


def spread(judge, source, file, n_draws, scratch):
    """KL divergences of files whose errors are file's with random signs."""
    x, y, found = matrices_of(source), matrices_of(file), []
    for i in range(n_draws):
        rng = np.random.default_rng(i)
        sign = lambda w: rng.choice(np.array([-1, 1], np.float32), size=w.shape)
        matrices = {n: w + (y[n].reshape(w.shape) - w) * sign(w) for n, w in x.items()}
        with_matrices(source, scratch, matrices)
        found.append(judge.kl(scratch))
    return np.mean(found), np.std(found, ddof=1)


class Order:
    """Another order of n dimensions, with other signs; RMS norms and sums do not mind."""

    def __init__(self, rng, n):
        self.order = rng.permutation(n)
        self.sign = rng.choice(np.array([-1, 1], np.float32), n)

    def of_rows(self, w):
        return (w.T * self.sign).T[self.order]

    def of_columns(self, w):
        return (w * self.sign)[:, self.order]

    def without_signs(self):
        plain = copy.copy(self)
        plain.sign = np.ones_like(self.sign)
        return plain


def of_heads(rng, n_heads, n_kv_heads, length):
    """For the values, and for what the heads that read them give: each head in its place."""
    heads = [Order(rng, length) for _ in range(n_kv_heads)]
    orders = []
    for group in (1, n_heads // n_kv_heads):
        o = Order(rng, n_kv_heads * group * length)
        used = [h for h in heads for _ in range(group)]
        o.order = np.concatenate([i * length + h.order for i, h in enumerate(used)])
        o.sign = np.concatenate([h.sign for h in used])
        orders.append(o)
    return orders


def equivalent(source, path, seed):
    """A Qwen2 model of the same function with other blocks."""
    reader, rng = GGUFReader(source), np.random.default_rng(seed)
    arch = reader.fields["general.architecture"].contents()
    count = lambda key: reader.fields[f"{arch}.{key}"].contents()
    stream = Order(rng, count("embedding_length"))
    n_heads, n_kv_heads = count("attention.head_count"), count("attention.head_count_kv")
    made = {t.name: np.array(t.data, np.float32) for t in reader.tensors}
    head_length = made["blk.0.attn_output.weight"].shape[1] // n_heads

    def change(name, to):
        if name in made:
            made[name] = np.ascontiguousarray(to(made[name]))

    for block in (f"blk.{i}." for i in range(count("block_count"))):
        values, heads = of_heads(rng, n_heads, n_kv_heads, head_length)
        gated = Order(rng, count("feed_forward_length"))
        for name in ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"):
            change(f"{block}{name}.weight", stream.of_columns)
        for name in ("attn_output", "ffn_down"):
            change(f"{block}{name}.weight", stream.of_rows)
        for name in ("attn_norm", "ffn_norm"):
            change(f"{block}{name}.weight", stream.without_signs().of_rows)
        change(f"{block}attn_v.weight", values.of_rows)
        change(f"{block}attn_v.bias", values.of_rows)
        change(f"{block}attn_output.weight", heads.of_columns)
        change(f"{block}ffn_gate.weight", gated.without_signs().of_rows)
        change(f"{block}ffn_up.weight", gated.of_rows)
        change(f"{block}ffn_down.weight", gated.of_columns)
    for name in ("token_embd.weight", "output.weight"):
        change(name, stream.of_columns)
    change("output_norm.weight", stream.without_signs().of_rows)
    write_with(source, path, lambda name, shape: made[name])


def equivalents(args, types, judge, path):
    """Prints, for every type, the divergences of equivalent models' files."""
    found = {(kind, weighted): [] for kind in types for weighted in (False, True)}
    for seed in range(1, args.equivalents + 1):
        equivalent(path("demo.gguf"), path("e.gguf"), seed)
        if abs(judge.kl(path("e.gguf"))) > 1e-9:
            sys.exit("the model's equivalent is none")
        run(args.apr, "imatrix", path("e.gguf"), "-f", args.text, "-o", path("e-im.gguf"), "-q")
        for kind, weighted in found:
            extra = ["--imatrix", path("e-im.gguf")] if weighted else []
            run(args.apr, "quantize", path("e.gguf"), path("o.gguf"), kind, "--force", "-q", *extra)
            run(args.llama_quantize, *extra, path("e.gguf"), path("l.gguf"), kind)
            found[kind, weighted].append([judge.kl(path("o.gguf")), judge.kl(path("l.gguf"))])
    print("type     imatrix    KL apr    KL ggml  ratio (standard error)")
    for (kind, weighted), kls in found.items():
        kls = np.log(kls)
        apr, ggml = np.exp(kls.mean(0))
        ratios = kls[:, 0] - kls[:, 1]
        error = np.std(ratios, ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.nan
        print(f"{kind:8} {'yes' if weighted else 'no':7} {apr:9.6f} {ggml:10.6f}  {apr / ggml:.3f} "
              f"({error:.3f})", flush=True)


SIZES = [0, 0.5, 1, 1.5, 2.2, np.inf]
NOISE = 0.002  # energy, relative to the matrix's: about that of Q4_K


def sensitivity(judge, source, n_draws, scratch):
    x = matrices_of(source)
    for low, high in zip(SIZES, SIZES[1:]):
        found = []
        for i in range(n_draws):
            rng, matrices = np.random.default_rng(i), {}
            for name, w in x.items():
                blocks = w.reshape(-1, 256)
                rms = np.sqrt((blocks**2).mean(1, keepdims=True))
                size = np.abs(blocks) / rms
                e = rng.choice([-1.0, 1.0], size=blocks.shape) * rms
                e *= (size >= low) & (size < high)
                e *= np.sqrt(NOISE * (w**2).sum(dtype=np.float64) / (e**2).sum())
                matrices[name] = w + e.reshape(w.shape)
            with_matrices(source, scratch, matrices)
            found.append(judge.kl(scratch))
        error = np.std(found, ddof=1) / np.sqrt(n_draws)
        print(f"noise where |w| / rms is {low} to {high}: KL {np.mean(found):.6f} +- {error:.6f}",
              flush=True)


def main_type(name):
    return name.upper().removesuffix("_S").removesuffix("_M").removesuffix("_L")


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--apr", required=True)
    p.add_argument("--llama-quantize", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--types", default=",".join(SINGLE + MIXES))
    p.add_argument("--spread", type=int, default=0)
    p.add_argument("--equivalents", type=int, default=0)
    p.add_argument("--sensitivity", type=int, default=0)
    p.add_argument("model")
    args = p.parse_args()
    types, failed = args.types.split(","), False
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        run(args.apr, "convert", args.model, "-o", path("demo.gguf"), "--quantize", "f32", "-q")
        draws = {
            "normal": lambda s: (0.02 * rng.standard_normal(s)).astype(np.float32),
            "t3": lambda s: (0.02 * rng.standard_t(3, s)).astype(np.float32),
        }
        for name, draw in draws.items():
            fill(path("demo.gguf"), path(name + ".gguf"), draw)
        run(args.apr, "imatrix", path("demo.gguf"), "-f", args.text, "-o", path("im.gguf"), "-q")
        means = importance(path("im.gguf"))
        judge = Judge(args.apr, path("demo.gguf"), args.text, folder)
        print(f"{judge.n} positions")
        if args.sensitivity:
            sensitivity(judge, path("demo.gguf"), args.sensitivity, path("noise.gguf"))
            return 0
        if args.equivalents:
            equivalents(args, types, judge, path)
            return 0
        print("type     data   imatrix  rmse apr  rmse ggml  ratio  worst tensor  "
              "blocks differ       KL apr    KL ggml"
              + ("  mean of random signs (deviation) apr, ggml" if args.spread else ""))
        for data in ("demo", "normal", "t3"):
            for kind in types:
                if data != "demo" and kind in MIXES:
                    continue
                for weighted in (False, True):
                    source, ours, theirs = path(data + ".gguf"), path("o.gguf"), path("l.gguf")
                    extra = ["--imatrix", path("im.gguf")] if weighted else []
                    run(args.apr, "quantize", source, ours, kind, "--force", "-q", *extra)
                    run(args.llama_quantize, *extra, source, theirs, kind)
                    main_kind = main_type(kind)
                    e, worst, differing, n = compare(
                        source, ours, theirs, means if weighted else {}, main_kind)
                    must_agree = main_kind in IDENTICAL and (not weighted or main_kind == "Q8_0")
                    bad = worst[1] > 1 + 1e-6 or (must_agree and differing > 0)
                    failed = failed or bad
                    kl = ""
                    if data == "demo":
                        kl = f"{judge.kl(ours):11.6f} {judge.kl(theirs):10.6f}"
                    if data == "demo" and args.spread:
                        for file in (ours, theirs):
                            mean, deviation = spread(
                                judge, source, file, args.spread, path("noise.gguf"))
                            kl += f"  {mean:.6f} ({100 * deviation / mean:.0f} %)"
                    blocks = f"{differing} of {n}" if main_kind in IDENTICAL else ""
                    print(f"{kind:8} {data:6} {'yes' if weighted else 'no':7} {e[0]:9.6f} "
                          f"{e[1]:10.6f} {e[0] / e[1]:6.3f} {worst[1]:13.3f}  {blocks:>18} {kl}"
                          f"{'  WORSE' if bad else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
