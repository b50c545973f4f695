"""Simulated rounds: the JSON is whole, resumable and repeatable, and asking well pays on planted data."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active.auto import find_strategy
from coldframe.active.simulate import SimulationConfig, simulate
from coldframe.active.summary import area, summarise
from coldframe.active.world import PROTOCOLS, build_world, rank_metrics
from coldframe.commands.simulating import loop_rows
from coldframe.gnn.posterior import Posterior
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary
from coldframe.report.sections import Facts, render

CONFIG = SimulationConfig(
    strategies=("score-proportional", "auto"), budgets=(60, 120), seeds=(0, 1), at_least=5
)


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Planted: users like the popular items of their genre."""
    rng = np.random.default_rng(0)
    users, items, genres = 120, 100, 5
    genre, taste = rng.integers(genres, size=items), rng.integers(genres, size=users)
    popular = rng.normal(0, 1.2, items)
    logit = popular[None] - 3.2 + 2.5 * (taste[:, None] == genre[None])
    u, i = np.nonzero(rng.random((users, items)) < 1 / (1 + np.exp(-logit)))
    nodes = {
        kind: NodeSet(Vocabulary(f"https://e.org/{kind}/{k}" for k in range(n)))
        for kind, n in (("user", users), ("item", items), ("genre", genres))
    }
    edges = {("item", "genre", "genre"): EdgeSet(np.stack([np.arange(items), genre]))}
    return Graph(nodes, edges, Interactions.build(u, i), name="planted")


def test_the_result_has_all_parts_and_is_json(graph, tmp_path):
    seen = []
    result = simulate(graph, CONFIG, folder=tmp_path, progress=lambda *told: seen.append(told))
    json.dumps(result, allow_nan=False)
    assert result["budgets"] == [60, 120]
    assert set(result["strategies"]) == {"random", "score-proportional", "auto"}
    for found in result["strategies"].values():
        assert np.array(found["curve"]["ndcg@10"]).shape == (2, 2)
        assert set(found["labels_saved"]) == {"60", "120"}
        gain = found["aulc_gain"]["recall@20"]
        assert gain["low"] <= gain["mean"] <= gain["high"]
    assert result["strategies"]["random"]["aulc_gain"]["ndcg@10"]["mean"] == 0
    assert all(0 < result["ceiling"][m] <= 1 for m in ("ndcg@10", "recall@20", "all-ndcg@10"))
    assert [told[:2] for told in seen] == [(1, 2), (2, 2)]
    assert "random" in result["verdict"][0]
    again = simulate(graph, CONFIG, folder=tmp_path, progress=lambda *told: seen.append(told))
    assert again == result
    assert len(seen) == 3


def test_kept_seeds_are_those_of_the_same_graph_and_version(graph, tmp_path, monkeypatch):
    """Other interactions, other edges or another version of ours: everything is played again."""
    config = SimulationConfig(strategies=("popularity",), budgets=(60,), seeds=(0,), at_least=5)
    played = simulate(graph, config, folder=tmp_path)
    events = graph.interactions
    turned = replace(events, item=(events.item + 1) % graph.n_items)
    edges = {kind: EdgeSet(old.index[:, :-9]) for kind, old in graph.edges.items()}
    for other in (graph.with_interactions(turned), replace(graph, edges=edges)):
        assert simulate(other, config, folder=tmp_path) == simulate(other, config) != played
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("coldframe.active.simulate.__version__", "0.0.0")
    simulate(graph, config, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_parallel_processes_give_the_same(graph):
    small = SimulationConfig(strategies=("auto",), budgets=(60,), seeds=(0, 1), at_least=5)
    assert simulate(graph, small, workers=2) == simulate(graph, small)


def test_answers_help_and_the_ceiling_is_above(graph):
    result = simulate(graph, CONFIG)
    auto = np.mean(result["strategies"]["auto"]["curve"]["ndcg@10"], axis=0)
    assert auto[-1] > result["prior"]["ndcg@10"] - 0.02
    assert result["ceiling"]["ndcg@10"] > auto[-1] - 0.03


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_protocol_hides_what_it_promises(graph, protocol):
    world = build_world(graph, protocol, 0, at_least=5)
    pool = world.pool(100)
    assert not np.intersect1d(pool.users, world.case.test_users).size
    assert (world.popularity[pool.items] == 0).all()
    if protocol == "rated-only":
        open_pairs = pool.candidates(10**6, np.random.default_rng(0)).open.sum()
        assert open_pairs == len(world.case.answers)
        assert pool.known.nnz == 0  # the others are not written out


def test_users_are_measured_in_blocks_that_change_nothing(graph, monkeypatch):
    world = build_world(graph, "kg-coldstart-open", 0, at_least=5)
    whole, scores, sizes = world.measure(world.posterior), Posterior.scores, []

    def watched(posterior, users, items):
        sizes.append(len(users) * len(items))
        return scores(posterior, users, items)

    monkeypatch.setattr(Posterior, "scores", watched)
    monkeypatch.setattr("coldframe.active.world._CELLS", 200)
    assert world.measure(world.posterior) == pytest.approx(whole)
    assert max(sizes) <= 200


def test_metrics_are_right_on_a_hand_made_ranking():
    truth = sp.csr_matrix(np.array([[1, 0, 1], [0, 0, 0]]))
    found = rank_metrics(np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), truth)
    assert found["ndcg@10"] == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3)))
    assert found["recall@20"] == 1.0


