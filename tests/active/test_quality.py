"""Trust in annotators: hostile ones lose their vote, newcomers keep a smaller one."""

import numpy as np

from coldframe.active.fold import fold
from coldframe.active.journal import Journal
from coldframe.active.quality import QualityConfig, trust, within_quota


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
