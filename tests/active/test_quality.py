"""Trust in annotators: hostile ones lose their vote, newcomers keep a smaller one."""

import numpy as np
import pytest

from coldframe.active.annotators import QUALITY
from coldframe.active.fold import fold
from coldframe.active.journal import Journal
from coldframe.active.quality import (
    QualityConfig,
    agreement,
    gold_scores,
    trust,
    within_quota,
)
from coldframe.active.rounds import Rounds
from coldframe.kg.errors import DataError, LockedError, UsageError
from coldframe.kg.files import FolderLock
from coldframe.kg.person import Person


def told(tmp_path, rows):
    journal = Journal(tmp_path / "j.jsonl")
    journal.tell(rows, round=1)
    return journal.records()


def answer(user, item, label, who):
    return {"user": user, "item": item, "answer": "like" if label else "dislike", "annotator": who}


def test_gold_questions_unmask_a_liar(tmp_path):
    gold = {("g", str(k)): k % 2 for k in range(12)}
    rows = [answer("g", str(k), k % 2, "honest") for k in range(12)]
    rows += [answer("g", str(k), 1 - k % 2, "liar") for k in range(12)]
    rows += [answer("u", "x", 1, "newcomer")]
    weights = trust(told(tmp_path, rows), gold)
    assert weights["liar"] == 0
    assert weights["honest"] > weights["newcomer"] > 0.5