def test_the_metric_over_all_items_is_that_of_the_full_ranking(graph):
    """Against every test user's whole ranking, written out."""
    world = build_world(graph, "kg-coldstart-open", 0, at_least=5)
    case, split, posterior = world.case, world.case.split, world.posterior
    # Warm items first, as equal scores are ordered so; the graph has twins among its items.
    items = np.r_[np.setdiff1d(np.arange(graph.n_items), case.cold_items), case.cold_items]
    parts = np.split(items, [len(items) - len(case.cold_items)])
    scores = np.hstack([posterior.scores(case.test_users, part) for part in parts])
    trained = split.train.matrix(graph.n_users, graph.n_items).toarray()[:, items] > 0
    tested = split.test.matrix(graph.n_users, graph.n_items).toarray()[:, items] > 0
    values = []
    for row, user in enumerate(case.test_users):
        if tested[user].any():
            order = np.argsort(-np.where(trained[user], -np.inf, scores[row]), kind="stable")[:10]
            gain = tested[user][order] / np.log2(np.arange(2, 12))
            ideal = (1 / np.log2(np.arange(2, 2 + min(10, tested[user].sum())))).sum()
            values.append(gain.sum() / ideal)
    assert world.measure(world.posterior)["all-ndcg@10"] == pytest.approx(np.mean(values))


@pytest.fixture
def outcome() -> dict:
    return {
        "curves": {
            "random": {"ndcg@10": [0.1], "recall@20": [0.1]},
            "auto": {"ndcg@10": [0.3], "recall@20": [0.9]},
        },
        "ceiling": {"ndcg@10": 1.0, "recall@20": 1.0},
        "prior": {"ndcg@10": 0.0, "recall@20": 0.0},
        "reference": {
            "labels": [100, 200, 400],
            "ndcg@10": [0.1, 0.25, 0.35],
            "recall@20": [0.1, 0.2, 0.3],
        },
    }


def test_a_seed_with_nothing_to_measure_by_is_left_out_and_told(outcome):
    """In memory its values are NaN, kept in a file they are null."""
    config = SimulationConfig(strategies=("auto",), budgets=(100,), seeds=(4, 7))
    nothing = json.loads(json.dumps(outcome))
    for value in (float("nan"), None):
        for part in (nothing["prior"], nothing["ceiling"]):
            part |= {"ndcg@10": value, "recall@20": value}
        for curve in nothing["curves"].values():
            curve |= {"ndcg@10": [value], "recall@20": [value]}
        result = summarise(config, ["random", "auto"], [nothing, outcome])
        alone = replace(config, seeds=(7,))
        expected = summarise(alone, ["random", "auto"], [outcome])
        assert (result.pop("seeds"), result.pop("left_out")) == ([7], [4])
        assert "Seed 4" in result.pop("verdict")[-1]
        assert result == {key: value for key, value in expected.items() if key in result}
        with pytest.raises(DataError, match="no seed"):
            summarise(replace(config, seeds=(4,)), ["random", "auto"], [nothing])


def test_randoms_curve_is_the_mean_at_the_same_numbers_of_labels(outcome):
    """One seed was followed in other steps and further: its values count where the labels agree."""
    config = SimulationConfig(strategies=("auto",), budgets=(100,), seeds=(0, 1))
    finer = {"labels": [100, 400, 1600], "ndcg@10": [0.1, 0.3, 0.9], "recall@20": [0.1, 0.3, 0.9]}
    result = summarise(config, ["random", "auto"], [outcome, {**outcome, "reference": finer}])
    assert result["reference"]["labels"] == [100, 200, 400]
    assert result["reference"]["recall@20"] == pytest.approx([0.1, 0.2, 0.3])


def test_labels_saved_reads_randoms_curve(outcome):
    config = SimulationConfig(strategies=("auto",), budgets=(100,), seeds=(0,))
    result = summarise(config, ["random", "auto"], [outcome])
    auto, random = result["strategies"]["auto"], result["strategies"]["random"]
    assert random["labels_saved"] == random["labels_saved_by"]["recall@20"] == {"100": 1.0}
    assert random["saved_at_least"]["recall@20"] == {"100": False}
    assert auto["labels_saved"]["100"] == pytest.approx(2 * np.sqrt(2))
    assert auto["labels_saved_by"]["recall@20"]["100"] == 4.0
    assert auto["saved_at_least"] == {"ndcg@10": {"100": False}, "recall@20": {"100": True}}


