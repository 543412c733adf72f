"""Byte-level BPE with Qwen2's pre-tokenization: trainer and encoder.

usage: bpe.py TOKENIZER_JSON [MODEL_GGUF]

Writes a Hugging Face tokenizer.json: with the vocabulary of the model, or a newly trained one.
"""

import collections
import json
import pathlib
import sys

import gguf
import regex

PATTERN = regex.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> "
    "<|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> "
    "<|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> "
    "<|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>"
).split()
SPLIT = regex.compile("(" + "|".join(regex.escape(s) for s in SPECIAL) + ")")
VOCABULARY = 4096
DOCUMENTS = 20_000


def byte_alphabet():
    """Returns GPT-2's printable stand-in for each byte, in GPT-2's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(other)}


ALPHABET = byte_alphabet()
BYTES = {char: byte for byte, char in ALPHABET.items()}


def words(text):
    """Yields the pre-tokens of a text without special tokens, in the byte alphabet."""
    for word in PATTERN.findall(text):
        yield "".join(ALPHABET[b] for b in word.encode())


class Tokenizer:
    """Encodes and decodes with a vocabulary {token: id} and a list of merges (left, right)."""

    def __init__(self, vocabulary, merges):
        self.vocabulary = dict(vocabulary)
        self.merges = [tuple(m) for m in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self.special = {t: len(self.vocabulary) + i for i, t in enumerate(SPECIAL)}
        self.tokens = [*self.vocabulary, *SPECIAL]
        self.cache = {}

    @classmethod
    def load(cls, path):
        """Reads the vocabulary and merges of a Hugging Face tokenizer.json."""
        model = json.loads(pathlib.Path(path).read_text())["model"]
        ordered = sorted(model["vocab"].items(), key=lambda item: item[1])
        merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        return cls(ordered, merges)

    @classmethod
    def from_gguf(cls, reader):
        """Takes the vocabulary and merges of a GGUF file."""
        tokens = reader.fields["tokenizer.ggml.tokens"].contents()[: -len(SPECIAL)]
        merges = reader.fields["tokenizer.ggml.merges"].contents()
        return cls({token: i for i, token in enumerate(tokens)}, [m.split(" ") for m in merges])

    def word(self, word):
        """Returns the ids of one pre-token, merging the lowest-ranked pair first."""
        if word not in self.cache:
            parts = list(word)
            while len(parts) > 1:
                ranks = [self.rank.get(pair, len(self.rank)) for pair in zip(parts, parts[1:])]
                best = min(range(len(ranks)), key=ranks.__getitem__)
                if ranks[best] == len(self.rank):
                    break
                parts[best : best + 2] = [parts[best] + parts[best + 1]]
            self.cache[word] = [self.vocabulary[p] for p in parts]
        return self.cache[word]

    def encode(self, text):
        """Returns the ids of a text; special tokens in it are recognized."""
        ids = []
        for part in SPLIT.split(text):
            if part in self.special:
                ids.append(self.special[part])
            else:
                for word in words(part):
                    ids += self.word(word)
        return ids

    def decode(self, ids):
        """Returns the text of the ids."""
        data = b""
        for i in ids:
            token = self.tokens[i]
            data += token.encode() if token in self.special else bytes(BYTES[c] for c in token)
        return data.decode(errors="replace")


def train(texts, size):
    """Returns (vocabulary, merges) of a byte-level BPE of `size` tokens with the special ones."""
    counts = collections.Counter()
    for text in texts:
        for part in SPLIT.split(text):
            if part not in SPECIAL:
                counts.update(words(part))
    split = [(list(word), n) for word, n in counts.items()]
    pairs = collections.Counter()
    where = collections.defaultdict(set)
    for i, (parts, n) in enumerate(split):
        for pair in zip(parts, parts[1:]):
            pairs[pair] += n
            where[pair].add(i)
    merges = []
    while len(merges) + len(ALPHABET) + len(SPECIAL) < size:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for i in list(where[best]):
            parts, n = split[i]
            for pair in zip(parts, parts[1:]):
                pairs[pair] -= n
            parts[:] = merge(parts, best)
            for pair in zip(parts, parts[1:]):
                pairs[pair] += n
                where[pair].add(i)
        del pairs[best]
    tokens = [*ALPHABET.values(), *(a + b for a, b in merges)]
    return {token: i for i, token in enumerate(tokens)}, merges


def merge(parts, pair):
    """Returns the parts with each occurrence of the pair joined."""
    out = []
    i = 0
    while i < len(parts):
        if tuple(parts[i : i + 2]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


def is_special(token):
    """Tells whether an added token is a control token; those of tools, code and files are not."""
    return token.startswith("<|") and not token.startswith(("<|fi", "<|repo"))


def tokenizer_json(tokenizer):
    """Returns the content of a Hugging Face tokenizer.json."""
    added = [
        {
            "id": i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": is_special(token),
        }
        for token, i in tokenizer.special.items()
    ]
    split = {
        "type": "Split",
        "pattern": {"Regex": PATTERN.pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    model = {"type": "BPE", "vocab": tokenizer.vocabulary, "merges": tokenizer.merges}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }


def trained():
    """Returns a tokenizer trained on the corpus."""
    from corpus import Corpus

    source = Corpus(seed=1)
    texts = ("".join(text for text, _ in source.document()) for _ in range(DOCUMENTS))
    return Tokenizer(*train(texts, VOCABULARY))


def main():
    """Writes a tokenizer.json."""
    out, *model = sys.argv[1:]
    tokenizer = Tokenizer.from_gguf(gguf.GGUFReader(model[0])) if model else trained()
    content = json.dumps(tokenizer_json(tokenizer), indent=1, ensure_ascii=False)
    pathlib.Path(out).write_text(content + "\n")


if __name__ == "__main__":
    main()
