#!/usr/bin/env python3
"""Compares apr's byte-level tokenizer with Hugging Face's tokenizers: agreement and speed.

    tokenizer_compare.py --bench BENCH_TOKENIZER --vocab DIR [--pre NAME] [--strings N] [--seed S]
                         [--text FILE] [--runs R]

DIR holds vocab.json and merges.txt, or tokenizer.json. A GGUF file with that vocabulary is written
to a scratch folder for BENCH_TOKENIZER (built from bench_tokenizer.c), so both sides read the same
vocabulary. --strings: so many random texts are encoded by both, with added tokens parsed and
without; any difference is printed and gives exit code 1. --text: both encode this file on one
thread; MB/s of CPU time is printed, the median of R runs.

Needs python3 with tokenizers and gguf.
"""
import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pt

QWEN2_ADDED = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|>
<|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|>
<|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|>
<|fim_pad|> <|repo_name|> <|file_sep|>""".split()


def split(pattern):
    return pt.Split(Regex(pattern), "isolated")


def patterns():
    """The pre-tokenizers as the models' tokenizer.json files have them; then whether NFC is first
    and whether ignore_merges is set."""
    word = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    tail = r"\s*[\r\n]+|\s+(?!\S)|\s+"
    cl100k = word + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|" + tail
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    cased = (r"[^\r\n\p{L}\p{N}]?U*L+S|[^\r\n\p{L}\p{N}]?U+L*S|\p{N}D"
             r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + tail)
    cased = cased.replace("U*", upper + "*").replace("U+", upper + "+")
    cased = cased.replace("L+S", lower + "+S").replace("L*S", lower + "*S")
    byte_level = pt.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pt.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pt.Digits(individual_digits=True)
    cjk = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
    deepseek3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
                 r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                 r"| ?[\p{P}\p{S}]+[\r\n]*|" + tail)
    return {
        "qwen2": (pt.Sequence([split(cl100k % ""), byte_level]), True, False),
        "llama-bpe": (pt.Sequence([split(cl100k % "{1,3}"), byte_level]), False, True),
        "qwen35": (pt.Sequence([split(
            word + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
            r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + tail), byte_level]), True, False),
        "gpt-2": (gpt2, False, False),
        "smollm": (pt.Sequence([digits, gpt2]), False, False),
        "deepseek-coder": (pt.Sequence([split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                                        split(cjk), digits, byte_level]), False, False),
        "deepseek-v3": (pt.Sequence([split(r"\p{N}{1,3}"),
                                     split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                                     split(deepseek3), byte_level]), False, False),
        "tekken": (pt.Sequence([split(cased.replace("S|", "|").replace("D|", "|").replace("D", "")),
                                byte_level]), False, True),
        "gpt-4o": (pt.Sequence([split(cased.replace("S|", word + "?|").replace("D", "{1,3}", 1)),
                                byte_level]), False, False),
    }


def load_reference(folder, pre):
    """The Hugging Face tokenizer, its tokens in id order and its merges."""
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        path = os.path.join(folder, "tokenizer.json")
        reference = Tokenizer.from_file(path)
        model = json.load(open(path, encoding="utf-8"))["model"]
        vocab, merges = model["vocab"], model["merges"]
        merges = [m if isinstance(m, str) else " ".join(m) for m in merges]
        added = [t["content"] for t in json.load(open(path, encoding="utf-8"))["added_tokens"]]
        special = {t["content"]: t["special"]
                   for t in json.load(open(path, encoding="utf-8"))["added_tokens"]}
    else:
        vocab = json.load(open(os.path.join(folder, "vocab.json"), encoding="utf-8"))
        lines = open(os.path.join(folder, "merges.txt"), encoding="utf-8").read().split("\n")
        merges = [line for line in lines if line and not line.startswith("#version")]
        reference, added = None, QWEN2_ADDED
        special = {t: "tool_call" not in t for t in added}
    if reference is None or pre != "qwen2":
        rule, nfc, ignore_merges = patterns()[pre]
        reference = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in merges],
                                         ignore_merges=ignore_merges))
        reference.pre_tokenizer = rule
        if nfc:
            reference.normalizer = normalizers.NFC()
        reference.decoder = decoders.ByteLevel()
        for token in added:
            reference.add_tokens([AddedToken(token, special=special[token], normalized=False)])
    tokens = [None] * reference.get_vocab_size(with_added_tokens=True)
    for token, i in reference.get_vocab(with_added_tokens=True).items():
        tokens[i] = token
    types = [gguf.TokenType.NORMAL] * len(tokens)
    for token in added:
        kind = gguf.TokenType.CONTROL if special[token] else gguf.TokenType.USER_DEFINED
        types[reference.token_to_id(token)] = kind
    return reference, tokens, types, merges, [t for t in added if special[t]]


def write_gguf(path, pre, tokens, types, merges):
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_strings(n, seed, added):
    rng = random.Random(seed)
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    words = ("the of and to in is you that it for def return self import int void const char std::"
             " print factorial function 你好 世界 مرحبا привет мир こんにちは 안녕하세요 Straße naïve"
             " e\u0301 n\u0303 \u1112\u1161\u11ab 👩‍👩‍👧 🇫🇷 'S 'LL don't I'M we'Ve 3.14159 2026"
             " १२३ ½ Ⅳ").split(" ")
    pools = [
        list(" \n\r\t'sStTdDmMlLrReEvVaAbB01239.,!/-_$+<|>"),
        list(" \n'\u017f\u0301\u0300éßǅʰあ中Ａ1²Ⅳ．。！　\u00a0\u2028\u200b\u0e48ก가"
             "\u1100\u1161\u11a8\x85\x1c\0"),
        every,
        [chr(c) for c in range(0x20, 0x7F)],
        [chr(c) for c in range(0xA0, 0x600)],
        [chr(c) for c in range(0x900, 0xE80)],
        [chr(c) for c in range(0x2000, 0x3100)],
        [chr(c) for c in range(0x4E00, 0x9FFF)],
        [chr(c) for c in range(0x1F300, 0x1FAFF)],
        words, [" " + w for w in words], [" ", "  ", "\n", "\n\n", "    ", "\t", "\r\n"],
        added + [t[:-1] for t in added] + [t[1:] for t in added] + ["<|", "|>", "<"],
    ]
    for _ in range(n):
        chosen = [rng.choice(pools) for _ in range(rng.randint(1, 4))]
        text = ""
        for _ in range(rng.choice([1, 2, 3, 5, 8, 15, 30, 60])):
            text += rng.choice(rng.choice(chosen)) * rng.choice([1, 1, 1, 1, 1, 2, 3])
        yield text


def encode_ours(bench, model, texts, special):
    data = b"".join(struct.pack("<I", len(t)) + t for t in (s.encode() for s in texts))
    command = [bench, "--encode-lines", model] + (["--special"] if special else [])
    out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
    return [[int(i) for i in line.split()] for line in out.decode().split("\n")[:-1]]


def compare(args, reference, model, added):
    texts = list(random_strings(args.strings, args.seed, added))
    differences = 0
    for special in (True, False):
        reference.encode_special_tokens = not special
        ours = encode_ours(args.bench, model, texts, special)
        for i in range(0, len(texts), 1000):
            batch = reference.encode_batch(texts[i:i + 1000], add_special_tokens=False)
            for text, theirs, mine in zip(texts[i:], batch, ours[i:]):
                if theirs.ids != mine:
                    differences += 1
                    if differences <= 10:
                        print("differs: %s\n  apr %s\n  hf  %s" % (ascii(text), mine, theirs.ids))
    print("%s: %d strings, parsed and plain: %d differences" % (args.pre, len(texts), differences))
    return differences


def median_s(runs, work):
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), result


def speed(args, reference, model):
    """Hugging Face's rate is the better of one call for the whole text and of encode_batch_fast
    over blocks of lines, which tracks no offsets."""
    text = open(args.text, encoding="utf-8", newline="").read()
    size = len(text.encode())
    whole_s, whole = median_s(args.runs, lambda: reference.encode(text, add_special_tokens=False))
    lines, blocks = text.splitlines(keepends=True), []
    for line in lines:
        if not blocks or len(blocks[-1]) > 4000:
            blocks.append("")
        blocks[-1] += line
    blocks_s, _ = median_s(args.runs, lambda: reference.encode_batch_fast(
        blocks, add_special_tokens=False))
    out = subprocess.run([args.bench, model, args.text, str(args.runs)], stdout=subprocess.PIPE,
                         check=True).stdout
    ours = json.loads(out)
    assert ours["n_ids"] == len(whole.ids), "the id counts differ"
    theirs_mb_s = size / 1e6 / min(whole_s, blocks_s)
    print("%s: %d bytes, %d ids: apr %.2f MB/s; Hugging Face whole %.2f, in blocks %.2f MB/s; "
          "ratio %.1f; apr loads in %.1f ms, decodes %.1f MB/s"
          % (args.pre, size, ours["n_ids"], ours["encode_mb_s"], size / 1e6 / whole_s,
             size / 1e6 / blocks_s, ours["encode_mb_s"] / theirs_mb_s, ours["load_ms"],
             ours["decode_mb_s"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--pre", default="qwen2", choices=sorted(patterns()))
    parser.add_argument("--strings", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    reference, tokens, types, merges, added = load_reference(args.vocab, args.pre)
    with tempfile.TemporaryDirectory() as scratch:
        model = os.path.join(scratch, "vocab.gguf")
        write_gguf(model, args.pre, tokens, types, merges)
        differences = compare(args, reference, model, added) if args.strings else 0
        if args.text:
            reference.encode_special_tokens = True
            speed(args, reference, model)
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