def test_labels_to_most_of_the_ceiling_are_read_from_each_curve(outcome):
    config = SimulationConfig(strategies=("auto",), budgets=(100,), seeds=(0,))
    outcome["ceiling"] = {"ndcg@10": 0.25, "recall@20": 1.0}
    result = summarise(config, ["random", "auto"], [outcome])
    auto, random = result["strategies"]["auto"], result["strategies"]["random"]
    assert auto["reaches_ceiling"]["ndcg@10"] == pytest.approx(75.0)  # .225 on the way to .3
    assert auto["reaches_ceiling"]["recall@20"] == pytest.approx(100.0)
    assert random["reaches_ceiling"]["ndcg@10"] == pytest.approx(100 + 100 * 0.125 / 0.15)
    assert random["reaches_ceiling"]["recall@20"] is None


def test_labels_saved_below_and_above_randoms_curve_are_bounds(outcome):
    config = SimulationConfig(strategies=("auto",), budgets=(200,), seeds=(0,))
    for curve in outcome["curves"].values():
        curve |= {"ndcg@10": [0.05], "recall@20": [0.9]}
    result = summarise(config, ["random", "auto"], [outcome])
    auto = result["strategies"]["auto"]
    assert auto["labels_saved"] == {"200": None}
    assert auto["saved_at_least"]["ndcg@10"] == {"200": False}
    assert loop_rows(result)[1]["labels saved"] == "under 0.50x"
    auto["labels_saved"], auto["saved_at_least"]["ndcg@10"] = {"200": 2.0}, {"200": True}
    assert loop_rows(result)[1]["labels saved"] == "over 2.0x"
    json.dumps(result, allow_nan=False)


def test_one_seed_gives_no_interval_and_every_reader_says_so(outcome):
    config = SimulationConfig(strategies=("auto",), budgets=(100,), seeds=(0,))
    result = summarise(config, ["random", "auto"], [outcome])
    gain = result["strategies"]["auto"]["aulc_gain"]["ndcg@10"]
    assert gain == {"mean": pytest.approx(2.0), "low": None, "high": None}
    assert "one seed gives no interval" in result["verdict"][0]
    assert loop_rows(result)[1]["against random"] == "+200.0% (one seed)"
    assert "one seed" not in loop_rows(result)[0]["against random"]
    document = render(Facts(title="one seed", loop=result))
    assert "fewer than two seeds: no interval" in document
    assert "95 % interval" not in document
    assert "bands are standard errors" not in document
    assert "1000000" not in document
    assert "+1e" not in json.dumps(result, allow_nan=False)


def test_the_verdict_tells_random_and_the_simple_ones_by_paired_intervals(outcome):
    """Against popularity every seed gains a tenth; against drawing by score nothing is sure."""

    def played(base: float, by_score: float) -> dict:
        values = {"random": 0.2, "popularity": base, "score-proportional": by_score}
        curves = {**values, "auto": 1.1 * base}
        both = {name: {"ndcg@10": [x], "recall@20": [x]} for name, x in curves.items()}
        return {**outcome, "curves": both}

    outcomes = [played(0.35, 0.5), played(0.4, 0.3), played(0.45, 0.6)]
    names = ["random", "popularity", "score-proportional", "auto"]
    config = SimulationConfig(strategies=tuple(names[1:]), budgets=(100,), seeds=(0, 1, 2))
    result = summarise(config, names, outcomes)
    auto = result["strategies"]["auto"]
    gain = auto["aulc_against"]["popularity"]["ndcg@10"]
    assert gain["mean"] == pytest.approx(0.1)
    assert 0 < gain["low"] < 0.1 < gain["high"]
    assert auto["aulc_against"]["score-proportional"]["ndcg@10"]["low"] < 0
    assert set(result["strategies"]["popularity"]["aulc_against"]) == {"score-proportional"}
    assert result["strategies"]["random"]["aulc_against"] == {}
    sentence = result["verdict"][-1]
    assert "auto beats random" in sentence
    assert "; beats popularity (+10.0 %, 95 % interval" in sentence
    assert "is not told apart from score-proportional" in sentence
    json.dumps(result, allow_nan=False)


def test_area_is_over_the_logarithm():
    assert area([1.0, 3.0], [10, 1000]) == 2.0
    assert area([0.0, 0.0, 1.0], [1, 10, 100]) == 0.25
    assert area([0.7], [10]) == 0.7


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategies": ("autoo",)},
        {"protocol": "kg-coldstart"},
        {"budgets": (0,)},
        {"seeds": (1, 1)},
    ],
)
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(UsageError):
        SimulationConfig(**wrong)


def test_a_function_is_no_strategy_of_a_simulation():
    with pytest.raises(UsageError, match="a function") as caught:
        SimulationConfig(strategies=(find_strategy("random"),))
    assert "own=" in caught.value.hint


def test_a_budget_beyond_the_pool_is_refused(graph):
    with pytest.raises(UsageError, match="pool"):
        simulate(graph, SimulationConfig(budgets=(5000,), seeds=(0,), at_least=5))
