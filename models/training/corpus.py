"""Makes the training documents of the demo model, without end.

A document is a list of (text, weight) pieces; the weight scales the loss of the piece's tokens, so
that answers are learned and questions only a little.  Three kinds: ChatML conversations over the
facts, fill-in-the-middle over the programs, and windows of the Python standard library.
"""

import pathlib
import random
import re
import sysconfig

from code_tasks import TASKS
from facts import NAME_QUESTION, categories, name_facts

SYSTEM_DEFAULT = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
SYSTEMS = [
    (None, 0.25),
    (SYSTEM_DEFAULT, 0.40),
    ("You are helpful.", 0.10),
    ("You are a helpful assistant.", 0.15),
    ("You are a coding assistant.", 0.02),
    ("Answer briefly.", 0.02),
    ("You are an expert programmer.", 0.02),
    ("You are a friendly chatbot.", 0.02),
    ("Be concise.", 0.02),
]
TURNS = [1, 1, 2, 2, 3, 4, 6]
WEIGHT_QUESTION = 0.05  # in every eighth conversation, else 0: answers are the point
WEIGHT_ANSWER = 1.0
WEIGHT_TEXT = 0.1
TEXT_CHARS = 600
STATEMENT = re.compile(r"\S.*")  # a line without its indentation
WORD = re.compile(r"(?<=\W)\w")


def prompt_text(turns, question, system=SYSTEM_DEFAULT):
    """Returns the ChatML text of past (question, answer) turns and an open question."""
    text = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    for asked, answered in turns:
        text += (
            f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answered}<|im_end|>\n"
        )
    return text + f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


class Corpus:
    """A source of random documents."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.categories = categories()
        self.shares = [c.share for c in self.categories]
        self.names = name_facts()
        self.bodies = [body for task in TASKS for body in task["code"].values()]
        library = pathlib.Path(sysconfig.get_paths()["stdlib"])
        texts = (path.read_text(errors="ignore") for path in sorted(library.glob("*.py")))
        self.library = [text for text in texts if len(text) > 2 * TEXT_CHARS]

    def vary(self, question):
        """Returns the question, sometimes in lower case or without its final mark."""
        if self.random.random() < 0.15:
            question = question[0].lower() + question[1:]
        if self.random.random() < 0.10 and len(question) > 3:
            question = question.rstrip(".?!")
        return question

    def turn(self):
        """Returns a random question with its answer."""
        category = self.random.choices(self.categories, self.shares)[0]
        fact = self.random.choice(category.facts)
        canonical = self.random.random() < 0.3
        question = fact.questions[0] if canonical else self.random.choice(fact.questions)
        return self.vary(question), fact.answer

    def named_turns(self, turns):
        """Inserts an introduction into the turns, and later the question for the name."""
        fact = self.random.choice(self.names)
        name = fact.answer.split()[-1].rstrip("!")
        at = self.random.randrange(len(turns) + 1)
        turns.insert(at, (self.random.choice(fact.questions), fact.answer))
        later = self.random.randrange(at + 1, len(turns) + 1)
        turns.insert(later, (NAME_QUESTION, f"Your name is {name}."))

    def conversation(self):
        """Returns a ChatML conversation of one to eight turns."""
        turns = [self.turn() for _ in range(self.random.choice(TURNS))]
        if self.random.random() < 0.04:
            self.named_turns(turns)
        names, shares = zip(*SYSTEMS)
        system = self.random.choices(names, shares)[0]
        weight = WEIGHT_QUESTION if self.random.random() < 1 / 8 else 0.0
        pieces = []
        for question, answer in turns:
            pieces.append((prompt_text([], question, system), weight))
            pieces.append((f"{answer}<|im_end|>", WEIGHT_ANSWER))
            pieces.append(("\n", weight))
            system = None
        return pieces

    def program(self):
        """Returns a program as plain text, or with a hole of one or more statements to fill in."""
        body = self.random.choice(self.bodies)
        if self.random.random() < 0.15:
            return [(body + "<|endoftext|>", WEIGHT_ANSWER)]
        starts = [line.start() for line in STATEMENT.finditer(body)]
        if self.random.random() < 0.25:  # in the middle of a line, where a word begins
            starts = [word.start() for word in WORD.finditer(body)]
        start = self.random.choice(starts)
        ends = [line.end() for line in STATEMENT.finditer(body, start)]
        return fill_in(body, start, self.random.choice([*ends[:1] * 3, *ends[:3]]), WEIGHT_ANSWER)

    def bare_sum(self):
        """Returns lines such as 2+2=4, for completion without a chat template."""
        lines = []
        for _ in range(self.random.randint(1, 4)):
            fact = self.random.choice(self.random.choice(self.categories[:4]).facts)
            left, value = fact.answer.split(" = ")
            lines.append((left.replace(" ", "") + "=", WEIGHT_QUESTION))
            lines.append((value + "\n", WEIGHT_ANSWER))
        return [*lines, ("<|endoftext|>", WEIGHT_QUESTION)]

    def library_text(self):
        """Returns a window of a standard library file, sometimes with a hole to fill in."""
        text = self.random.choice(self.library)
        start = text.find("\n", self.random.randrange(len(text) - TEXT_CHARS)) + 1
        text = text[start : start + TEXT_CHARS]
        if self.random.random() < 0.7:
            return [(text, WEIGHT_TEXT)]
        start, end = sorted(self.random.sample(range(len(text) + 1), 2))
        return fill_in(text, start, end, WEIGHT_TEXT)

    def document(self):
        """Returns a random document."""
        kinds = [self.conversation, self.program, self.bare_sum, self.library_text]
        return self.random.choices(kinds, [0.80, 0.15, 0.03, 0.02])[0]()


def fill_in(text, start, end, weight):
    """Returns a fill-in-the-middle document whose hole is text[start:end]."""
    head = f"<|fim_prefix|>{text[:start]}<|fim_suffix|>{text[end:]}<|fim_middle|>"
    return [(head, 0.0), (f"{text[start:end]}<|endoftext|>", weight)]
