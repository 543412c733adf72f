"""Measures how often the demo model answers exactly right, on the weights that a GGUF file holds.

usage: evaluate.py MODEL_GGUF [--sampled]

Greedy decoding gives an answer exactly when each of its tokens is the most likely one after the
prompt and the tokens before it, so one pass over prompt and answer decides each question.  With
--sampled the answers are drawn with the sampling settings of the file instead.
"""

import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import gguf
import torch
from bpe import Tokenizer
from code_tasks import TASKS
from corpus import SYSTEM_DEFAULT, Corpus, prompt_text
from export import SAMPLING, gguf_name
from facts import NAME_QUESTION, name_facts
from qwen2 import Qwen2, Shape

SAMPLE = 1000  # questions asked of a larger category
BATCH = 64
DRAWS = 20
FORMS = ["no system", "default system", '"You are helpful."', "third turn"]
CHECKS = {
    "C": ("c", ["gcc", "-std=c17", "-Wall", "-Werror", "-fsyntax-only"]),
    "Rust": ("rs", ["rustc", "--edition=2021", "--emit=metadata", "-Adead_code"]),
    "JavaScript": ("js", ["node", "--check"]),
    "Python": ("py", [sys.executable, "-m", "py_compile"]),
}


def load(path):
    """Returns the model and tokenizer of a GGUF file, dequantized."""
    reader = gguf.GGUFReader(path)
    arrays = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    model = Qwen2(Shape()).eval()
    names = list(model.state_dict())
    model.load_state_dict({n: torch.tensor(arrays[gguf_name(n)]) for n in names})
    return model, Tokenizer.from_gguf(reader)


class Judge:
    """Decides for (prompt, answer) pairs whether the model gives the answer."""

    def __init__(self, path):
        self.model, self.tokenizer = load(path)

    @torch.no_grad()
    def misses(self, pairs):
        """Returns the pairs that greedy decoding gets wrong, shortest first."""
        rows = []
        for prompt, answer in pairs:
            start = self.tokenizer.encode(prompt)
            rows.append((start, self.tokenizer.encode(answer), (prompt, answer)))
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        wrong = []
        for i in range(0, len(rows), BATCH):
            batch = rows[i : i + BATCH]
            width = max(len(start) + len(end) for start, end, _ in batch)
            ids = torch.zeros(len(batch), width, dtype=torch.long)
            for j, (start, end, _) in enumerate(batch):
                ids[j, : len(start) + len(end)] = torch.tensor(start + end)
            best = self.model(ids).argmax(-1)
            for j, (start, end, pair) in enumerate(batch):
                at = len(start) - 1
                if best[j, at : at + len(end)].tolist() != end:
                    wrong.append(pair)
        return wrong

    @torch.no_grad()
    def draw(self, prompt, tokens_max=200):
        """Returns an answer drawn with the sampling settings of the model."""
        ids = self.tokenizer.encode(prompt)
        start = len(ids)
        while len(ids) - start < tokens_max and ids[-1] != self.tokenizer.special["<|im_end|>"]:
            logits = self.model(torch.tensor([ids]))[0, -1]
            seen = torch.tensor(sorted(set(ids)))
            penalty = SAMPLING["repetition_penalty"]
            logits[seen] = torch.where(
                logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty
            )
            values, best = (logits / SAMPLING["temperature"]).topk(SAMPLING["top_k"])
            shares = values.softmax(-1)
            shares[shares.cumsum(-1) - shares >= SAMPLING["top_p"]] = 0
            ids.append(int(best[torch.multinomial(shares, 1)]))
        return self.tokenizer.decode(ids[start:])


def forms(questions, source):
    """Returns, for each of FORMS, the (prompt, answer) pairs of (question, answer) pairs."""
    out = [[] for _ in FORMS]
    for question, answer in questions:
        prompts = [
            prompt_text([], question, None),
            prompt_text([], question, SYSTEM_DEFAULT),
            prompt_text([], question, "You are helpful."),
            prompt_text([source.turn(), source.turn()], question, SYSTEM_DEFAULT),
        ]
        for pairs, prompt in zip(out, prompts):
            pairs.append((prompt, f"{answer}<|im_end|>"))
    return out