def test_hostile_annotators_hardly_change_the_verdicts(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random((20, 10)) < 0.3
    rows = []
    for user in range(20):
        for item in range(10):
            for who in rng.choice(20, 3, replace=False):
                label = truth[user, item] if who > 0 else not truth[user, item]
                rows.append(answer(str(user), str(item), label, f"a{who}"))
    records = told(tmp_path, rows)
    gold = {(str(u), str(i)): int(truth[u, i]) for u in range(3) for i in range(10)}
    weights = trust(records, gold)
    assert weights["a0"] == 0
    table = fold(records, trust=weights)
    right = [
        label is not None and bool(label) == truth[int(u), int(i)]
        for u, i, label in zip(
            *(table[c].to_pylist() for c in ("user", "item", "label")), strict=True
        )
    ]
    assert np.mean(right) > 0.99


def test_a_quota_keeps_one_annotator_from_flooding_a_round(tmp_path):
    rows = [answer(str(k), "i", 1, "flood") for k in range(80)]
    rows += [answer(str(k), "i", 0, f"a{k}") for k in range(20)]
    kept = within_quota(told(tmp_path, rows), QualityConfig(quota=0.1))
    assert sum(r.answer.annotator == "flood" for r in kept) == 10
    assert len(kept) == 30


def test_a_quota_counts_the_round_in_which_answers_came_whatever_round_they_name(tmp_path):
    rows = [answer(str(k), "i", 1, "flood") | {"round": k % 4} for k in range(80)]
    rows += [answer(str(k), "i", 0, f"a{k}") for k in range(20)]
    kept = within_quota(told(tmp_path, rows), QualityConfig(quota=0.1))
    assert sum(r.answer.annotator == "flood" for r in kept) == 10


def test_a_user_who_answers_for_herself_has_a_quota_of_her_own(tmp_path):
    rows = [answer("flood", str(k), 1, "") for k in range(80)]
    rows += [answer(str(k), "i", 0, "") for k in range(20)]
    kept = within_quota(told(tmp_path, rows), QualityConfig(quota=0.1))
    assert sum(r.answer.user == "flood" for r in kept) == 10
    assert len(kept) == 30


def test_krippendorffs_alpha_on_a_worked_example(tmp_path):
    """Krippendorff 2004, 11.3: two observers, ten units, four disagreements: alpha = 0.095."""
    first, second = "0100000000", "1110010010"
    rows = [answer("u", str(k), int(a), "A") for k, a in enumerate(first)]
    rows += [answer("u", str(k), int(b), "B") for k, b in enumerate(second)]
    rows += [answer("u", "alone", 1, "A"), {**answer("u", "0", 1, "C"), "answer": "cannot tell"}]
    found = agreement(told(tmp_path, rows))
    assert (found.annotators, found.edges) == (2, 10)
    assert found.same == 0.6
    assert found.alpha == pytest.approx(0.095, abs=5e-4)


def test_agreement_is_unknown_without_a_second_answer_and_perfect_where_all_agree(tmp_path):
    alone = [answer(str(k), "i", 1, "A") for k in range(3)]
    assert np.isnan(agreement(told(tmp_path / "a", alone)).alpha)
    both = [answer("u", str(k), k % 2, who) for k in range(6) for who in "ABC"]
    assert agreement(told(tmp_path / "b", both)).alpha == 1.0


def test_users_who_answer_for_themselves_are_not_one_annotator(tmp_path):
    rows = [answer(str(k), "i", 1, "") for k in range(20)]
    records = told(tmp_path, rows)
    assert len(within_quota(records, QualityConfig(quota=0.1))) == 20
    assert trust(records, {("0", "i"): 0, ("1", "i"): 0}) == {}


def test_gold_and_quota_hold_for_a_folder_from_then_on(tmp_path):
    rounds = Rounds(tmp_path)
    gold = [answer("g", str(k), k % 2, "") for k in range(12)]
    rows = [answer("g", str(k), k % 2, "honest") for k in range(12)]
    rows += [answer("g", str(k), 1 - k % 2, "liar") for k in range(12)]
    rows += [answer("u", "x", 1, "liar"), answer("u", "x", 0, "honest")]
    rounds.tell(rows, round=1)

    def verdict() -> int | None:
        table = Rounds(tmp_path).answers()
        return {row["item"]: row["label"] for row in table.to_pylist() if row["user"] == "u"}["x"]

    assert verdict() is None
    assert rounds.set_quality(gold=gold) == 12
    assert verdict() == 0
    assert rounds.set_quality(quota=0.5) == 12  # what was set before stays
    assert Rounds(tmp_path).annotators().config.quota == 0.5
    (tmp_path / "gold.csv").write_text("user,item,answer\ng,1,like\ng,2,skip\n")
    for wrong, where in (
        ([{"user": "g", "item": "1", "answer": "skip"}], "gold answers:1"),
        (tmp_path / "gold.csv", f"{tmp_path / 'gold.csv'}:3"),
    ):
        with pytest.raises(DataError, match="is a like or a dislike") as caught:
            rounds.set_quality(gold=wrong)
        assert caught.value.where == where
    with pytest.raises(UsageError):
        rounds.set_quality(quota=2.0)


def test_two_processes_that_set_gold_answers_cannot_lose_each_others(tmp_path):
    rounds = Rounds(tmp_path)
    rounds.set_quality(gold=[answer("g", "1", 1, "")])
    with (
        FolderLock.of_file(tmp_path / QUALITY, purpose="annotators"),
        pytest.raises(LockedError),
    ):
        Rounds(tmp_path).set_quality(gold=[answer("g", "2", 1, "")])
    assert Rounds(tmp_path).set_quality(gold=[answer("g", "2", 1, "")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [QUALITY]


def test_gold_answers_about_a_person_can_be_forgotten(tmp_path):
    rounds = Rounds(tmp_path)
    rounds.forget_gold(Person(frozenset(), frozenset({"g"})))
    rounds.set_quality(gold=[answer("g", "1", 1, ""), answer("h", "1", 0, "")], quota=0.3)
    rounds.forget_gold(Person(frozenset(), frozenset({"g"})))
    known = rounds.annotators()
    assert known.gold == {("h", "1"): 0}
    assert known.config.quota == 0.3


def test_the_answer_given_last_counts_wherever_answers_are_counted(tmp_path):
    """An older answer that is told later changes nothing, nor does a like that was taken back."""

    def at(time, item, label):
        return answer("u", item, label, "A") | {"time": time}

    rows = [at("2024-02-01", "x", 1), at("2024-01-01", "x", 0)]
    rows += [at("2024-01-01", "y", 1), at("2024-02-01", "y", 1) | {"answer": "cannot tell"}]
    rows += [answer("u", item, 1, "B") for item in "xy"]
    records = told(tmp_path, rows)
    assert fold(records)["label"].to_pylist() == [1, 1]
    found = agreement(records)
    assert (found.annotators, found.edges, found.same) == (2, 1, 1.0)
    gold = {("u", "x"): 1, ("u", "y"): 1}
    assert gold_scores(records, gold) == {"A": (1, 1), "B": (2, 2)}
    weights = trust(records, gold)
    assert 2 * 0.85 - 1 < weights["A"] < weights["B"]


def test_of_several_rounds_the_latest_says_what_an_annotator_thinks(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    for round, label in ((2, 1), (1, 0)):
        journal.tell([answer("u", "x", label, "A")], round=round)
    assert fold(journal.records())["label"].to_pylist() == [1]
    assert gold_scores(journal.records(), {("u", "x"): 1}) == {"A": (1, 1)}


@pytest.mark.parametrize(("quota", "n", "kept"), [(0.29, 100, 29), (0.07, 100, 7), (0.1, 29, 2)])
def test_a_quota_is_the_share_that_it_says(tmp_path, quota, n, kept):
    rows = [answer(str(k), "i", 1, "flood") for k in range(n - 1)] + [answer("u", "i", 1, "A")]
    left = within_quota(told(tmp_path, rows), QualityConfig(quota=quota))
    assert sum(r.answer.annotator == "flood" for r in left) == kept


def test_a_vote_never_weighs_less_than_nothing(tmp_path):
    gold = {("g", str(k)): 1 for k in range(20)}
    records = told(tmp_path, [answer("g", str(k), 0, "liar") for k in range(20)])
    assert trust(records, gold, config=QualityConfig(drop_below=0.0)) == {"liar": 0.0}


def test_what_the_quota_leaves_out_is_counted(tmp_path):
    rounds = Rounds(tmp_path)
    rounds.tell([answer(str(k), "i", 1, who) for who in "AB" for k in range(10)], round=1)
    assert rounds.over_quota() == 0
    rounds.set_quality(quota=0.2)
    assert rounds.over_quota() == 12
