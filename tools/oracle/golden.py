"""A decoder in NumPy float64 that reads GGUF, and the expectations computed with it.

usage: golden.py demo MODEL_GGUF HELD_OUT_TEXT OUT_JSON
       golden.py check DIR        compares with each DIR/NAME.json of random_models.py

Follows the papers and llama.cpp's GGUF conventions, not any engine's code: qwen2, llama, qwen3,
qwen2moe and qwen3moe, with linear, llama3 and YaRN rotary scaling and sliding windows.
"""

import json
import math
import pathlib
import sys

import gguf
import numpy as np
import tokenizers

TOP = 5
CONTINUATION = 64
HELD_OUT = 512
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


def chat(question, system=SYSTEM):
    """Returns the ChatML text of one question, up to the start of the answer."""
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return f"{head}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


PROMPTS = {
    "sum": chat("What is 2+2?"),
    "sum-no-system": chat("What is 2+2?", None),
    "rust": chat("Write a Rust function to calculate factorial"),
    "python": chat("Write a Python function to check if a number is prime.", "You are helpful."),
    "capital": chat("What is the capital of France?"),
    "greeting": chat("Hello!"),
    "turns": chat("My name is Ada.")
    + "Nice to meet you, Ada!<|im_end|>\n"
    + chat("What is 7 * 8?", None)
    + "7 * 8 = 56<|im_end|>\n"
    + chat("What is my name?", None),
    "fill": "<|fim_prefix|>def gcd(a, b):\n    while b:\n        <|fim_suffix|>\n    return a\n"
    "<|fim_middle|>",
    "program": "def factorial(n):\n",
}


def rms_norm(x, weight, epsilon):
    """Normalizes the last axis."""
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + epsilon) * weight


