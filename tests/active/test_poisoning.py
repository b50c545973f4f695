"""Hostile annotators: what they cost where some questions have a known answer."""

from __future__ import annotations

import copy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.active.answers import DISLIKE, LIKE, Answer
from coldframe.active.fold import fold
from coldframe.active.quality import trust
from coldframe.active.repeats import Record
from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import read
from coldframe.kg.split import rng_for

ANNOTATORS = 100
CONFIG = RecommenderConfig(
    hybrid=HybridConfig(parts=("popularity", "kg-prior"), tune=False),
    text=TextConfig(model="none"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A model that knows nothing of the cold items, and the whole truth about them."""
    made = generate_catalog(tmp_path_factory.mktemp("poison"), size="small", seed=100)
    graph = read(list(made.inputs), made.schema).graph
    table = pq.read_table(made.truth)
    names = (table[name].to_pylist() for name in ("user", "item", "answer"))
    truth = {(user, item): answer == "like" for user, item, answer in zip(*names, strict=True)}
    return Recommender(CONFIG, device="cpu").fit(graph, make_split(graph, "fixed")), truth


def answers(truth: dict[tuple[str, str], bool], hostile: float, seed: int) -> list[Record]:
    """Some of the pairs, each told by one annotator; the hostile ones say the opposite."""
    rng = rng_for(seed, "poison")
    pairs = sorted(truth)
    told = [pairs[k] for k in rng.choice(len(pairs), 10_000, replace=False)]
    who = rng.integers(0, ANNOTATORS, len(told)).tolist()
    return [
        Record(
            seq,
            Answer(
                round=1,
                user=user,
                item=item,
                answer=LIKE if truth[user, item] != (one < hostile * ANNOTATORS) else DISLIKE,
                annotator=f"a{one}",
            ),
            "2026-01-01T00:00:00+00:00",
        )
        for seq, ((user, item), one) in enumerate(zip(told, who, strict=True), 1)
    ]


def recall(world, told: set[tuple[str, str]], verdicts: pa.Table) -> float:
    """Share of the liked pairs that nobody told of among the first 10 cold items of their users."""
    fitted, truth = world
    model = copy.deepcopy(fitted)
    model.tell(verdicts)
    table = model.recommend(
        sorted({user for user, _ in truth}), k=10, items=sorted({item for _, item in truth})
    )
    listed = set(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
    wanted = {pair for pair, liked in truth.items() if liked and pair not in told}
    return len(wanted & listed) / len(wanted)


@pytest.mark.R(27)
@pytest.mark.parametrize("seed", [100, 101, 102])
def test_a_few_hostile_annotators_cost_little_where_some_questions_are_gold(
    world, seed: int
) -> None:
    """A tenth of the questions have a known answer; who fails them loses his vote."""
    _, truth = world
    records = answers(truth, 0.0, seed)
    told = {(record.answer.user, record.answer.item) for record in records}
    gold = {pair: int(truth[pair]) for pair in sorted(told)[::10]}
    clean = recall(world, told, fold(records))
    assert clean > 0.1
    for share in (0.01, 0.05, 0.10):
        records = answers(truth, share, seed)
        weights = trust(records, gold)
        liars = {f"a{k}" for k in range(round(share * ANNOTATORS))}
        assert {who for who, weight in weights.items() if weight == 0} == liars
        defended = recall(world, told, fold(records, trust=weights))
        assert defended >= 0.95 * clean, (share, clean, defended)
    assert recall(world, told, fold(records)) < 0.95 * clean, "there was nothing to defend against"
