"""What `acquire` is told of whom to ask and at what price, and what it tells of its strategy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import RUNNER, run

from coldframe import cli
from coldframe.active.costs import read_costs
from coldframe.datasets.generated import GeneratedCatalog, generate_catalog
from coldframe.kg.errors import DataError


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> tuple[Path, GeneratedCatalog]:
    folder = tmp_path_factory.mktemp("limits")
    made = generate_catalog(folder / "data", size="tiny")
    run("ingest", *made.inputs, "--schema", made.schema, "--out", folder / "catalog")
    parts = '["popularity", "kg-prior"]'
    words = ("--text", "none", "--set", f"hybrid.parts={parts}")
    run("train", folder / "catalog", "--out", folder / "run", *words)
    return folder, made


@pytest.fixture
def folder(base, tmp_path) -> Path:
    """A copy of the trained run."""
    for name in ("catalog", "run"):
        shutil.copytree(base[0] / name, tmp_path / name)
    return tmp_path / "run"


def close(folder: Path, questions: list[dict]) -> None:
    lines = [f"{one['round']},{one['user']},{one['item']},like" for one in questions]
    answers = folder.parent / "answers.csv"
    answers.write_text("\n".join(["round,user,item,answer", *lines]))
    run("label", folder, answers)
    run("retrain", folder, "--no-measure")


def test_auto_says_what_it_plays_and_how_far_it_trusts_its_arms(folder, tmp_path):
    words = ("acquire", folder, "--budget", "40")
    plan = run(*words)["plan"]
    assert (plan["strategy"], plan["plays"]) == ("auto", "auto-bandit")
    arms = {one["arm"]: one for one in plan["arms"]}
    assert set(arms) == {"random", "firm-coverage", "sharp-coverage"}
    assert sum(one["trust"] for one in arms.values()) == pytest.approx(1)
    assert sum(one["share"] for one in arms.values()) == pytest.approx(1)
    assert arms["random"]["share"] == 0 < arms["random"]["trust"]  # too small a share sits out
    out = tmp_path / "questions.csv"
    again = run(*words, "--out", out)
    assert (again["plan"], again["new"]) == (plan, False)
    done = RUNNER.invoke(cli.app, list(map(str, words)))
    assert "auto plays firm-coverage" in done.output
    assert "trust: random 0.02" in done.output


@pytest.mark.parametrize("name", ["learned", "entropy"])
def test_other_strategies_say_what_they_come_to(folder, name):
    plan = run("acquire", folder, "--budget", "10", "--strategy", name)["plan"]
    played = {one["arm"]: one["share"] for one in plan["arms"]}
    assert plan["strategy"] == name
    assert (played[plan["plays"]] == 1) if name == "learned" else (plan["plays"] == name)


def test_a_panel_is_fixed_for_all_rounds(folder, base, tmp_path):
    panel = base[1].panel.read_text().split()[:6]
    few, others = tmp_path / "panel.txt", tmp_path / "others.txt"
    few.write_text("\n".join(panel))
    others.write_text("\n".join(base[1].panel.read_text().split()[3:9]))
    # A call that fails binds the run to nothing.
    run("acquire", folder, "--budget", "12", "--panel", others, "--gold", "5000", code=2)
    run("acquire", folder, "--budget", "0.5", "--panel", others, code=4)
    first = run("acquire", folder, "--budget", "12", "--panel", few)["questions"]
    assert {one["user"] for one in first} <= set(panel)
    close(folder, first)
    assert run("acquire", folder, "--budget", "9", "--panel", others, code=4)["error"]["hint"]
    outside = run("acquire", folder, "--budget", "9", "--users", others, code=2)["error"]
    assert outside["where"] == "--users"
    second = run("acquire", folder, "--budget", "12")["questions"]
    assert {one["user"] for one in second} <= set(panel)
    assert run("forget", folder, "--user", panel[0])["hits"] == []
    assert panel[0] not in (folder / "panel.json").read_text()


def test_the_budget_counts_costs(folder, base, tmp_path):
    users = base[1].panel.read_text().split()
    costs = tmp_path / "costs.csv"
    panel = ("--users", base[1].panel, "--costs", costs)
    costs.write_text("user,cost\nnobody,4\n")
    assert run("acquire", folder, "--budget", "40", *panel, code=3)["error"]["kind"] == "unknown-id"
    costs.write_text("user,cost\n" + "".join(f"{user},4\n" for user in users))
    found = run("acquire", folder, "--budget", "40", *panel)
    assert len(found["questions"]) == 10
    assert found["cost"] == 40
    assert {one["cost"] for one in found["questions"]} == {4.0}
    assert run("acquire", folder, "--total", "40", *panel, code=2)["error"]["where"] == "--costs"


def test_rankings_are_got_right_for_the_targets(folder, base, tmp_path):
    targets = tmp_path / "targets.txt"
    words = ("--strategy", "d-optimal", "--seed", "3")
    targets.write_text("\n".join(base[1].panel.read_text().split()[:2]))
    own = run("acquire", folder, "--budget", "20", "--targets", targets, *words)["questions"]
    shutil.rmtree(folder / "rounds")
    usual = run("acquire", folder, "--budget", "20", *words)["questions"]
    assert sum(one["gain"] for one in own) < sum(one["gain"] for one in usual) / 5


def test_tables_of_costs_are_checked_by_line(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text("user,item,cost\n007,,2\n,A,0.5\n")
    found = read_costs(path)
    assert (found.user, found.item) == ({"007": 2.0}, {"A": 0.5})
    for text, where in (
        ("user,price\na,1\n", ":1"),
        ("cost\n1\n", ":2"),
        ('user,cost\n\n,\n"a\nb",1\na,0\n', ":6"),
        ("user,cost\na,1,2\n", ":2"),
        ("user,item,cost\na,b,1\n", ":2"),
        ("user,cost\na,1\na,2\n", ":3"),
        ("user,cost\na,0\n", ":2"),
        ("user,cost\na,much\n", ":2"),
        ("user,cost\na,5\nb,much\n", ":3"),
        ("user,cost\na,5\nb,\n", ":3"),
        ("user;cost\na;2,5\n", ":2"),
    ):
        path.write_text(text)
        with pytest.raises(DataError) as caught:
            read_costs(path)
        assert caught.value.where == f"{path}{where}"
        assert "much" not in text or "'much'" in caught.value.message
        assert ("2,5" in text) == ("with a point" in caught.value.hint)
    lines = tmp_path / "costs.jsonl"
    lines.write_text('{"user": "a", "cost": 5}\n{"user": "b", "cost": -5}\n')
    with pytest.raises(DataError) as caught:
        read_costs(lines)
    assert caught.value.where == f"{lines}:2"


def test_label_scores_annotators_by_gold_questions(folder, tmp_path):
    questions = run("acquire", folder, "--budget", "20", "--gold", "6")["questions"]
    assert len(questions) == 20
    lines = [f"1,{one['user']},{one['item']},like,ann" for one in questions]
    answers = tmp_path / "answers.csv"
    answers.write_text("\n".join(["round,user,item,answer,annotator", *lines]))
    assert run("label", folder, answers)["agreement"]["gold"] == {
        "ann": {"answered": 6, "right": 3}
    }
    done = RUNNER.invoke(cli.app, ["label", str(folder), str(answers)])
    assert "ann: 3 of 6 gold answers right" in done.output
    assert run("retrain", folder, "--no-measure")["labels"] <= 14
    assert (
        run("acquire", folder, "--budget", "5", "--gold", "5", code=2)["error"]["where"] == "--gold"
    )


def test_criteria_stand_beside_every_question_and_not_in_the_journal(folder, tmp_path):
    words = ("--criteria", "entropy,variance", "--coverage", "attributes", "--gold", "2")
    path = tmp_path / "asked.jsonl"
    told = run("acquire", folder, "--budget", "12", "--out", path, *words)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert told["questions"] == len(rows) == 12
    for row in rows:
        assert 0 <= row["criterion.entropy"] < 1
        assert row["criterion.variance"] > 0
    again = run("acquire", folder, "--budget", "12")["questions"]
    assert [row["criterion.entropy"] for row in again] == [row["criterion.entropy"] for row in rows]
    answered = tmp_path / "answered.jsonl"
    answered.write_text("".join(json.dumps({**row, "answer": "like"}) + "\n" for row in rows))
    assert run("label", folder, answered)["accepted"] == 12
    assert "criterion" not in (folder / "journal.jsonl").read_text()
    run("acquire", folder, "--budget", "5", "--criteria", "entropi", code=2)


def test_pairs_of_a_table_are_not_asked(folder, tmp_path):
    first = run("acquire", folder, "--budget", "20")["questions"]
    shutil.rmtree(folder / "rounds")
    apart = tmp_path / "apart.csv"
    apart.write_text("user,item\n" + "\n".join(f"{one['user']},{one['item']}" for one in first))
    second = run("acquire", folder, "--budget", "20", "--exclude", apart)["questions"]
    pairs = [{(one["user"], one["item"]) for one in asked} for asked in (first, second)]
    assert len(pairs[1]) == 20
    assert not pairs[0] & pairs[1]
    for text, part in (("user\nx\n", "item"), ("user,item\n,x\n", "2"), ("user,item\nx,y\n", "x")):
        apart.write_text(text)
        found = run("acquire", folder, "--budget", "5", "--exclude", apart, code=3)["error"]
        assert part in found["message"] + found["where"]
    lines = tmp_path / "apart.jsonl"
    lines.write_text(json.dumps({"user": first[0]["user"], "item": ""}) + "\n")
    found = run("acquire", folder, "--budget", "5", "--exclude", lines, code=3)["error"]
    assert found["where"].endswith("apart.jsonl:1")
