#!/usr/bin/env python3
"""Writes the tokenizer's golden cases to tests/unit/data/:

    tokenizer-demo-cases.json  texts with their ids on models/demo.gguf's vocabulary
    tokenizer-pre-cases.json   texts with the ends of their words, for each pre-tokenizer; NFC forms
    tokenizer-spm.gguf         a SentencePiece vocabulary of 600 pieces, trained on the texts here
    tokenizer-spm-cases.json   texts with their ids on it

References: Hugging Face tokenizers and Google's sentencepiece.
usage: tools/oracle/tokenizer_cases.py DEMO_TOKENIZER_JSON
Needs python3 with tokenizers, sentencepiece and gguf.
"""

import io
import json
import os
import random
import sys

import gguf
import sentencepiece
from tokenizers import Tokenizer, normalizers
from tokenizers import pre_tokenizers as pt

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "bench"))
import tokenizer_compare as compare

OUT = os.path.join(ROOT, "tests", "unit", "data")

TEXTS = [
    "",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    " \n ",
    "\t",
    "\t\t",
    "\r\n",
    "\r",
    "a",
    " a",
    "  a",
    "a ",
    "a  ",
    "Hello, world!",
    "hello world",
    "HELLO WORLD",
    "What is 2+2?",
    "Write a Rust function to calculate factorial",
    'fn main() {\n    println!("Hello, world!");\n}\n',
    "def factorial(n):\n    if n <= 1:\n        return 1\n    return n * factorial(n - 1)\n",
    "#include <stdio.h>\nint main(void) { return 0; }\n",
    "for (int i = 0; i < 10; i++) {\n\tsum += a[i];\n}\n",
    "SELECT * FROM users WHERE id = 42;",
    "x = {'a': [1, 2, 3], 'b': None}",
    "a=b+c*d/e%f^g&h|i",
    "https://example.com/path?query=1&x=%20#frag",
    "user@example.com",
    "C:\\Windows\\System32",
    "don't can't won't I'm you're they've we'll he'd it's",
    "DON'T CAN'T I'M YOU'RE THEY'VE",
    "'s't're",
    "'\u017fa",
    "'\u017f",
    "o'clock 'tis 'Twas",
    "1",
    "12",
    "123",
    "1234",
    "1234567890",
    "3.14159",
    "1,000,000",
    "2026-11-21T09:00:00Z",
    "0x1F600",
    "१२३४",
    "½ ⅓ Ⅳ ² ₃",
    "x²+y²=z²",
    "Привет, мир! Как дела?",
    "Straße Grüße Ärger",
    "naïve café résumé",
    "Ελληνικά",
    "עברית שלום",
    "مرحبا بالعالم",
    "السَّلامُ عَلَيْكُم",
    "हिन्दी नमस्ते",
    "বাংলা",
    "தமிழ்",
    "ไทย สวัสดี",
    "ภาษาไทยไม่มีช่องว่าง",
    "你好，世界！",
    "今天是2026年11月21日",
    "こんにちは世界",
    "カタカナ ｶﾀｶﾅ",
    "안녕하세요 세계",
    "한국어 텍스트",
    "e\u0301",
    "cafe\u0301",
    "n\u0303",
    "A\u030a",
    "\u212b",
    "\u2126",
    "\u1112\u1161\u11ab",
    "\u1100\u1161",
    "\uac00\u11a8",
    "a\u0323\u0307",
    "a\u0307\u0323",
    "q\u0307\u0323",
    "\u1e9b\u0323",
    "\u0958",
    "\u0915\u093c",
    "\ufb01",
    "\uff21\uff22",
    "\u0344",
    "\u0374",
    "\u037e",
    "\u0387",
    "\u1fbe",
    "\u2000",
    "\u2001",
    "\u2329",
    "\U0001d15e",
    "\U0002f800",
    "\U000110ab",
    "\u0f73",
    "\u0f71\u0f72",
    "\u0301",
    "\u0301a",
    " \u0301",
    "\u0300\u0301",
    "👍",
    "👍🏽",
    "👩‍👩‍👧‍👦",
    "🇫🇷🇩🇪",
    "😀😃😄",
    "Nice 👍!",
    "❤️",
    "\u200b",
    "\u200d",
    "\ufeff",
    "a\u00a0b",
    "a\u3000b",
    "a\u2028b",
    "a\u0085b",
    "\x00",
    "a\x00b",
    "\x1b[31mred\x1b[0m",
    "\x7f",
    "\ufffd",
    "\U0010ffff",
    "\ue000",
    "....",
    "!!!???",
    "----",
    "====",
    "____",
    "***bold***",
    "/* comment */",
    "// comment",
    "<!-- -->",
    "###",
    "(((",
    ")))",
    '"quoted"',
    "\u201cquoted\u201d",
    "\u2026",
    "\u2014",
    "$100",
    "€50",
    "£",
    "¥",
    "™®©",
    "    indented",
    "\tindented",
    "        return x",
    "line1\nline2\n\nline3\r\nline4",
    "trailing   ",
    "trailing\n\n\n",
    " \t \n \t x",
    "a\n\n\n   b",
    "  \r\n  \r\n  c",
    "supercalifragilisticexpialidocious",
    "a" * 100,
    "camelCaseIdentifier",
    "snake_case_identifier",
    "SCREAMING_CASE",
    "kebab-case",
    "HTTPServerError404",
    "\U00011de0",
    "\U00016ff4",
    "\u0897",
    "\U0001e5ee",
    "\u1c89",
    "\ua7cb",
    "\U00010d6b",
    "\U000105c9",
    "<|im_end|>",
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>",
    "<|endoftext|>",
    "a<|endoftext|>b",
    " <|im_end|> ",
    "<|im_end",
    "<|im_end|",
    "|im_end|>",
    "<|IM_END|>",
    "<|im_end|><|im_end|>",
    "<<|im_end|>>",
    "<|im_<|im_end|>end|>",
    "<tool_call>",
    "<tool_call>{}</tool_call>",
    "<|fim_prefix|>def f(<|fim_suffix|>):<|fim_middle|>",
    "<|im_start|><tool_call>",
    "e<|im_end|>\u0301",
    "cafe\u0301<|im_end|>cafe\u0301",
    "<|repo_name|>x<|file_sep|>y.py",
    "<s>",
    "</s>",
    "[INST]",
]

