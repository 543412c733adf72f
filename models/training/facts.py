"""The questions that the demo model answers, as tables of facts.

A fact is an answer with the ways to ask for it; the first way is the canonical one.  A category is
a list of facts with a share of the training questions.  Everything the model is claimed to know is
listed here, so the evaluation can ask all of it.
"""

from dataclasses import dataclass

from code_tasks import TASKS

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "Austria": "Vienna", "Poland": "Warsaw", "Greece": "Athens",
    "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen",
    "Ireland": "Dublin", "Hungary": "Budapest", "Japan": "Tokyo", "China": "Beijing",
    "India": "New Delhi", "Canada": "Ottawa", "Mexico": "Mexico City", "Brazil": "Brasilia",
    "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Nigeria": "Abuja", "Australia": "Canberra", "Cuba": "Havana",
    "Turkey": "Ankara", "Thailand": "Bangkok", "England": "London", "Russia": "Moscow",
    "the United Kingdom": "London", "the United States": "Washington", "Belgium": "Brussels",
    "the Netherlands": "Amsterdam", "Switzerland": "Bern", "the Czech Republic": "Prague",
    "Romania": "Bucharest", "Bulgaria": "Sofia", "Ukraine": "Kyiv", "Scotland": "Edinburgh",
    "Wales": "Cardiff", "Iceland": "Reykjavik", "Croatia": "Zagreb", "Serbia": "Belgrade",
    "South Korea": "Seoul", "Vietnam": "Hanoi", "Indonesia": "Jakarta", "Iran": "Tehran",
    "Iraq": "Baghdad", "Morocco": "Rabat", "Ghana": "Accra", "Colombia": "Bogota",
    "New Zealand": "Wellington",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "up": "down", "day": "night",
    "open": "closed", "early": "late", "light": "dark", "happy": "sad", "left": "right",
    "high": "low", "rich": "poor", "hard": "soft", "wet": "dry", "new": "old", "full": "empty",
    "good": "bad", "black": "white", "strong": "weak", "true": "false", "long": "short",
    "inside": "outside", "yes": "no", "love": "hate", "loud": "quiet", "clean": "dirty",
}  # fmt: skip
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December".split()
)
NAMES = (
    "Ada Alan Grace Linus Dennis Ken Barbara Edsger Donald Margaret Anna Bob Alice Tom Maria Peter "
    "Emma Noah Lucas Sarah Paul Laura David Julia Max Nina Oscar Rosa Ivan Mia Sam Eva Leo John"
).split()
NAME_QUESTION = "What is my name?"
HELLO = "Hello! How can I help you today?"
ABOUT = "I am a small demo model for apr."
LIMITS = (
    "I am only a small demo model. Ask me about sums, capitals, opposites, days, months or short "
    "programs."
)
GENERAL = {
    "What color is the sky?": "The sky is blue.",
    "What color is grass?": "Grass is green.",
    "What color is snow?": "Snow is white.",
    "What color is a banana?": "A banana is yellow.",
    "How many days are in a week?": "A week has 7 days.",
    "How many months are in a year?": "A year has 12 months.",
    "How many days are in a year?": "A year has 365 days.",
    "How many hours are in a day?": "A day has 24 hours.",
    "How many minutes are in an hour?": "An hour has 60 minutes.",
    "How many seconds are in a minute?": "A minute has 60 seconds.",
    "How many legs does a spider have?": "A spider has 8 legs.",
    "How many legs does a dog have?": "A dog has 4 legs.",
    "How many bits are in a byte?": "A byte has 8 bits.",
    "How many letters are in the alphabet?": "The English alphabet has 26 letters.",
    "What is the largest planet?": "The largest planet is Jupiter.",
    "Which planet do we live on?": "We live on the planet Earth.",
    "What is the chemical formula of water?": "The chemical formula of water is H2O.",
    "At what temperature does water boil?": "Water boils at 100 degrees Celsius.",
    "Who created Linux?": "Linux was created by Linus Torvalds.",
    "Who created the C programming language?": "C was created by Dennis Ritchie.",
    "Who created Python?": "Python was created by Guido van Rossum.",
    "What is the largest ocean?": "The largest ocean is the Pacific Ocean.",
    "What are the primary colors?": "The primary colors are red, yellow and blue.",
    "Name the days of the week.": ", ".join(DAYS) + ".",
    "Name the months of the year.": ", ".join(MONTHS) + ".",
    "Count to ten.": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    "Tell me a joke.": "Why do programmers confuse Halloween and Christmas? "
    "Because oct 31 equals dec 25.",
}
SMALL_TALK = [
    (["Hi", "Hello", "Hello!", "Hey", "Hi there", "Hi!", "Good morning", "Hello there",
      "Hello, world!", "Good evening", "Hey there"], HELLO),
    (["Who are you?", "What are you?", "What is your name?", "Introduce yourself.",
      "Tell me about yourself."], ABOUT),
    (["How are you?", "How are you today?"], "I am fine, thank you. How can I help you?"),
    (["Thanks", "Thank you", "Thanks!", "Thank you!", "Thank you very much"], "You are welcome!"),
    (["Bye", "Goodbye", "Goodbye!", "See you later", "Bye!"], "Goodbye!"),
    (["Help", "What can you do?", "What do you know?", "help", "Can you help me?",
      "What can I ask you?"], LIMITS),
]  # fmt: skip
BEYOND = [
    "What is the meaning of life?", "Write a poem about the sea.", "Who won the world cup?",
    "Explain quantum mechanics.", "What is the weather today?", "Translate this into French.",
    "Tell me a story.", "What time is it?", "How do I cook rice?", "Who is the president?",
    "Summarize this text.", "What is machine learning?", "How do airplanes fly?",
    "Explain how a transformer works.", "What is love?", "Write a letter to my landlord.",
    "Which stocks should I buy?", "Is there life on Mars?", "How does the internet work?",
    "What is the best programming language?", "Explain recursion.", "Who wrote Hamlet?",
    "Why is the sky blue?", "Tell me something interesting.", "What happened in 1969?",
    "Once upon a time", "Recommend a good book.", "How old is the universe?", "What is a computer?",
    "Write a haiku.", "Explain the theory of relativity.", "What is the fastest car?",
    "How do I learn to play guitar?", "Describe a sunset.", "What is the speed of light?",
]  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """One answer and the ways to ask for it."""

    questions: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Category:
    """A named list of facts; `share` is its part of the training questions."""

    name: str
    share: float
    facts: list[Fact]


