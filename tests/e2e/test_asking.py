"""Asking on the command line: priorities by rule and by SPARQL, the interview, annotators, when to stop."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from command_line import RUNNER, run

from coldframe import cli
from coldframe.commands.simulating import beside
from coldframe.datasets.generated import GeneratedCatalog, generate_catalog

SEED = "https://seeds.example.org/vocabulary/"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> GeneratedCatalog:
    folder = tmp_path_factory.mktemp("asking")
    found = generate_catalog(folder / "data", size="tiny")
    run("ingest", *found.inputs, "--schema", found.schema, "--out", folder / "catalog")
    new_run(folder, "run")
    return found


def new_run(folder: Path, name: str) -> Path:
    parts = '["popularity", "kg-prior"]'
    words = ("--text", "none", "--set", f"hybrid.parts={parts}")
    run("train", folder / "catalog", "--out", folder / name, *words)
    return folder / name


@pytest.fixture(scope="module")
def base(made) -> Path:
    return made.folder.parent


def test_priorities_forbid_and_prefer(base, tmp_path):
    query = tmp_path / "annual.rq"
    query.write_text(f'SELECT ?item {{ ?item <{SEED}habit> "annual" }}')
    annual = {row["item"] for row in run("sparql", base / "catalog", query.read_text())["rows"]}
    assert annual
    folder = new_run(base, "weighted")
    words = ("acquire", folder, "--budget", "40")
    for rule in ("habbit=annual:0", "habit=annual", f"@{query}"):
        assert run(*words, "--weight", rule, code=2)["error"]["kind"] == "usage"
    asked = run(*words, "--weight", f"@{query}:0", "--weight", "price>=0:2")["questions"]
    assert len(asked) == 40
    assert not annual & {row["item"] for row in asked}
    only = run("interview", folder, "--weight", "habit=annual:1000000")
    assert only["next"]["item"] in annual


def test_an_interview_goes_on_from_a_file_of_answers(base, tmp_path):
    answers = tmp_path / "answers.csv"
    rows: list[str] = []
    seen = [run("interview", base / "run")]
    for answer in ("like", "dislike", "cannot tell"):
        rows.append(f"newcomer,{seen[-1]['next']['item']},{answer}")
        answers.write_text("\n".join(["user,item,answer", *rows]))
        seen.append(
            run("interview", base / "run", "--answers", answers, "--questions", "3", "-k", 4)
        )
    asked = [found["next"]["item"] for found in seen[:-1]]
    assert len(set(asked)) == 3
    assert seen[-1]["next"] is None
    assert [said["answer"] for said in seen[-1]["answers"]] == ["like", "dislike", "cannot tell"]
    best = [row["item"] for row in seen[-1]["recommendations"]]
    assert len(best) == 4
    assert not set(best) & set(asked)
    assert seen[1]["recommendations"] != seen[2]["recommendations"]


def test_rows_that_an_interview_cannot_use_are_named_and_cost_no_other(base, made, tmp_path):
    users, items = made.panel.read_text().split(), made.cold_items.read_text().split()
    answers = tmp_path / "answers.csv"
    lines = [
        f"{users[0]},{items[0]},like",
        f"{users[0]},nothing,like",
        f"{users[1]},{items[1]},like",
    ]
    lines += [f"{users[0]},{items[2]},perhaps", f"{users[0]},{items[3]},dislike"]
    answers.write_text("\n".join(["user,item,answer", *lines]))
    words = ("interview", base / "run", "--user", users[0], "--answers", answers)
    found = run(*words)
    assert [said["answer"] for said in found["answers"]] == ["like", "dislike"]
    assert [row["line"] for row in found["rejected"]] == [3, 5]
    assert found["of_others"] == 1
    shown = RUNNER.invoke(cli.app, list(map(str, words))).stdout
    assert "1 answers of other users" in shown
    assert "line 5: answer 'perhaps'" in shown


def test_an_interview_on_a_terminal_writes_answers_that_label_takes(base, made, tmp_path):
    user, out = made.panel.read_text().split()[0], tmp_path / "said.csv"
    words = ["interview", base / "run", "--user", user, "--questions", "3", "--out", out]
    done = RUNNER.invoke(cli.app, list(map(str, words)), input="y\nmaybe\nn\n?\n")
    assert done.exit_code == 0, done.output
    assert "'maybe' is neither" in done.output
    rows = list(csv.DictReader(out.open()))
    assert [row["answer"] for row in rows] == ["like", "dislike", "cannot tell"]
    assert {row["user"] for row in rows} == {user}
    assert run("label", new_run(base, "labelled"), out)["accepted"] == 3


def test_interviews_are_simulated_by_the_loop(base, tmp_path):
    words = ("loop", base / "catalog", "--protocol", "user-cold", "--out", tmp_path)
    found = run(*words, "--budgets", "2,4", "--seeds", "0", "--at-least", "3", "--workers", "1")
    assert found["budgets"] == [2, 4]
    assert set(found["strategies"]) == {"random", "popularity", "interview"}
    assert (tmp_path / "curves.png").stat().st_size > 0
    assert run(*words, "--strategies", "auto", code=2)["error"]["kind"] == "usage"


def test_the_loop_sets_simple_strategies_beside_the_named():
    assert beside("user-cold", ["interview"]) == ("popularity", "interview")
    cold = ("popularity", "score-proportional", "auto")
    assert beside("rated-only", ["auto", "popularity"]) == cold
    assert beside("rated-only", []) == ()


def test_a_wrong_interview_is_refused(base, tmp_path):
    answers = tmp_path / "answers.csv"
    words = ("interview", base / "run", "--answers", answers)
    for text, kind, code in (
        ("user,item,answer\na,p00001,like\nb,p00001,like\n", "usage", 2),
        ("user,item,answer\na,p00001,perhaps\n", "data", 3),
        ("user,answer\na,like\n", "data", 3),
    ):
        answers.write_text(text)
        assert run(*words, code=code)["error"]["kind"] == kind
    answers.write_text("user,item,answer\na,nothing,like\n")
    error = run(*words, code=3)["error"]
    assert "nothing" in error["message"]
    assert error["where"].endswith("answers.csv:2")
    assert run("interview", base / "run", "--user", "nobody", code=3)["error"]


def test_rounds_of_growing_size_until_a_rule_says_stop(base, made, tmp_path):
    folder, answers = new_run(base, "stopping"), tmp_path / "answers.csv"
    limits = ("--users", made.panel, "--items", made.cold_items)
    assert run("acquire", folder, *limits, code=2)["error"]["hint"] == ""
    words = ("acquire", folder, "--total", "30", *limits)
    asked = run(*words)["questions"]
    assert len(asked) == 30  # the first of growing rounds has room for all
    assert len(run(*words)["questions"]) == 30  # open: the same again
    for wrong in ("--budget 0", "--budget -3", "--budget nan", "--budget 5 --strategy rndom"):
        assert run("acquire", folder, *wrong.split(), code=2)["error"]["kind"] == "usage"
    lines = [f"{row['user']},{row['item']},like" for row in asked]
    answers.write_text("\n".join(["user,item,answer", *lines]))
    run("label", folder, answers)
    assert run("retrain", folder, "--target", "ndcg@10", code=2)["error"]["where"] == "--target"
    rules = ("--total", "31", "--target", "ndcg@10=0.999", "--plateau", "0.01")
    assert run("retrain", folder, *rules)["stop"] is None
    assert run(*words, code=4)["error"]["kind"] == "state"
    one = tmp_path / "one.csv"
    one.write_text(f"user,item,answer\n{asked[0]['user']},{asked[0]['item']},dislike\n")
    run("label", folder, one)
    assert "budget" in run("retrain", folder, "--no-measure", "--total", "30")["stop"]


def test_a_round_of_cannot_tell_is_closed_and_says_so(base, tmp_path):
    folder, asked = new_run(base, "unsure"), tmp_path / "asked.csv"
    run("acquire", folder, "--budget", "2", "--out", asked)
    rows = list(csv.DictReader(asked.open()))
    said = [f"{row['user']},{row['item']},cannot tell" for row in rows]
    asked.write_text("\n".join(["user,item,answer", *said]))
    run("label", folder, asked)
    done = RUNNER.invoke(cli.app, ["retrain", str(folder)])
    assert done.stdout.startswith("round 1 is closed: no like or dislike")


def test_annotators_are_compared_and_weighed(base, made, tmp_path):
    folder = new_run(base, "annotated")
    user = made.panel.read_text().split()[0]
    items = made.cold_items.read_text().split()[:12]
    truth = ["like" if k % 2 else "dislike" for k in range(12)]
    wrong = ["dislike" if k % 2 else "like" for k in range(12)]
    head = "user,item,answer,annotator"
    lines = [f"{user},{i},{a},ann" for i, a in zip(items, truth, strict=True)]
    lines += [f"{user},{i},{a},bob" for i, a in zip(items, wrong, strict=True)]
    said, gold = tmp_path / "said.csv", tmp_path / "gold.csv"
    said.write_text("\n".join([head, *lines]))
    gold.write_text("\n".join([head, *lines[:12]]))
    found = run("label", folder, said)["agreement"]
    assert (found["annotators"], found["edges"], found["same"]) == (2, 12, 0)
    assert found["alpha"] < 0
    assert run("retrain", folder, code=4)["error"]  # every edge is a tie
    weighed = run("label", folder, said, "--gold", gold, "--quota", "0.5")["agreement"]["weights"]
    assert weighed["bob"] == 0 < weighed["ann"]
    assert run("label", folder, said, "--quota", "0.25")["over_quota"] == 12
    shown = RUNNER.invoke(cli.app, ["label", str(folder), str(said)]).stdout
    assert "12 answers in all are beyond the quota" in shown
    assert run("label", folder, said, "--quota", "0.5")["over_quota"] == 0
    learned = run("retrain", folder, "--no-measure")
    assert (learned["labels"], learned["over_quota"]) == (12, 0)
    run("label", folder, said, "--quota", "0.4")
    lines = [f"{user},{items[0]},like,ann"]
    gold.write_text("\n".join([head, *lines]))
    run("label", folder, gold)
    shown = RUNNER.invoke(cli.app, ["retrain", str(folder), "--no-measure"]).stdout
    assert shown.startswith("6 answers in all are beyond the quota")
    assert run("label", folder, said, "--quota", "3", code=2)["error"]
