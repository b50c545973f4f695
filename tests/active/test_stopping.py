"""When to stop: each rule fires where it should and not before."""

import numpy as np
import pyarrow as pa
import pytest

from coldframe.active.measure import METRICS, PER_USER
from coldframe.active.rounds import Rounds, batch_sizes
from coldframe.active.stopping import StopConfig, next_batch, questions_asked, stop_reason
from coldframe.kg.errors import UsageError
from coldframe.kg.files import write_sealed, write_table
from coldframe.kg.table_files import seal


class FakeRun:
    """The part of a run that the rules read: its folder, and how many rounds are learned."""

    def __init__(self, path, rounds):
        self.path, self.round = path, rounds

    def round_folder(self, number):
        return self.path / "rounds" / f"{number:03d}"


def played(tmp_path, monkeypatch, values, questions=10) -> FakeRun:
    """Rounds 0, 1, ... with these per-user values of NDCG@10, one row per round."""
    monkeypatch.setattr("coldframe.active.stopping.rounds_of", lambda run: Rounds(run.path))
    monkeypatch.setattr("coldframe.active.cycle.rounds_of", lambda run: Rounds(run.path))
    rounds = Rounds(tmp_path)
    names = [str(k) for k in range(questions)]
    for number, each in enumerate(values):
        row = {"segment": "all", "ndcg@10": float(np.nanmean(each))}
        if number:
            rounds.ask(lambda n: pa.table({"user": names, "item": [str(n)] * len(names)}))
            rounds.close(number, {"labels": number, "rows": [row]})
        else:
            write_sealed(tmp_path / "rounds" / "000" / "metrics.json", {"labels": 0, "rows": [row]})
        folder = tmp_path / "rounds" / f"{number:03d}"
        write_table(folder / PER_USER, seal(pa.table(dict.fromkeys(METRICS, np.asarray(each)))))
    return FakeRun(tmp_path, len(values) - 1)


def test_batches_add_up_to_the_total_and_resume_anywhere():
    asked, sizes = 0, []
    while size := next_batch(1000, asked):
        sizes.append(size)
        asked += size
    assert sizes == batch_sizes(1000)
    assert sum(sizes) == 1000
    assert next_batch(1000, 150) == batch_sizes(1000)[0] + batch_sizes(1000)[1] - 150
    assert next_batch(1000, 1200) == 0


def test_budget_and_target(tmp_path, monkeypatch):
    run = played(tmp_path, monkeypatch, [[0.1, 0.2], [0.3, 0.4]])
    assert questions_asked(Rounds(tmp_path)) == 10
    assert stop_reason(run, StopConfig()) is None
    assert stop_reason(run, StopConfig(total=11, target=0.36)) is None
    assert stop_reason(run, StopConfig(total=10)).startswith("budget")
    assert stop_reason(run, StopConfig(target=0.35)).startswith("target")


def test_a_plateau_needs_a_narrow_interval(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    base = rng.random(400)
    base[:5] = np.nan  # users with nothing to find
    flat = [base, base + 0.1, base + 0.1 + rng.normal(0, 0.01, 400), base + 0.1]
    config = StopConfig(plateau=0.01)
    run = played(tmp_path / "flat", monkeypatch, flat)
    assert stop_reason(run, config).startswith("plateau: since round 1")
    assert stop_reason(run, StopConfig(plateau=0.01, patience=3)) is None
    noisy = [base, base + 0.1, base, base + 0.1 + rng.normal(0, 0.5, 400)]
    assert stop_reason(played(tmp_path / "noisy", monkeypatch, noisy), config) is None
    rising = [base, base + 0.1, base + 0.2]
    assert stop_reason(played(tmp_path / "rising", monkeypatch, rising), config) is None
    assert stop_reason(played(tmp_path / "short", monkeypatch, flat[:2]), config) is None


def test_another_set_of_users_is_not_compared(tmp_path, monkeypatch):
    run = played(tmp_path, monkeypatch, [[0.1, 0.2], [0.1, 0.2], [0.1]])
    assert stop_reason(run, StopConfig(plateau=0.01)) is None


@pytest.mark.parametrize(
    "wrong", [{"metric": "ndcg@1"}, {"total": 0}, {"plateau": -1.0}, {"patience": 0}]
)
def test_wrong_rules_are_refused(wrong):
    with pytest.raises(UsageError):
        StopConfig(**wrong)