SPM_TEXTS = [
    "Hello world",
    "Hello  world",
    " Hello",
    "Hello ",
    "the quick brown fox",
    "",
    " ",
    "   ",
    "a",
    "\n",
    "a\nb",
    "x\t y",
    "你好 世界",
    "Привет",
    "emoji 👍 here",
    "<s>",
    "</s>",
    "<unk>",
    "<0x41>",
    "user <sep> defined",
    "\u2581",
    "a\u2581b",
    "don't stop",
    "123 456",
    "e\u0301",
    "\u0000x",
    "supercalifragilistic",
    "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt",
    "def f(x):\n    return x\n",
]


def dump(name, value):
    with open(os.path.join(OUT, name), "w", encoding="ascii") as f:
        f.write("[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]\n")


def demo_cases(path):
    tok = Tokenizer.from_file(path)
    rows = []
    for text in TEXTS + [s for s in compare.random_strings(60, 4, ["<|im_end|>", "<tool_call>"])]:
        tok.encode_special_tokens = False
        ids = tok.encode(text, add_special_tokens=False).ids
        tok.encode_special_tokens = True
        plain = tok.encode(text, add_special_tokens=False).ids
        rows.append({"text": text, "ids": ids, "plain": plain})
    dump("tokenizer-demo-cases.json", rows)


def word_ends(rule, text):
    at = [0]
    for ch in text:
        at.append(at[-1] + len(ch.encode()))
    return [at[end] for _, (_, end) in rule.pre_tokenize_str(text)]


def pre_cases():
    texts = [t for t in TEXTS if t] + list(compare.random_strings(40, 5, ["<|x|>"]))
    rows = []
    for name, (rule, _, _) in sorted(compare.patterns().items()):
        rows.append({"pre": name, "cases": [[t, word_ends(rule, t)] for t in texts]})
    nfc = normalizers.NFC()
    rng = random.Random(6)
    marks = [
        chr(c)
        for c in (
            0x300,
            0x301,
            0x307,
            0x323,
            0x327,
            0x334,
            0x345,
            0x5B0,
            0x64B,
            0x94D,
            0x1D165,
            0x897,
        )
    ]
    bases = [
        chr(c)
        for c in (0x61, 0x6F, 0xE9, 0x1EA5, 0x3B1, 0x915, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x4E2D)
    ]
    for _ in range(150):
        texts.append(
            "".join(
                rng.choice(marks if rng.random() < 0.7 else bases)
                for _ in range(rng.randint(2, 40))
            )
        )
    rows.append({"pre": "NFC", "cases": [[t, nfc.normalize_str(t)] for t in texts]})
    dump("tokenizer-pre-cases.json", rows)


def spm_cases():
    model = io.BytesIO()
    sentences = [
        t for t in TEXTS + SPM_TEXTS if t.strip() and "\x00" not in t and "\n" not in t
    ] * 3
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=600,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.98,
        user_defined_symbols=["<sep>"],
        num_threads=1,
        minloglevel=2,
    )
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    n = sp.vocab_size()
    kind = gguf.TokenType
    types = [
        kind.UNKNOWN
        if sp.is_unknown(i)
        else kind.CONTROL
        if sp.is_control(i)
        else kind.BYTE
        if sp.is_byte(i)
        else kind.USER_DEFINED
        if sp.id_to_piece(i) == "<sep>"
        else kind.NORMAL
        for i in range(n)
    ]
    writer = gguf.GGUFWriter(os.path.join(OUT, "tokenizer-spm.gguf"), "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([sp.id_to_piece(i) for i in range(n)])
    writer.add_token_scores([sp.get_score(i) for i in range(n)])
    writer.add_token_types(types)
    writer.add_bos_token_id(sp.bos_id())
    writer.add_eos_token_id(sp.eos_id())
    writer.add_unk_token_id(sp.unk_id())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    # A user-defined symbol inside a text: our rule, llama.cpp's, begins anew behind it.
    texts = [t for t in SPM_TEXTS + TEXTS if "<sep>" not in t and "\x00" not in t and t]
    dump("tokenizer-spm-cases.json", [{"text": t, "ids": sp.encode(t)} for t in texts])


demo_cases(sys.argv[1])
pre_cases()
spm_cases()
