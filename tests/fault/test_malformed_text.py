"""Malformed schemas, settings and answers: a named error with its place, or bad rows by their line."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.active.answers import Answer, read_answers
from coldframe.commands.layers import resolve
from coldframe.gnn.config import RecommenderConfig
from coldframe.kg.errors import ColdframeError
from coldframe.kg.schema import Schema

SCHEMA = """name = "shop"
users = "buyer"
items = "plant"

[prefixes]
ex = "https://example.org/"

[nodes.plant]
class = "ex:Plant"
iri = "ex:plant/{}"
text.title = "rdfs:label"
number.price = "ex:price"

[nodes.buyer]
class = "ex:Buyer"
iri = "ex:buyer/{}"

[relations.likes]
property = "ex:near"
from = "plant"
to = "plant"

[events.bought]
class = "ex:Purchase"
user = "ex:buyer"
item = "ex:plant"
rating = "ex:stars"
positive = 4

[tables.bought]
events = "bought"
columns = { user = "buyer", item = "plant", rating = "stars" }
"""
SETTINGS = """refit = false
[hybrid]
parts = ["popularity", "ease", "encoder"]
tune = true
[hybrid.training]
loss = "softmax"
epochs = 7
learning_rate = 0.01
[hybrid.encoder]
dimensions = 64
[text]
model = "tfidf"
"""
CELLS = 'user,item,answer,annotator,round\nu1,i1,like,ann,1\n"u2",i2,4.5,,2\nu3,i3,cannot tell,"a ""b""",\n'
LINES = (
    '{"user": "u1", "item": "i1", "answer": "like", "round": 2}\n'
    '{"user": 2, "item": "i2", "answer": 4.5, "annotator": null}\n'
    '{"user": "u3", "item": "i3", "answer": false, "note": [1, {"a": "\\u00e9"}]}\n'
)
SPLICES = ("[", "]", "{", "}", '"', "'", "=", ",", "\n", "\0", "\\", "#", "1e999", "nan", "-", ":", "..",
           "true", "[[", "'''", '"""', "\u00e9", "\udcff", "\ufeff", "\t", "=cmd()", "9" * 400, "[" * 2000)  # fmt: skip


def mutated(text: str, rng: random.Random) -> bytes:
    """One to four changes: a sign, a piece left out, doubled or moved, a word spliced in."""
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(text)), rng.randint(1, 12)
        kind = rng.randrange(4)
        piece = text[at : at + size]
        if kind == 0 and len(text) > 20:
            text = text[:at] + text[at + size :]
        elif kind == 1:
            text = text[:at] + piece * rng.randint(1, 4) + text[at:]
        elif kind == 2:
            to = rng.randrange(len(text))
            text = text[:to] + piece + text[to:]
        else:
            text = text[:at] + rng.choice(SPLICES) + text[at:]
    return text.encode("utf-8", "surrogateescape")


def read_all_answers(path: Path) -> None:
    for line, row in read_answers(path, round=1):
        assert line >= 1
        assert row is None or isinstance(row, Answer) or (isinstance(row, str) and row)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "schema.toml": (SCHEMA, Schema.load),
    "config.toml": (SETTINGS, lambda path: resolve(RecommenderConfig, file=path, flags={})),
    "answers.csv": (CELLS, read_all_answers),
    "answers.jsonl": (LINES, read_all_answers),
}


def malform(folder: Path, count: int, seed: int) -> Counter[str]:
    """Read `count` malformed files of each kind; what became of them."""
    rng, outcomes = random.Random(seed), Counter[str]()
    for name, (sound, read) in READERS.items():
        path = folder / name
        for _ in range(count):
            path.write_bytes(mutated(sound, rng))
            refused = None
            try:
                read(path)
            except ColdframeError as error:
                refused = error
            outcomes[f"{name} {'read' if refused is None else 'refused'}"] += 1
            if refused is not None:
                assert refused.message
                assert name in f"{refused.where} {refused.message}", refused.as_dict()
    return outcomes


@pytest.mark.R(10)
def test_malformed_files_are_named_errors(tmp_path: Path) -> None:
    outcomes = malform(tmp_path, 1250, seed=10)
    assert sum(outcomes.values()) == 5000
    for name in ("schema.toml", "config.toml"):
        assert outcomes[f"{name} refused"] > 600
    assert outcomes["answers.csv read"] > 0
