"""The whole chain on the command line, from RDF to a retrained model, on a tiny generated catalog."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rdflib
from command_line import RUNNER, run

from coldframe import cli
from coldframe.datasets.generated import GeneratedCatalog, generate_catalog
from coldframe.gnn.neighbours import by_cosine, by_kernel
from coldframe.gnn.runs import Run

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--epochs", "3", "--dimensions", "16", "--text", "tfidf")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> GeneratedCatalog:
    folder = tmp_path_factory.mktemp("chain")
    found = generate_catalog(folder / "data", size="tiny")
    run("ingest", *found.inputs, "--schema", found.schema, "--out", folder / "catalog")
    run("train", folder / "catalog", "--out", folder / "run", *SMALL)
    return found


@pytest.fixture(scope="module")
def base(made) -> Path:
    return made.folder.parent


def truth(made: GeneratedCatalog) -> dict[tuple[str, str], str]:
    return {(r["user"], r["item"]): r["answer"] for r in pq.read_table(made.truth).to_pylist()}


def test_evaluate_has_the_rows_of_the_contract(base):
    found = run("evaluate", base / "run")
    rows, chances = found["rows"], found["calibration"]
    models = {row["model"] for row in rows}
    wanted = {"coldframe", "popularity", "itemknn", "rp3beta", "ease", "kg-knn", "kg-prior"}
    assert wanted | {"rp3beta+kg-knn"} <= models
    assert {"all", "hot", "cold"} <= {row["segment"] for row in rows}
    for row in rows:
        assert {"model", "segment", "users", "recall@10", "recall@20", "ndcg@10", "mrr@10"} <= set(
            row
        )
        assert row["ndcg@10"] is None or 0 <= row["ndcg@10"] <= 1
    kept = json.loads((base / "run" / "metrics.json").read_text())
    assert len(kept["rows"]) == len(rows)
    assert kept["calibration"] == chances
    gaps = {(row["against"], row["segment"]): row for row in found["differences"]}
    assert {name for name, _ in gaps} == models - {"coldframe"}
    value = {(row["model"], row["segment"]): row["ndcg@10"] for row in rows}
    for (other, segment), gap in gaps.items():
        expected = value["coldframe", segment] - value[other, segment]
        assert gap["mean"] == pytest.approx(expected, abs=2e-6)
        assert gap["low"] <= gap["mean"] <= gap["high"]
        assert gap["p"] <= gap["p_holm"] <= 1
    assert kept["differences"] == found["differences"]
    # Too high for cold items by design: half of their likes are kept back here, to be asked for.
    assert 0 <= chances["ece"] < 0.08
    assert 0 < chances["brier"] < 1
    assert all({"predicted", "observed", "pairs"} == set(one) for one in chances["bins"])


def test_a_look_at_some_models_does_not_replace_the_whole_evaluation(base):
    kept = base / "run" / "metrics.json"
    whole = run("evaluate", base / "run")
    before = kept.read_bytes()
    assert len(run("evaluate", base / "run", "--models", "popularity")["rows"]) < len(whole["rows"])
    assert kept.read_bytes() == before
    kept.write_bytes(before[:-40])  # cut short: nothing is lost with it
    run("evaluate", base / "run", "--models", "popularity")
    assert not json.loads(kept.read_text())["whole"]
    run("evaluate", base / "run")
    assert kept.read_bytes() == before


def test_evaluate_says_which_differences_are_sure(base):
    words = ("evaluate", base / "run", "--models", "coldframe,popularity")
    shown = RUNNER.invoke(cli.app, list(map(str, words))).stdout
    line = next(line for line in shown.splitlines() if "[" in line)
    assert line.startswith("popularity")
    assert "*" in line
    assert run("evaluate", base / "run", "--models", "popularity")["differences"] == []


def test_evaluate_shows_the_first_of_the_cut_offs(base):
    words = ["evaluate", str(base / "run"), "--models", "ease", "--at", "5,10"]
    shown = RUNNER.invoke(cli.app, words).stdout
    assert shown.startswith("ndcg@5")
    ease = next(line for line in shown.splitlines() if line.startswith("ease"))
    assert re.search(r"0\.[0-9]*[1-9]", ease), ease


def test_recommend_shows_titles_to_a_person(base):
    shown = RUNNER.invoke(cli.app, ["recommend", str(base / "run"), "-k", "1"]).stdout
    graph = Run.open(base / "run").catalog.graph
    first = shown.splitlines()[1]
    item = graph.items.vocabulary.find(first.split()[1])
    assert graph.items.titles[item] in first


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "trec"])
def test_recommend_writes_each_format(base, made, suffix, tmp_path):
    users = tmp_path / "users.txt"
    known = made.panel.read_text().split()[:3]
    # One by its IRI, the others by their original ids.
    names = [known[0], *(iri.rpartition("/")[2] for iri in known[1:])]
    users.write_text("\n".join(names))
    out = tmp_path / f"recs.{suffix}"
    assert run("recommend", base / "run", "--users", users, "-k", "5", "--out", out)["rows"] == 15
    if suffix == "csv":
        rows = list(csv.DictReader(out.open()))
        assert list(rows[0]) == ["user", "item", "rank", "score", "std", "probability"]
        assert [row["rank"] for row in rows[:5]] == list("12345")
        assert {row["user"] for row in rows} == set(known)
    if suffix == "trec":
        assert all(len(line.split()) == 6 for line in out.read_text().splitlines())


def test_recommend_leaves_known_items_out_and_ranks_cold_ones(base, made, tmp_path):
    users, items = tmp_path / "users.txt", tmp_path / "items.txt"
    users.write_text(made.panel.read_text().split()[0])
    all_rows = run("recommend", base / "run", "--users", users, "-k", "80")["recommendations"]
    both = run("recommend", base / "run", "--users", users, "-k", "80", "--include-known")
    assert len(all_rows) < len(both["recommendations"]) == 80
    cold = set(made.cold_items.read_text().split())
    assert cold & {row["item"] for row in all_rows}
    items.write_text(made.cold_items.read_text())
    only = run("recommend", base / "run", "--users", users, "--items", items, "-k", "80")
    assert {row["item"] for row in only["recommendations"]} == cold


def test_an_item_of_a_later_catalog_is_served_beside_its_twin(base, made, tmp_path):
    twin = made.cold_items.read_text().split()[0]
    new = f"{twin}-later"
    known = rdflib.Graph()
    for path in made.inputs:
        known.parse(path)
    facts = rdflib.Graph()
    for _, relation, value in known.triples((rdflib.URIRef(twin), None, None)):
        facts.add((rdflib.URIRef(new), relation, value))
    facts.serialize(tmp_path / "new.nt", "nt", encoding="utf-8")
    later, items = tmp_path / "later", tmp_path / "items.txt"
    items.write_text(f"{twin}\n{new}\n")
    run("ingest", *made.inputs, tmp_path / "new.nt", "--schema", made.schema, "--out", later)
    words = ("--catalog", later, "--items", items, "-k", "2", "--include-known")
    rows = run("recommend", base / "run", *words)["recommendations"]
    scores = {item: [r["score"] for r in rows if r["item"] == item] for item in (twin, new)}
    # Not equal: what speaks of the twin, from other plants, does not speak of the new one.
    assert np.corrcoef(scores[new], scores[twin])[0, 1] > 0.9
    near = run("similar", base / "run", "--catalog", later, "--item", new, "-k", "1")["similar"]
    assert near[0]["similar"] == twin
    user = made.panel.read_text().split()[0]
    assert run("explain", base / "run", "--catalog", later, "--user", user, "--item", new)["parts"]


def test_what_a_later_catalog_lacks_is_not_recommended(base, made, tmp_path):
    cold = made.cold_items.read_text().split()
    gone = set(cold[: len(cold) // 2])
    statements = rdflib.Graph()
    for path in made.inputs:
        statements.parse(path)
    for item in gone:
        statements.remove((rdflib.URIRef(item), None, None))
        statements.remove((None, None, rdflib.URIRef(item)))
    statements.serialize(tmp_path / "left.nt", "nt", encoding="utf-8")
    later = tmp_path / "later"
    run("ingest", tmp_path / "left.nt", "--schema", made.schema, "--out", later)
    words = ("recommend", base / "run", "--catalog", later, "-k", "1000")
    rows = run(*words)["recommendations"]
    assert rows
    assert not gone & {row["item"] for row in rows}
    (tmp_path / "items.txt").write_text("\n".join(gone))
    named = run(*words, "--items", tmp_path / "items.txt")["recommendations"]
    assert {row["item"] for row in named} == gone


def test_ids_that_the_catalog_lacks_can_be_left_out(base, made, tmp_path):
    users = tmp_path / "users.txt"
    users.write_text("nobody\n" + made.panel.read_text().split()[0])
    words = ("recommend", base / "run", "--users", users, "-k", "2")
    failed = RUNNER.invoke(cli.app, [*map(str, words), "--json"])
    assert failed.exit_code == 3
    assert "--skip-unknown" in json.loads(failed.stdout)["error"]["hint"]
    found = run(*words, "--skip-unknown")
    assert (len(found["recommendations"]), found["skipped"]) == (2, 1)
    users.write_text("nobody\n")
    assert RUNNER.invoke(cli.app, [*map(str, words), "--skip-unknown"]).exit_code == 3


def test_only_items_of_which_something_holds_are_recommended(base, tmp_path):
    graph = Run.open(base / "run").catalog.graph
    habit, price = graph.items.categories["habit"], graph.items.numbers["price"]
    median = float(np.nanmedian(price))
    wanted = (habit.codes == habit.names.index("annual")) & ~(price <= np.float32(median))
    items = {graph.items.vocabulary[int(k)] for k in np.flatnonzero(wanted)}
    words = ("recommend", base / "run", "-k", "99", "--include-known", "--only", "habit=annual")
    middle = f"price<={median}"
    rows = run(*words, "--never", middle)["recommendations"]
    assert {row["item"] for row in rows} == items
    some = tmp_path / "items.txt"
    some.write_text(min(items) + "\n" + graph.items.vocabulary[int(np.flatnonzero(~wanted)[0])])
    rows = run(*words, "--never", middle, "--items", some)["recommendations"]
    assert {row["item"] for row in rows} == {min(items)}
    for more, code in (
        (("--only", "habti=annual"), 2),
        (("--only", "habit=anual"), 3),
        (("--never", "habit=annual"), 3),
    ):
        failed = RUNNER.invoke(cli.app, [*map(str, words), *more, "--json"])
        assert failed.exit_code == code
        assert more[0] in json.loads(failed.stdout)["error"]["where"]


def test_the_neighbours_of_every_item_are_those_of_each(base, tmp_path):
    out = tmp_path / "near.parquet"
    model = Run.open(base / "run").model
    n = model.graph.n_items
    assert run("similar", base / "run", "-k", "3", "--out", out)["rows"] == 3 * n
    table = pq.read_table(out)
    item = table["item"][3 * (n // 2)].as_py()
    rows = [row for row in table.to_pylist() if row["item"] == item]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["similar"] for row in rows] == model.similar(item, 3)["item"].to_pylist()
    some = tmp_path / "items.txt"
    some.write_text(f"{item}\n")
    words = ("similar", base / "run", "--items", some, "-k", "3")
    assert [row["similar"] for row in run(*words)["similar"]] == [row["similar"] for row in rows]
    named = run(*words, "--ids", "original")["similar"]
    assert {row["item"] for row in named} == {item.rsplit("/", 1)[-1]}
    assert RUNNER.invoke(cli.app, [*map(str, words), "--item", item]).exit_code == 2
    assert RUNNER.invoke(cli.app, ["similar", str(base / "run")]).exit_code == 2


def test_recommend_keeps_places_for_new_items(base):
    data = Run.open(base / "run").model.data
    cold = {data.graph.items.vocabulary[int(i)] for i in np.flatnonzero(data.item_degree == 0)}
    rows = run("recommend", base / "run", "-k", "5", "--new", "2")["recommendations"]
    per_user: dict[str, int] = {}
    for row in rows:
        per_user[row["user"]] = per_user.get(row["user"], 0) + (row["item"] in cold)
    assert min(per_user.values()) >= 2


def test_recommend_tells_other_uncertainties(base):
    found = run("recommend", base / "run", "--uncertainty", "mc-dropout", "-k", "2")
    usual = run("recommend", base / "run", "-k", "2")
    one, other = ([row["std"] for row in each["recommendations"]] for each in (found, usual))
    assert all(value > 0 for value in one)
    assert one != other
    words = ("recommend", base / "run", "--json", "--uncertainty")
    for method, code in (("ensemble", 4), ("dropout", 2)):
        done = RUNNER.invoke(cli.app, [*map(str, words), method])
        assert done.exit_code == code, done.output


def test_similar_and_explain(base, made):
    cold = made.cold_items.read_text().split()[0]
    user = made.panel.read_text().split()[0]
    near = run("similar", base / "run", "--item", cold, "-k", "4")["similar"]
    assert len(near) == 4
    assert cold not in {row["similar"] for row in near}
    assert [row["similarity"] for row in near] == sorted(
        (row["similarity"] for row in near), reverse=True
    )
    why = run("explain", base / "run", "--user", user, "--item", cold)
    assert why["item"] == cold
    assert why["paths"] or why["texts"]
    assert sum(why["parts"].values()) == pytest.approx(why["score"], rel=1e-3, abs=1e-3)


def test_a_round_from_questions_to_a_better_informed_model(base, made, tmp_path):
    folder, known = base / "run", truth(made)
    questions, answers = tmp_path / "questions.csv", tmp_path / "answers.csv"
    words = ("acquire", folder, "--budget", "20", "--out", questions)
    limits = ("--users", made.panel, "--items", made.cold_items)
    assert run(*words, *limits)["questions"] == 20
    first = questions.read_bytes()
    assert run(*words)["new"] is False  # the round is open: the same questions again
    assert questions.read_bytes() == first
    rows = list(csv.DictReader(questions.open()))
    names = ["round", "user", "item", "title", "utility", "gain", "coverage", "answer_chance"]
    assert list(rows[0]) == names
    with answers.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["user", "item", "answer", "remark"])
        table.writerows([r["user"], r["item"], known[r["user"], r["item"]], "kept"] for r in rows)
        table.writerow(["nobody", rows[0]["item"], "like", ""])
    told = run("label", folder, answers)
    assert (told["accepted"], told["repeated"]) == (20, 0)
    assert [bad["line"] for bad in told["rejected"]] == [22]
    assert run("label", folder, answers)["accepted"] == 0  # telling twice is telling once
    learned = run("retrain", folder)
    assert (learned["round"], learned["labels"]) == (1, 20)
    assert run("verify", folder)["ok"] is True
    again = RUNNER.invoke(cli.app, ["retrain", str(folder)])
    assert again.exit_code == 4
    asked = {(row["user"], row["item"]) for row in rows}
    more = run("acquire", folder, "--budget", "20", *limits)
    assert more["round"] == 2
    assert not asked & {(row["user"], row["item"]) for row in more["questions"]}


def test_answers_that_nobody_asked_for_are_learned_too(base, made, tmp_path):
    (user, item), answer = next(iter(truth(made).items()))
    folder = tmp_path / "run"
    run("train", base / "catalog", "--out", folder, *SMALL)
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"user": user, "item": item, "answer": answer}) + "\n")
    run("label", folder, answers)
    assert run("retrain", folder, "--no-measure")["labels"] == 1
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    wanted = {"seq", "prev", "crc", "round", "user", "item", "answer", "annotator", "time"}
    assert wanted <= set(journal[0])


def test_the_round_is_a_named_graph_of_the_store(base, made, tmp_path):
    from coldframe.gnn.runs import Run
    from coldframe.kg.provenance import recorded_rounds

    (user, item), answer = next(iter(truth(made).items()))
    folder = tmp_path / "run"
    run("train", base / "catalog", "--out", folder, *SMALL)
    answers = tmp_path / "answers.csv"
    answers.write_text(f"user,item,answer\n{user},{item},{answer}\n")
    run("label", folder, answers)
    iri = run("retrain", folder, "--no-measure")["graph"]
    opened = Run.open(folder)
    with opened.catalog.store() as store:
        assert recorded_rounds(store, run=opened.name) == [1]
        assert store.count(iri) > 0


def test_report_is_one_file_with_every_section(base, tmp_path):
    out = tmp_path / "report.html"
    run("report", base / "run", "--out", out)
    page = out.read_text()
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert {"The catalog", "Recommendations, explained", "Model card", "Settings"} <= set(heads)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_settings_come_from_flag_file_and_default(base, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[hybrid.training]\nepochs = 7\nbatch_size = 64\n")
    words = ("train", base / "catalog", "--config", config, "--epochs", "2", "--print-config")
    rows = {row["key"]: row for row in run(*words)["config"]}
    assert (rows["hybrid.training.epochs"]["value"], rows["hybrid.training.epochs"]["origin"]) == (
        2,
        "flag --epochs",
    )
    assert rows["hybrid.training.batch_size"]["origin"] == "file config.toml"
    assert rows["hybrid.encoder.depth"]["origin"] == "default"


def test_a_catalog_without_interactions_still_finds_neighbours(made, tmp_path):
    words = ("--schema", made.schema, "--out", tmp_path / "catalog")
    run("ingest", made.inputs[0], *words)
    told = run("train", tmp_path / "catalog", "--out", tmp_path / "run", *SMALL)
    assert told["parts"] == []
    cold = made.cold_items.read_text().split()[0]
    near = run("similar", tmp_path / "run", "--item", cold, "-k", "3")["similar"]
    model = Run.open(tmp_path / "run").model
    item = model.graph.items.vocabulary.find(cold)
    trained = model.encoder  # where three epochs found more than the kernel
    assert told["similar_by"] == ("encoder" if trained else "graph kernel")
    compare = by_cosine(trained.item_vectors) if trained else by_kernel(model.data)
    alike = compare(np.array([item]))[0]
    alike[item] = -np.inf
    assert [row["similarity"] for row in near] == pytest.approx(np.sort(alike)[::-1][:3].tolist())
    assert near[0]["similar"] == model.graph.items.vocabulary[int(alike.argmax())]
    for words in (("evaluate",), ("recommend",), ("acquire", "--budget", "5")):
        done = RUNNER.invoke(cli.app, [words[0], str(tmp_path / "run"), *words[1:]])
        assert done.exit_code in (3, 4), (words, done.output)
        assert "Traceback" not in done.stderr


def test_the_python_lines_of_the_readme_run(base, tmp_path):
    text = (ROOT / "README.md").read_text("utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "Recommender" in b)
    assert len([line for line in block.splitlines() if line.strip()]) <= 15
    for name in ("catalog", "catalog-2"):
        (tmp_path / name).symlink_to(base / "catalog")
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "model" / "LATEST").exists()
