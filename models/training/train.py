"""Trains the demo model on documents made as it goes.

usage: train.py MINUTES TOKENIZER_JSON OUT_SAFETENSORS [INITIAL_SAFETENSORS]

The learning rate follows a cosine over the given time, so a run is planned by the clock.
"""

import collections
import math
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from bpe import Tokenizer
from corpus import Corpus
from qwen2 import Qwen2, Shape
from safetensors.torch import load_file, save_file

BATCH_TOKENS = 2048
WIDTH_STEP = 32
KEPT_STEP = 256
MAX_TOKENS = 512
PEAK_LR = 1.5e-3
WARMUP_STEPS = 100
SAVE_SECONDS = 120


def encode(tokenizer, document):
    """Returns (ids, weights) of a document, at most MAX_TOKENS + 1 of them."""
    ids, weights = [], []
    for text, weight in document:
        piece = tokenizer.encode(text)
        ids += piece
        weights += [weight] * len(piece)
    return ids[: MAX_TOKENS + 1], weights[: MAX_TOKENS + 1]


def batches(tokenizer, corpus):
    """Yields (ids, weights) tensors of few different shapes, padded at the end with weight 0.

    Documents wait in a bucket per width until they fill a batch: kernels are compiled per shape.
    """
    buckets = collections.defaultdict(list)
    while True:
        ids, weights = encode(tokenizer, corpus.document())
        width = -(-len(ids) // WIDTH_STEP) * WIDTH_STEP
        bucket = buckets[width]
        bucket.append((ids, weights))
        if len(bucket) == max(1, BATCH_TOKENS // width):
            yield pad(bucket, width)
            bucket.clear()


def pad(rows, width):
    """Returns the rows as (ids, weights) tensors, with one more column for the last target."""
    ids = torch.zeros(len(rows), width + 1, dtype=torch.long)
    weights = torch.zeros(len(rows), width + 1)
    for i, (row_ids, row_weights) in enumerate(rows):
        ids[i, : len(row_ids)] = torch.tensor(row_ids)
        weights[i, : len(row_weights)] = torch.tensor(row_weights)
    return ids, weights


def loss_of(model, ids, weights):
    """Returns the weighted mean cross entropy; most positions of weight 0 cost no head."""
    targets, weights = ids[:, 1:].flatten(), weights[:, 1:].flatten()
    kept = weights.nonzero().flatten()
    fill = -len(kept) % KEPT_STEP
    weights = F.pad(weights[kept], (0, fill))
    kept = F.pad(kept, (0, fill))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids[:, :-1], kept)
    losses = F.cross_entropy(logits.float(), targets[kept], reduction="none")
    return (losses * weights).sum() / weights.sum()


def optimizer_of(model):
    """Returns AdamW with weight decay on the matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def rate(done, step):
    """Returns the learning rate after the fraction `done` of the time."""
    return PEAK_LR * min(1.0, (step + 1) / WARMUP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * done))


def main():
    """Trains for the given minutes."""
    minutes, vocabulary, out, *initial = sys.argv[1:]
    torch.manual_seed(0)
    model = Qwen2(Shape())
    if initial:
        weights = load_file(initial[0])
        model.load_state_dict({name: w.float() for name, w in weights.items()})
    optimizer = optimizer_of(model)
    source = batches(Tokenizer.load(vocabulary), Corpus(seed=2))
    start = saved = time.monotonic()
    step, tokens, mean = 0, 0, None
    while (done := (time.monotonic() - start) / (60 * float(minutes))) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate(done, step)
        ids, weights = next(source)
        loss = loss_of(model, ids, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, tokens = step + 1, tokens + ids.numel()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 0:
            seconds = time.monotonic() - start
            print(f"{seconds:.0f} s, step {step}, {tokens} tokens, loss {mean:.4f}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            save_file(model.state_dict(), pathlib.Path(out))
    save_file(model.state_dict(), pathlib.Path(out))


if __name__ == "__main__":
    main()
