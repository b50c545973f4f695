"""The interview: beliefs follow the answers, questions teach, and asking well beats asking at random."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe import Interview
from coldframe.active.beliefs import View
from coldframe.active.interview import InterviewConfig
from coldframe.active.newcomer import Population
from coldframe.commands.interviewing import take_in
from coldframe.gnn.data import TrainingData
from coldframe.gnn.kg_prior import KGPrior, KGPriorConfig
from coldframe.gnn.posterior import Posterior, moderated
from coldframe.kg.errors import DataError, StateError, UnknownIdError, UsageError


@pytest.fixture
def view(tiny_graph) -> View:
    events = tiny_graph.interactions
    model = KGPrior(KGPriorConfig(dimension=3)).fit(TrainingData(tiny_graph, events))
    pairs = (np.ones(len(events)), (events.user, events.item))
    known = sp.csr_matrix(pairs, (tiny_graph.n_users, tiny_graph.n_items))
    return View(model.posterior, tiny_graph, known)


@pytest.fixture
def population() -> Population:
    """Two tastes, 40 items: the second feature says which; half of the users each."""
    rng = np.random.default_rng(0)
    vectors = np.ones((60, 2), np.float32)
    vectors[::2, 1] = -1
    mean = np.stack([np.full(40, -1.0), rng.normal(0, 2, 40)], axis=1)
    known = sp.csr_matrix((rng.random((60, 40)) < 0.3).astype(np.float32))
    return Population.of(Posterior.from_prior(vectors, mean, 0.01 * np.eye(2)), known)


def test_answers_move_the_taste_to_where_it_is(population):
    items = np.arange(40)
    for taste in (-1.0, 1.0):
        likes = population.factors[:, 1] * taste > 0
        told = population.newcomer().given({i: float(likes[i]) for i in range(10)})
        assert np.sign(told.mean[1]) == taste
        assert told.covariance[1, 1] < population.covariance[1, 1]
        assert told.scores(items)[likes].mean() > told.scores(items)[~likes].mean()
    assert told.given({}).mean == pytest.approx(population.mean)


def test_a_whole_row_of_answers_is_the_same_in_bulk_and_one_by_one(population):
    items = np.arange(40)
    labels = (np.random.default_rng(1).random((3, 40)) < 0.4).astype(float)
    means, covariances = population.told_all(items, labels)
    for row, mean, covariance in zip(labels, means, covariances, strict=True):
        told = population.newcomer().given(dict(enumerate(row)))
        assert mean == pytest.approx(told.mean, abs=2e-3)
        assert covariance == pytest.approx(told.covariance, abs=2e-3)


def test_the_gain_is_the_drop_of_weighted_variance(population):
    """Against the formula written out: rank-one update of the covariance, variances before and after."""
    from scipy.special import expit, ndtr

    start, items = population.newcomer(), np.arange(40)
    logit, before = population.factors @ start.mean, start.variance(items)
    ahead = logit - np.sort(logit)[-10]
    weight = ndtr(ahead / np.sqrt(before + 0.05)) ** 2
    for item, gain in zip((3, 17, 30), start.gain(np.array([3, 17, 30]), items), strict=True):
        q = population.factors[item]
        p = expit(moderated(logit[item], before[item]))
        lam = p * (1 - p)
        pulled = start.covariance @ q
        after = start.covariance - lam * np.outer(pulled, pulled) / (1 + lam * before[item])
        left = np.einsum("nd,de,ne->n", population.factors, after, population.factors)
        assert gain == pytest.approx(float((weight * (before - left)).sum()), rel=1e-6)


def test_asks_each_item_once_and_stops(view):
    interview = Interview(view, config=InterviewConfig(questions=3))
    asked = []
    while question := interview.next():
        assert interview.next() == question
        assert 0 < question.answer_chance <= 1
        assert 0 < question.like_chance < 1
        asked.append(question.item)
        interview.tell(question.item, len(asked) % 2 == 0)
    assert len(set(asked)) == 3
    best = interview.recommend(8)
    assert best["rank"].to_pylist() == [1, 2, 3, 4, 5]
    assert not set(asked) & set(best["item"].to_pylist())


def test_an_answer_counts_at_once_and_the_last_one_of_an_item(view):
    """Likes of genre 0 lift its cold item 6 above the cold item 7 of genre 1, dislikes lower it."""

    def lead(answer) -> float:
        interview = Interview(view)
        for item in ("0", "1", "2"):
            interview.tell(item, "dislike").tell(item, answer)
        rows = interview.recommend(8).to_pylist()
        score = {row["item"].rsplit("/", 1)[1]: row["score"] for row in rows}
        return score["6"] - score["7"]

    assert lead("like") > lead("skip") > lead("dislike")
    assert lead("cannot tell") == lead("dislike")  # silence about known items is a no


def test_not_knowing_an_item_that_nobody_knows_says_nothing(view):
    before = Interview(view)
    after = Interview(view).tell("6", "cannot tell")
    assert after.beliefs.mean == pytest.approx(before.beliefs.mean)
    assert Interview(view).tell("6", "dislike").beliefs.mean != pytest.approx(before.beliefs.mean)


def test_a_user_of_the_catalog_is_asked_beyond_the_history(view):
    interview = Interview(view, user="0")
    known = {view.graph.items.vocabulary[i] for i in view.known[0].indices}
    assert interview.next().item not in known
    assert not known & set(interview.recommend(8)["item"].to_pylist())
    genre = {
        row["item"].rsplit("/", 1)[1]: row["score"] for row in interview.recommend(8).to_pylist()
    }
    assert genre["6"] > genre["7"]


def test_only_what_may_be_asked_is_asked(view):
    assert Interview(view, items=["6", "3"], item_weight={"3": 0}).next().item.endswith("/6")
    assert Interview(view, items=["3"], item_weight={"3": 0}).next() is None
    for weight in (-1.0, float("nan")):
        with pytest.raises(UsageError, match="item '3' has"):
            Interview(view, item_weight={"3": weight})


def test_wrong_words_are_refused(view):
    with pytest.raises(UnknownIdError):
        Interview(view).tell("none", "like")
    with pytest.raises(DataError, match="maybe"):
        Interview(view).tell("1", "maybe")
    with pytest.raises(DataError, match="positive"):
        Interview(view).tell("1", 4)
    assert Interview(view, positive=4).tell("1", 4).answers
    with pytest.raises(UnknownIdError):
        Interview(view, user="nobody")
    with pytest.raises(UsageError):
        InterviewConfig(questions=0)
    empty = View(view.posterior, view.graph, sp.csr_matrix(view.known.shape))
    with pytest.raises(StateError):
        Interview(empty)


@pytest.mark.parametrize("wrong", [{"item_weight": {"0": "x"}}, {"item_weight": {"0": -1.0}}])
def test_weights_are_numbers_from_nothing_on(view, wrong):
    with pytest.raises(UsageError, match="item_weight"):
        Interview(view, **wrong)


def test_the_length_of_a_list_is_a_whole_number(view):
    with pytest.raises(UsageError, match="k: expected a whole number"):
        Interview(view).recommend(5.5)


def test_of_a_files_answers_about_an_item_the_one_given_last_counts(view, tmp_path):
    """The item is named by its IRI once and by its original id once."""
    iri, path = view.graph.items.vocabulary[1], tmp_path / "said.csv"
    path.write_text(
        f"user,item,answer,time\nann,{iri},like,2024-06-02\nann,1,dislike,2024-06-01\n"
        "ann,2,like,\nann,2,dislike,2024-06-01\n"
    )
    interview = Interview(view)
    assert take_in(interview, path) == (0, [])
    assert list(interview.answers.values()) == ["like", "dislike"]