def softmax(x):
    """Returns the softmax over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def silu(x):
    """Returns x * sigmoid(x)."""
    return x / (1 + np.exp(-x))


class Model:
    """A GGUF file's weights in float64, and the forward pass over them."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.fields = reader.fields
        self.arch = self.fields["general.architecture"].contents()
        self.tensors = {
            t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64)
            for t in reader.tensors
        }
        self.heads = self.key("attention.head_count")
        self.kv_heads = self.key("attention.head_count_kv")
        self.head = self.tensors["blk.0.attn_q.weight"].shape[0] // self.heads
        self.window = self.key("attention.sliding_window", math.inf)
        self.epsilon = self.key("attention.layer_norm_rms_epsilon")
        self.frequencies, self.rope_gain = self.rope()

    def key(self, name, default=None):
        """Returns the value of an architecture key."""
        field = self.fields.get(f"{self.arch}.{name}")
        return default if field is None else field.contents()

    def rope(self):
        """Returns the rotary frequency of each pair, and the gain of sines and cosines."""
        base = self.key("rope.freq_base")
        plain = base ** (-np.arange(0, self.head, 2) / self.head)
        kind = self.key("rope.scaling.type", "none")
        factor = self.key("rope.scaling.factor", 1.0)
        if kind == "linear":
            return plain / factor, 1.0
        if kind == "yarn":
            original = self.key("rope.scaling.original_context_length")
            low, high = (
                self.head * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
                for turns in (32, 1)
            )
            low, high = max(math.floor(low), 0), min(math.ceil(high), self.head - 1)
            ramp = np.clip((np.arange(self.head // 2) - low) / max(high - low, 0.001), 0, 1)
            return plain * (1 - ramp) + plain / factor * ramp, 0.1 * math.log(factor) + 1
        return plain / self.tensors.get("rope_freqs.weight", 1.0), 1.0

    def rotate(self, x):
        """Applies the rotary embedding to (tokens, heads, head) from position 0."""
        angles = np.outer(np.arange(len(x)), self.frequencies)[:, None]
        cos, sin = np.cos(angles) * self.rope_gain, np.sin(angles) * self.rope_gain
        half = self.head // 2
        adjacent = self.arch == "llama"
        first = slice(0, None, 2) if adjacent else slice(0, half)
        second = slice(1, None, 2) if adjacent else slice(half, None)
        out = np.empty_like(x)
        out[..., first] = x[..., first] * cos - x[..., second] * sin
        out[..., second] = x[..., second] * cos + x[..., first] * sin
        return out

    def linear(self, name, x):
        """Multiplies by a weight and adds its bias, if the file has one."""
        return x @ self.tensors[f"{name}.weight"].T + self.tensors.get(f"{name}.bias", 0.0)

    def norm(self, name, x):
        """Applies a norm, or nothing if the file lacks it."""
        weight = self.tensors.get(f"{name}.weight")
        return x if weight is None else rms_norm(x, weight, self.epsilon)

    def attend(self, block, x):
        """Returns the attention output of a block."""
        tokens = len(x)
        q = self.linear(f"{block}.attn_q", x).reshape(tokens, self.heads, self.head)
        k = self.linear(f"{block}.attn_k", x).reshape(tokens, self.kv_heads, self.head)
        v = self.linear(f"{block}.attn_v", x).reshape(tokens, self.kv_heads, self.head)
        q = self.rotate(self.norm(f"{block}.attn_q_norm", q))
        k = self.rotate(self.norm(f"{block}.attn_k_norm", k))
        group = self.heads // self.kv_heads
        k, v = k.repeat(group, 1), v.repeat(group, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(self.head)
        distance = np.subtract.outer(np.arange(tokens), np.arange(tokens))
        seen = (distance >= 0) & (distance < self.window)
        weights = softmax(np.where(seen, scores, -np.inf))
        return self.linear(
            f"{block}.attn_output", np.einsum("hqk,khd->qhd", weights, v).reshape(tokens, -1)
        )

    def gated(self, block, suffix, x, expert=...):
        """Applies a gated feed-forward network, or one expert of a stack."""
        gate, up, down = (
            self.tensors[f"{block}.ffn_{part}{suffix}.weight"][expert]
            for part in ("gate", "up", "down")
        )
        return (silu(x @ gate.T) * (x @ up.T)) @ down.T

    def experts(self, block, x):
        """Returns the output of the mixture of experts; only qwen3moe normalizes its weights."""
        shares = softmax(self.linear(f"{block}.ffn_gate_inp", x))
        chosen = np.argsort(-shares, -1)[:, : self.key("expert_used_count")]
        out = np.zeros_like(x)
        for i, experts in enumerate(chosen):
            total = shares[i, experts].sum() if self.arch == "qwen3moe" else 1.0
            for e in experts:
                out[i] += shares[i, e] / total * self.gated(block, "_exps", x[i], e)
        if f"{block}.ffn_gate_inp_shexp.weight" in self.tensors:
            gate = self.tensors[f"{block}.ffn_gate_inp_shexp.weight"].reshape(-1)
            share = 1 / (1 + np.exp(-(x @ gate)))
            out += share[:, None] * self.gated(block, "_shexp", x)
        return out

    def forward(self, ids):
        """Returns the logits (tokens, vocabulary) of a prompt."""
        x = self.tensors["token_embd.weight"][ids]
        for i in range(self.key("block_count")):
            block = f"blk.{i}"
            x = x + self.attend(block, self.norm(f"{block}.attn_norm", x))
            y = self.norm(f"{block}.ffn_norm", x)
            sparse = f"{block}.ffn_gate_inp.weight" in self.tensors
            x = x + (self.experts(block, y) if sparse else self.gated(block, "", y))
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return self.norm("output_norm", x) @ head.T

    def greedy(self, ids, count, stop=()):
        """Returns (ids of the greedy continuation, its smallest lead of best over second)."""
        out = []
        lead = math.inf
        while len(out) < count and not (out and out[-1] in stop):
            logits = self.forward(ids + out)[-1]
            second, best = np.sort(logits)[-2:]
            lead = min(lead, best - second)
            out.append(int(logits.argmax()))
        return out, lead

    def perplexity(self, ids):
        """Returns exp of the mean negative log-likelihood of ids[1:]."""
        logits = self.forward(ids)[:-1]
        shifted = logits - logits.max(-1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        return float(np.exp(-logs[np.arange(len(logs)), ids[1:]].mean()))


def tokenizer_of(fields):
    """Returns the file's byte-level BPE as a `tokenizers` object with Qwen2's pre-tokenization."""
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {t: i for i, (t, kind) in enumerate(zip(tokens, kinds)) if kind == 1}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.normalizer = tokenizers.normalizers.NFC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    added = [t for t, kind in zip(tokens, kinds) if kind != 1]
    tokenizer.add_tokens([tokenizers.AddedToken(t, normalized=False) for t in added])
    return tokenizer


def demo(model_path, held_out, out):
    """Writes what the demo model must give for the prompts and the held-out text."""
    model = Model(model_path)
    tokenizer = tokenizer_of(model.fields)
    stop = {tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>")}
    cases = []
    for name, prompt in PROMPTS.items():
        ids = tokenizer.encode(prompt).ids
        logits = model.forward(ids)[-1]
        continuation, lead = model.greedy(ids, CONTINUATION, stop)
        cases.append(
            {
                "name": name,
                "prompt": prompt,
                "ids": ids,
                "top": [[int(i), float(logits[i])] for i in np.argsort(-logits)[:TOP]],
                "greedy": continuation,
                "greedy_text": tokenizer.decode(continuation, skip_special_tokens=False),
                "greedy_lead_min": round(float(lead), 4),
            }
        )
    ids = tokenizer.encode(pathlib.Path(held_out).read_text()).ids[:HELD_OUT]
    assert len(ids) == HELD_OUT
    expected = {
        "file": pathlib.Path(model_path).name,
        "cases": cases,
        "held_out_ids": ids,
        "perplexity": model.perplexity(ids),
    }
    pathlib.Path(out).write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


def check(folder):
    """Compares this file's decoder with the expectations that transformers gave."""
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        expected = json.loads(path.read_text())
        if "top1" not in expected:
            continue
        model = Model(path.with_suffix(".gguf"))
        logits = model.forward(expected["ids"])
        worst = max(np.abs(logits[int(i)] - v).max() for i, v in expected["logits"].items())
        assert worst < 1e-4, (path, worst)
        assert logits.argmax(-1).tolist() == expected["top1"], path
        assert model.greedy(expected["ids"], len(expected["greedy"]))[0] == expected["greedy"], path
        print(f"{path.stem}: logits differ by at most {worst:.1e}")


if __name__ == "__main__":
    {"demo": demo, "check": check}[sys.argv[1]](*sys.argv[2:])