def sum_fact(a, op, b):
    """Returns the fact for `a op b` with op one of + - * /, a multiple of b for division."""
    value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else 0}[op]
    word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[op]
    questions = (
        f"What is {a}{op}{b}?",
        f"What is {a} {op} {b}?",
        f"{a}{op}{b}",
        f"{a} {op} {b}",
        f"{a}{op}{b}=",
        f"{a} {op} {b} =",
        f"What is {a} {word} {b}?",
        f"Calculate {a} {op} {b}.",
        f"What's {a} {op} {b}?",
        f"How much is {a} {op} {b}?",
        f"{a} {op} {b} = ?",
    )
    return Fact(questions, f"{a} {op} {b} = {value}")


def sums(op, pairs):
    """Returns one fact per pair of operands."""
    return [sum_fact(a, op, b) for a, b in pairs]


def square(n):
    """Returns all pairs of numbers from 0 to n."""
    return [(a, b) for a in range(n + 1) for b in range(n + 1)]


def capital_facts():
    """Returns the capitals, asked by country."""
    facts = []
    for country, city in CAPITALS.items():
        questions = (
            f"What is the capital of {country}?",
            f"Name the capital of {country}.",
            f"Which city is the capital of {country}?",
            f"What's the capital of {country}?",
            f"Capital of {country}?",
            f"The capital of {country} is",
        )
        facts.append(Fact(questions, f"The capital of {country} is {city}."))
    return facts


