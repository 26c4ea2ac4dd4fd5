"""Questions with known answers, and orders with known forms, for `benchmarks.large_model`.

All were written for the course before the model was asked. Sums, words to count and orders are
drawn by rule from short lists. An invented country has no capital, so the only right answer is to
say so; in `text` each question has three sentences, one of which holds its answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["orders", "questions"]

_CAPITALS = {
    "France": "Paris",
    "Japan": "Tokyo",
    "Canada": "Ottawa",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Peru": "Lima",
    "Egypt": "Cairo",
    "Australia": "Canberra",
    "Portugal": "Lisbon",
    "Thailand": "Bangkok",
    "Chile": "Santiago",
    "Poland": "Warsaw",
    "Ghana": "Accra",
    "Mongolia": "Ulaanbaatar",
    "Bulgaria": "Sofia",
    "Uruguay": "Montevideo",
}

_OPPOSITES = {
    "hot": "cold",
    "big": "small",
    "early": "late",
    "full": "empty",
    "rich": "poor",
    "day": "night",
    "open": "closed",
    "easy": "difficult",
    "strong": "weak",
    "dry": "wet",
    "love": "hate",
    "north": "south",
    "buy": "sell",
    "happy": "sad",
    "young": "old",
    "noisy": "quiet",
}

# Other words that mean the same and count as right.
_ALSO = {
    "small": ("little", "tiny"),
    "closed": ("close", "shut"),
    "difficult": ("hard",),
    "sad": ("unhappy",),
    "quiet": ("silent",),
    "wet": ("moist",),
    "Ulaanbaatar": ("Ulan Bator",),
}

_WORDS = [
    "tea",
    "bread",
    "lemon",
    "coffee",
    "banana",
    "kettle",
    "parcel",
    "invoice",
    "market",
    "chocolate",
    "grape",
    "onion",
    "pepper",
    "biscuit",
    "cinnamon",
    "honey",
]

_INVENTED = {
    "Zantovia": "Perrin",
    "Morlandia": "Castel",
    "Quelmara": "Tovas",
    "Brevonia": "Ledmar",
    "Ostrakia": "Vinzel",
    "Talberia": "Goram",
    "Fenwaria": "Alsted",
    "Corvanna": "Ruyel",
    "Istelland": "Marrow",
    "Dravonia": "Pelkin",
    "Umbrasia": "Ottoven",
    "Kestrania": "Sollis",
    "Velmoria": "Hadden",
    "Jaronia": "Brisk",
    "Norvelia": "Tamsin",
    "Palandor": "Queris",
}

_SENTENCES = {
    "capital": "The capital of {} is {}.",
    "invented": "The capital of {} is {}.",
    "opposite": 'The opposite of "{}" is "{}".',
    "sum": "{} is {}.",
    "letters": 'The word "{}" has {} letters.',
}

_ASKED = {
    "capital": "What is the capital of {}?",
    "invented": "What is the capital of {}?",
    "opposite": 'What is the opposite of "{}"?',
    "sum": "What is {}?",
    "letters": 'How many letters are in the word "{}"?',
}

_NUMBERS = dict(
    enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
)


def _sums() -> dict[str, str]:
    """Eight sums of two digits and one, four of two and two, four products of one and one."""
    draw, found = np.random.default_rng(0), {}
    for i in range(16):
        if i < 12:
            a = int(draw.integers(12, 90))
            b = int(draw.integers(3, 10) if i < 8 else draw.integers(12, 90))
            found[f"{a} plus {b}"] = str(a + b)
        else:
            a, b = (int(n) for n in draw.integers(3, 10, size=2))
            found[f"{a} times {b}"] = str(a * b)
    return found


def questions() -> list[dict[str, Any]]:
    """Returns all questions: kind, question, the answers that are right, and a text with them."""
    lengths = {word: str(len(word)) for word in _WORDS}
    kinds = {
        "capital": _CAPITALS,
        "opposite": _OPPOSITES,
        "sum": _sums(),
        "letters": lengths,
        "invented": _INVENTED,
    }
    found = []
    for kind, pairs in kinds.items():
        items = list(pairs.items())
        for i, (asked, answer) in enumerate(items):
            also = _ALSO.get(answer, ())
            if kind == "letters":
                also = (_NUMBERS[int(answer)],)
            # The sentence that is needed stands first, second or third in turn.
            others = [items[(i + k) % len(items)] for k in range(3)]
            turned = others[i % 3 :] + others[: i % 3]
            found.append(
                {
                    "kind": kind,
                    "question": _ASKED[kind].format(asked),
                    "answers": [answer, *also],
                    "text": " ".join(_SENTENCES[kind].format(*pair) for pair in turned),
                }
            )
    return found


_NAMES = ["Amina Brown", "Carl Weber", "Dora Silva", "Emil Novak", "Grace Okoro", "Hana Sato"]

_PRODUCTS = [
    "green tea",
    "dark chocolate",
    "olive oil",
    "oat biscuits",
    "ground coffee",
    "wild honey",
]

_CITIES = ["Leeds", "Lyon", "Porto", "Vienna", "Bergen", "Dublin", "Turin"]

_UNITS = ["boxes", "bags", "bottles", "tins", "jars"]

# The last two name a second number or a second town, which is not the one that is asked for.
_LETTERS = (
    "Hello, I would like to order {n} {unit} of {product}. Please send it to {city}. {name}",
    "This is {name} from {city}. Could you deliver {n} {unit} of {product} to us?",
    "{name} here. We need {word} {unit} of {product} for our shop in {city}, please.",
    (
        "Dear team, my last parcel had 2 tins too few. Now please send {n} {unit} of {product} to "
        "{city}. Regards, {name}"
    ),
    (
        "My name is {name}. I used to live in Oslo but now I live in {city}. Please send me {word} "
        "{unit} of {product}."
    ),
)


def orders() -> list[dict[str, Any]]:
    """Returns orders as customers write them, each with the form that is right."""
    draw, found = np.random.default_rng(1), []
    for i in range(30):
        number = int(draw.integers(3, 11))
        name, product, city, unit = (
            str(draw.choice(items)) for items in (_NAMES, _PRODUCTS, _CITIES, _UNITS)
        )
        parts = {"n": number, "word": _NUMBERS[number], "unit": unit}
        text = _LETTERS[i % len(_LETTERS)].format(name=name, product=product, city=city, **parts)
        form = {"name": name, "product": product, "quantity": number, "city": city}
        found.append({"text": text, "form": form})
    return found