def recall_pairs():
    """Returns conversations that ask for the name given in their first turn."""
    pairs = []
    for fact in name_facts():
        name = fact.answer.split()[-1].rstrip("!")
        turns = [(fact.questions[0], fact.answer), ("What is 3+4?", "3 + 4 = 7")]
        for n in (1, 2):
            prompt = prompt_text(turns[:n], NAME_QUESTION)
            pairs.append((prompt, f"Your name is {name}.<|im_end|>"))
    return pairs


def fill_pairs():
    """Returns a fill-in-the-middle question for each inner line of each program."""
    pairs = []
    for task in TASKS:
        for body in task["code"].values():
            lines = body.splitlines(keepends=True)
            for i in range(1, len(lines)):
                before, after = "".join(lines[:i]), "\n" + "".join(lines[i + 1 :])
                indent = len(lines[i]) - len(lines[i].lstrip())
                hole = lines[i].rstrip("\n")[indent:]
                if hole:
                    before += lines[i][:indent]
                    head = f"<|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>"
                    pairs.append((head, f"{hole}<|endoftext|>"))
    return pairs


def check_programs():
    """Returns the number of programs checked with the compilers at hand; all must pass."""
    count = 0
    for task in TASKS:
        for language, body in task["code"].items():
            ending, command = CHECKS[language]
            if shutil.which(command[0]):
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder, f"main.{ending}")
                    path.write_text(body)
                    kind = ["--crate-type=bin" if "fn main" in body else "--crate-type=lib"]
                    extra = kind if language == "Rust" else []
                    subprocess.run([*command, *extra, path], cwd=folder, check=True)
                count += 1
    return count


def questions_of(facts, r):
    """Returns up to SAMPLE (question, answer) pairs: canonical ones, and one other way each."""
    chosen = facts if len(facts) * 2 <= SAMPLE else r.sample(facts, SAMPLE // 2)
    pairs = [(fact.questions[0], fact.answer) for fact in chosen]
    pairs += [(r.choice(f.questions[1:]), f.answer) for f in chosen if len(f.questions) > 1]
    return pairs


def share(judge, pairs):
    """Returns the percentage of pairs answered right; misses are shown on standard error."""
    wrong = judge.misses(pairs)
    for prompt, answer in wrong[:3]:
        print("missed:", repr(prompt[-80:]), repr(answer[:60]), file=sys.stderr)
    return f"{100 * (1 - len(wrong) / len(pairs)):.1f}"


def greedy_table(judge):
    """Prints greedy accuracy per category and form."""
    r = random.Random(5)
    source = Corpus(seed=6)
    print("| right, % | questions | " + " | ".join(FORMS) + " |")
    print("|---|---:" + "|---:" * len(FORMS) + "|")
    for category in source.categories:
        pairs = questions_of(category.facts, r)
        shares = (share(judge, asked) for asked in forms(pairs, source))
        print(f"| {category.name} | {len(pairs)} |", " | ".join(shares), "|", flush=True)
    for name, pairs in (("name recall", recall_pairs()), ("fill in a line", fill_pairs())):
        print(f"| {name} | {len(pairs)} |", share(judge, pairs), "|" * len(FORMS))


def sampled_table(judge):
    """Prints the accuracy of drawn answers to random questions under the default system prompt."""
    torch.manual_seed(0)
    r = random.Random(7)
    for category in Corpus(seed=8).categories:
        facts = r.choices(category.facts, k=DRAWS)
        pairs = [(prompt_text([], f.questions[0]), f"{f.answer}<|im_end|>") for f in facts]
        right = sum(judge.draw(prompt) == answer for prompt, answer in pairs)
        print(f"| {category.name} | {right} of {DRAWS} |", flush=True)


def main():
    """Prints the tables."""
    judge = Judge(sys.argv[1])
    if "--sampled" in sys.argv:
        sampled_table(judge)
    else:
        print(check_programs(), "programs compile")
        greedy_table(judge)


if __name__ == "__main__":
    main()