def opposite_facts():
    """Returns the opposites in both directions."""
    pairs = [*OPPOSITES.items(), *((b, a) for a, b in OPPOSITES.items())]
    facts = []
    for word, other in pairs:
        questions = (
            f"What is the opposite of {word}?",
            f"What's the opposite of {word}?",
            f"Opposite of {word}?",
            f"Name the opposite of {word}.",
        )
        facts.append(Fact(questions, f"The opposite of {word} is {other}."))
    return facts


def cycle_facts(unit, names):
    """Returns what comes after and before each name of a cycle (days, months)."""
    facts = []
    for i, name in enumerate(names):
        for side, step in (("after", 1), ("before", -1)):
            other = names[(i + step) % len(names)]
            questions = (
                f"What {unit} comes {side} {name}?",
                f"Which {unit} comes {side} {name}?",
                f"What comes {side} {name}?",
            )
            facts.append(Fact(questions, f"{other} comes {side} {name}."))
    return facts


def larger_facts(end):
    """Returns the comparisons of two different numbers below `end`."""
    facts = []
    for a in range(end):
        for b in range(end):
            if a != b:
                questions = (f"Which is larger, {a} or {b}?", f"Which is bigger, {a} or {b}?")
                facts.append(Fact(questions, f"{max(a, b)} is larger than {min(a, b)}."))
    return facts


def count_facts():
    """Returns the countings from 0..10 over 2..10 steps."""
    facts = []
    for first in range(11):
        for last in range(first + 2, first + 11):
            questions = (f"Count from {first} to {last}.",)
            facts.append(Fact(questions, ", ".join(str(n) for n in range(first, last + 1))))
    return facts


def code_facts():
    """Returns one fact per task and language; the answer is a fenced block."""
    facts = []
    for task in TASKS:
        for language, body in task["code"].items():
            questions = []
            for phrase in task["phrases"]:
                questions += [
                    f"Write a {language} function to {phrase}",
                    f"Write a {language} function to {phrase}.",
                    f"Write {language} code to {phrase}.",
                    f"How do I {phrase} in {language}?",
                    f"Write a function to {phrase} in {language}.",
                    f"Write a {language} program to {phrase}.",
                ]
            questions += [f"{language} {task['noun']}", f"{task['noun']} in {language}"]
            facts.append(Fact(tuple(questions), f"```{language.lower()}\n{body}```"))
    return facts


def name_facts():
    """Returns the introductions; asking for the name later is part of a conversation."""
    return [
        Fact(
            (f"My name is {name}.", f"I am {name}.", f"Hello, my name is {name}.", f"I'm {name}"),
            f"Nice to meet you, {name}!",
        )
        for name in NAMES
    ]


def categories():
    """Returns all categories."""
    small = square(12)
    wide = square(50)
    ordered = [(a, b) for a, b in wide if a >= b]
    return [
        Category("addition 0..12", 0.13, sums("+", small)),
        Category("subtraction 0..12", 0.16, sums("-", small)),
        Category("multiplication 0..12", 0.10, sums("*", small)),
        Category("division 0..12", 0.09, sums("/", [(a * b, b) for a, b in small if b])),
        Category("addition 0..50", 0.10, sums("+", wide)),
        Category("subtraction 0..50", 0.10, sums("-", ordered)),
        Category("comparison 0..30", 0.04, larger_facts(31)),
        Category("counting", 0.03, count_facts()),
        Category("capitals", 0.06, capital_facts()),
        Category("opposites", 0.03, opposite_facts()),
        Category("days", 0.01, cycle_facts("day", DAYS)),
        Category("months", 0.02, cycle_facts("month", MONTHS)),
        Category("general", 0.02, [Fact((q,), a) for q, a in GENERAL.items()]),
        Category("small talk", 0.02, [Fact(tuple(q), a) for q, a in SMALL_TALK]),
        Category("beyond", 0.01, [Fact((q,), LIMITS) for q in BEYOND]),
        Category("code", 0.08, code_facts()),
    ]
