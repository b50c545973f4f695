"""What stands in the place of an argument by mistake is named, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.evaluate import Evaluation, evaluate
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.metrics import Ranking, recall
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.statistics import compare, paired_bootstrap
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.split import Split


def names(model: Recommender) -> tuple[str, str]:
    return model.graph.users.vocabulary[0], model.graph.items.vocabulary[0]


@pytest.mark.parametrize("k", [5.0, "5", None, True, 0, -1])
def test_a_length_of_lists_is_a_whole_number(planted_model: Recommender, k: Any) -> None:
    user, item = names(planted_model)
    for call in (
        lambda: planted_model.recommend([user], k),
        lambda: planted_model.similar(item, k),
    ):
        with pytest.raises(UsageError, match="k: "):
            call()


@pytest.mark.parametrize("what", ["scores", "probability", "uncertainty"])
def test_pairs_of_any_form_get_the_same_numbers(planted_model: Recommender, what: str) -> None:
    ask: Callable[[Any], Any] = getattr(planted_model, what)
    graph = planted_model.graph
    users, items = list(graph.users.vocabulary[:4]), list(graph.items.vocabulary[:4])
    expected = ask(list(zip(users, items, strict=True)))
    for given in (
        zip(users, items, strict=True),
        np.array([users, items]).T,
        pa.table({"user": users, "item": items}),
    ):
        np.testing.assert_array_equal(ask(given), expected)


def test_answers_may_be_records_or_columns(loaded: Callable[[], Recommender]) -> None:
    user, item = names(loaded())
    columns = {"user": [user], "item": [item], "label": [1]}
    expected = loaded().tell(pa.table(columns)).uncertainty([(user, item)])
    for form in (columns, [{"user": user, "item": item, "label": 1}]):
        assert loaded().tell(form).uncertainty([(user, item)]) == expected
    with pytest.raises(UsageError, match="answers: got list, expected a table"):
        loaded().tell([(user, item, 1)])


@pytest.mark.parametrize("split", ["item-cold", (1, 2)])
def test_the_name_of_a_protocol_is_no_split(
    planted_catalog: Any, planted_model: Recommender, split: Any
) -> None:
    with pytest.raises(UsageError, match="split: got"):
        Recommender(device="cpu").fit(planted_catalog, split)
    with pytest.raises(UsageError, match="split: got"):
        evaluate({}, planted_model.data, split)


def test_the_split_of_another_catalog_is_no_split_of_this_one(
    planted_catalog: Any, planted_model: Recommender, planted_split: Split
) -> None:
    rows = planted_split.train
    other = replace(planted_split, train=replace(rows, item=rows.item + 1_000))
    with pytest.raises(DataError, match=r"indices of plant .* the split's part train"):
        Recommender(device="cpu").fit(planted_catalog, other)
    with pytest.raises(DataError, match="the split's part train"):
        evaluate({}, planted_model.data, other)


def test_training_data_may_be_made_of_a_catalog(planted_catalog: Any, planted_split: Split) -> None:
    data = TrainingData(planted_catalog, planted_split.train)
    assert data.graph is planted_catalog.graph
    with pytest.raises(UsageError, match="expected a catalog or a graph"):
        TrainingData("catalog", planted_split.train)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recommender({"seed": 1}), "expected a RecommenderConfig"),
        (lambda: Recommender(HybridConfig()), r"RecommenderConfig\(hybrid="),
        (lambda: Recommender(seed=1.5), "seed: expected a whole number"),
        (lambda: EncoderConfig(dimensions=32.0), r"dimensions: got 32.0 \(float\), expected int"),
        (lambda: EncoderConfig(dimensions="32"), "dimensions: got '32'"),
        (lambda: TrainingConfig(epochs=2.5), "epochs: got 2.5"),
        (lambda: HybridConfig(parts="ease"), "parts: got 'ease'"),
        (lambda: RecommenderConfig(hybrid=EncoderConfig()), "expected HybridConfig"),
    ],
)
def test_settings_are_held_to_their_types(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_numbers_of_numpy_and_lists_are_settings_too() -> None:
    found = replace(HybridConfig(parts=["ease"]), encoder=EncoderConfig(dimensions=np.int64(8)))
    assert found == HybridConfig(parts=("ease",), encoder=EncoderConfig(dimensions=8))
    assert isinstance(TrainingConfig(learning_rate=1).learning_rate, float)
    assert Recommender(device=torch.device("cpu")).device == "cpu"


def found_by(model: Recommender, split: Split, **options: Any) -> Evaluation:
    scorers = {"coldframe": model.scorer, "popularity": model.scorer.parts["popularity"]}
    return evaluate(scorers, model.data, split, **options)


def test_scores_made_elsewhere_stand_beside_models(
    planted_model: Recommender, planted_split: Split
) -> None:
    graph = planted_model.graph
    scores = np.random.default_rng(0).random((graph.n_users, graph.n_items), np.float32)

    class Model:
        def score(self, users: np.ndarray) -> Any:
            return torch.tensor(scores[users], requires_grad=True)

    made = {"array": scores, "sparse": sp.csr_matrix(scores), "model": Model()}
    found = evaluate(made, planted_model.data, planted_split)
    assert len({found.value(name, "all", "ndcg@10") for name in made}) == 1
    for wrong in (scores[:3], planted_model, lambda users: scores[users]):
        with pytest.raises(UsageError, match="scorers: x: got"):
            evaluate({"x": wrong}, planted_model.data, planted_split)
    with pytest.raises(DataError, match="expected an array of numbers"):
        evaluate({"x": np.full(scores.shape, "high")}, planted_model.data, planted_split)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ks": [5.0]}, {"ks": "10"}, {"part": "train"}, {"part": "dev"}, {"users": ["urn:x"]},
        {"groups": {"all": [0]}}, {"groups": {"cold-only": [0]}}, {"block": -1}, {"block": 0},
        {"seed": 1.5}, {"seed": -1},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_evaluated_is_named(
    planted_model: Recommender, planted_split: Split, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        found_by(planted_model, planted_split, **wrong)


def test_a_metric_may_be_a_function_of_the_ranking(
    planted_model: Recommender, planted_split: Split
) -> None:
    def half_of_recall(ranking: Ranking) -> Any:
        return recall(ranking, 10) / 2

    found = found_by(planted_model, planted_split, ks=10)
    half = found.value("coldframe", "all", half_of_recall)
    assert half == pytest.approx(found.value("coldframe", "all", "recall@10") / 2)
    assert found.rows(half_of_recall)[0]["half_of_recall"] == pytest.approx(half, abs=1e-6)
    (row,) = compare(found, "coldframe", {"all": half_of_recall}, 0)
    assert row["metric"] == "half_of_recall"
    with pytest.raises(UsageError, match=r"gave shape \(\), expected"):
        found.value("coldframe", "all", lambda _: 1.0)


def test_the_table_of_users_has_the_values_behind_the_means(
    planted_model: Recommender, planted_split: Split
) -> None:
    found = found_by(planted_model, planted_split)
    for segment in ("all", "hot", "cold-only"):
        table = found.user_table("ndcg@10", segment)
        own = table.filter(pa.compute.equal(table["model"], "coldframe"))
        mean = np.mean(own["ndcg@10"].to_numpy())
        assert mean == pytest.approx(found.value("coldframe", segment, "ndcg@10"))
        assert set(own["user"].to_pylist()) <= set(planted_model.graph.users.vocabulary)


def test_lists_are_of_all_items_or_the_cold_ones(
    planted_model: Recommender, planted_split: Split
) -> None:
    found = found_by(planted_model, planted_split)
    for wrong in (("coldframe", "hot"), ("mine", "all")):
        with pytest.raises(UsageError, match="was evaluated"):
            found.list_metrics(*wrong)


def test_comparisons_take_seeds_and_single_metrics_and_refuse_typos(
    planted_model: Recommender, planted_split: Split
) -> None:
    found = found_by(planted_model, planted_split)
    one = compare(found, "coldframe", {"all": "ndcg@10"}, 3)
    assert one == compare(found, "coldframe", {"all": ("ndcg@10",)}, np.random.default_rng(3))
    wrong: Any
    for wrong in ({"al": "ndcg@10"}, ["ndcg@10"]):
        with pytest.raises(UsageError):
            compare(found, "coldframe", wrong, 0)
    with pytest.raises(UsageError, match="resamples"):
        compare(found, "coldframe", {"all": "ndcg@10"}, 0, resamples=0)
    with pytest.raises(UsageError, match="level"):
        paired_bootstrap([1, 2], [1, 1], 0, level=95)
    for wrong in (-1, "seed", None):
        with pytest.raises(UsageError, match="rng: "):
            compare(found, "coldframe", {"all": "ndcg@10"}, wrong)
