"""ingest, dataset, schema infer, check and verify on small real files."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from command_line import RUNNER, run

from coldframe import cli
from coldframe.datasets.generated import generate_catalog
from coldframe.kg.catalog import Catalog
from coldframe.kg.files import read_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    made = generate_catalog(folder / "files", size="tiny")
    run("ingest", *made.inputs, "--schema", made.schema, "--out", folder / "catalog")
    return made, folder / "catalog"


def test_ingest_reports_what_was_read(generated, tmp_path):
    made, _ = generated
    report = run("ingest", *made.inputs, "--schema", made.schema, "--out", tmp_path / "catalog")
    assert {"triples", "duplicates", "nodes", "edges", "problems"} <= report.keys()
    assert report["nodes"]["plant"] == made.counts["items"]
    assert report["nodes"]["gardener"] == made.counts["users"]
    assert report["edges"]["rating"] == made.counts["events"]
    spoken = RUNNER.invoke(cli.app, ["check", str(tmp_path / "catalog")])
    assert f"{report['triples']:,} triples" in spoken.stdout


def test_ingest_twice_gives_the_same_and_replaces_only_when_told(generated, tmp_path):
    made, _ = generated
    words = ("ingest", *made.inputs, "--schema", made.schema, "--out", tmp_path / "catalog")
    first = run(*words)
    assert RUNNER.invoke(cli.app, [*map(str, words)]).exit_code == 4
    assert run(*words, "--replace") == first


def test_check_has_the_object_of_ingest(generated):
    _, catalog = generated
    found = run("check", catalog)
    assert {"triples", "duplicates", "nodes", "edges", "problems"} <= found.keys()
    for problem in found["problems"]:
        assert set(problem) == {"kind", "iri", "property", "where", "message", "count"}


def test_findings_are_counted_whole_and_shown_by_kind(tmp_path):
    (tmp_path / "schema.toml").write_text(
        'items = "item"\n[prefixes]\nex = "https://example.org/"\n'
        '[nodes.item]\nclass = "ex:Item"\nnumber.price = "ex:price"\ntext.title = "ex:titel"\n'
    )
    rows = [f':i{k} a :Item ; :price "cheap" , "dear" ; :title "t{k}" .' for k in range(150)]
    (tmp_path / "data.ttl").write_text("@prefix : <https://example.org/> .\n" + "\n".join(rows))
    words = ["ingest", tmp_path / "data.ttl", "--schema", tmp_path / "schema.toml", "--out"]
    report = run(*words, tmp_path / "catalog")
    assert report["totals"] == {"bad-number": 300, "unmatched": 1}
    assert sum(problem["count"] for problem in report["problems"]) == 301
    again = run("check", tmp_path / "catalog")
    assert again["totals"]["bad-number"] == 300
    spoken = RUNNER.invoke(cli.app, [*map(str, words), str(tmp_path / "spoken")]).stdout
    assert "301 findings: 300 bad-number, 1 unmatched" in spoken
    assert spoken.count("  bad-number: ") == 3
    assert "... and 297 more bad-number" in spoken
    assert "unmatched:" in spoken
    assert "https://example.org/title" in spoken.partition("does not use")[2]


def test_check_strict_and_shapes(generated, tmp_path):
    _, catalog = generated
    shapes = tmp_path / "shapes.ttl"
    shapes.write_text(
        "@prefix sh: <http://www.w3.org/ns/shacl#> .\n"
        "@prefix seed: <https://seeds.example.org/vocabulary/> .\n"
        "[] a sh:NodeShape ; sh:targetClass seed:Plant ;\n"
        "   sh:property [ sh:path seed:nothingHasThis ; sh:minCount 1 ] .\n"
    )
    found = run("check", catalog, "--shapes", shapes)
    assert "shape" in {problem["kind"] for problem in found["problems"]}
    words = ["check", str(catalog), "--shapes", str(shapes), "--strict"]
    assert RUNNER.invoke(cli.app, words).exit_code == 3


def test_a_drafted_schema_ingests(generated, tmp_path):
    made, _ = generated
    draft = tmp_path / "draft.toml"
    run("schema", "infer", *made.inputs, "--out", draft)
    report = run("ingest", *made.inputs, "--schema", draft, "--out", tmp_path / "catalog")
    assert report["nodes"]["plant"] == made.counts["items"]
    again = RUNNER.invoke(cli.app, ["schema", "infer", str(made.inputs[0]), "-o", str(draft)])
    assert again.exit_code == 4  # a draft that was trimmed by hand is not written over


def test_dataset_reads_a_folder_in_the_kgat_layout(tmp_path):
    folder = tmp_path / "kgat"
    folder.mkdir()
    (folder / "train.txt").write_text("0 0 1\n1 1 2\n")
    (folder / "test.txt").write_text("0 2\n1 0\n")
    (folder / "kg_final.txt").write_text("0 0 3\n1 0 3\n2 1 4\n")
    report = run("dataset", "kgat", "--from", folder, "--out", tmp_path / "catalog")
    assert sum(report["nodes"].values()) >= 5
    names = [row["name"] for row in run("dataset", "list")["datasets"]]
    assert {"movielens-1m", "kgat", "atomic"} <= set(names)


def test_dataset_options_are_checked(tmp_path):
    (tmp_path / "kgat").mkdir()
    words = ["dataset", "kgat", "--from", tmp_path / "kgat", "--out", tmp_path / "c"]
    done = RUNNER.invoke(cli.app, [*map(str, words), "--option", "naem=x"])
    assert done.exit_code == 2
    assert "did you mean 'name'" in done.stderr


def test_verify_finds_a_changed_byte(generated, tmp_path):
    made, catalog = generated
    assert run("verify", catalog)["ok"] is True
    copy = tmp_path / "catalog"
    run("ingest", *made.inputs, "--schema", made.schema, "--out", copy)
    victim = max((copy / "cache").rglob("*.arrow"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    done = RUNNER.invoke(cli.app, ["verify", str(copy), "--json"])
    assert done.exit_code == 4
    found = json.loads(done.stdout)
    assert found["error"]["kind"] == "integrity"
    assert [check["ok"] for check in found["checks"]].count(False) == 1
    spoken = RUNNER.invoke(cli.app, ["verify", str(copy)])
    assert spoken.exit_code == 4
    assert "1 of" in spoken.stderr


def test_sparql_fills_the_store_at_the_first_question(generated, tmp_path):
    made, _ = generated
    catalog = tmp_path / "catalog"
    report = run("ingest", *made.inputs, "--schema", made.schema, "--out", catalog)
    assert not list((catalog / "store").iterdir())
    count = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
    found = run("sparql", catalog, count)
    assert found == {"columns": ["n"], "count": 1, "rows": [{"n": str(report["triples"])}]}
    assert (catalog / "store" / "filled.json").exists()
    assert run("verify", catalog)["ok"]
    everything = "SELECT ?s ?o { ?s a ?o }"
    spoken = RUNNER.invoke(cli.app, ["sparql", str(catalog), everything])
    assert "more; --out FILE writes all" in spoken.stdout
    said = run("sparql", catalog, everything, "--out", tmp_path / "rows.parquet")
    assert len(read_table(tmp_path / "rows.parquet")) == said["count"] > 50
    assert RUNNER.invoke(cli.app, ["sparql", str(catalog), "ASK {}"]).exit_code == 2
    with Catalog.open(catalog).store():
        assert RUNNER.invoke(cli.app, ["verify", str(catalog)]).exit_code == 4
        assert "in use" in RUNNER.invoke(cli.app, ["sparql", str(catalog), count]).stderr
    (catalog / "store" / "filled.json").write_text('{"statements": 1000000}')
    lost = RUNNER.invoke(cli.app, ["verify", str(catalog)])
    assert (lost.exit_code, "1000000 statements" in lost.stderr) == (4, True)


def test_a_catalog_of_tables_is_exported_and_read_again(tmp_path):
    (tmp_path / "items.csv").write_text("id,colour\n1,red\n2,blue\n", "utf-8")
    schema = tmp_path / "schema.toml"
    schema.write_text(
        '[nodes.item]\niri = "urn:i:{}"\ncategory.colour = "urn:colour"\n'
        '[tables.items]\nnodes = "item"\nid = "id"\ncolumns.colour = "colour"\n'
    )
    run("ingest", tmp_path / "items.csv", "--schema", schema, "--out", tmp_path / "one")
    out = tmp_path / "one.nq"
    assert run("export", tmp_path / "one", "--out", out)["statements"] == 4
    told = run("ingest", out, "--schema", schema, "--out", tmp_path / "two")
    assert (told["triples"], told["nodes"]) == (4, {"item": 2, "user": 0})
    failed = run("export", tmp_path / "one", "--out", tmp_path / "one.ttl", code=2)
    assert ".nq" in failed["error"]["hint"]


def test_the_readme_example_reads_tables(tmp_path, monkeypatch):
    """The schema of the README, on the tables that it speaks of."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text("utf-8")
    schema = next(b for b in re.findall(r"```toml\n(.*?)```", text, re.S) if "[tables." in b)
    Path("schema.toml").write_text(schema)
    Path("products.csv").write_text(
        "sku,name,description,price,brand\nA1,Spade,digs,9.5,Oak\nB2,Rake,rakes,7,Oak\n"
    )
    Path("orders.csv").write_text("customer,sku\nann,A1\nben,A1\nben,B2\n")
    report = run("ingest", "products.csv", "orders.csv", "--schema", "schema.toml", "--out", "out")
    assert report["nodes"] == {"product": 2, "brand": 1, "customer": 2}
    assert report["edges"]["order"] == 3
    drafted = run("schema", "infer", "products.csv", "orders.csv")["schema"]
    assert "[tables." in drafted


def manifest(catalog: Path) -> dict:
    return json.loads((catalog / "manifest.json").read_text())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_manifest_names_every_input_with_its_hash(generated, tmp_path):
    made, catalog = generated
    found = manifest(catalog)
    assert {path: digest for path, digest, _ in found["inputs"]} == {
        str(path): sha256(path) for path in made.inputs
    }
    assert found["versions"].keys() >= {"coldframe", "python", "pyarrow", "pyoxigraph"}
    schema, items = tmp_path / "schema.toml", tmp_path / "items.csv"
    schema.write_text(
        'users = "user"\nitems = "item"\n[nodes.user]\niri = "https://x.example/u/{}"\n'
        '[nodes.item]\niri = "https://x.example/i/{}"\n'
        '[tables.items]\nfile = "items.csv"\nnodes = "item"\nid = "id"\n'
    )
    items.write_text("id\n1\n2\n")
    run("ingest", items, "--schema", schema, "--out", tmp_path / "tables")
    assert manifest(tmp_path / "tables")["inputs"] == [[str(items), sha256(items), 0]]
    facts = tmp_path / "facts.nt"
    facts.write_text("<https://x.example/i/1> <https://x.example/is> <https://x.example/red> .\n")
    run("ingest", items, facts, "--schema", schema, "--out", tmp_path / "both")
    assert manifest(tmp_path / "both")["inputs"] == [
        [str(facts), sha256(facts), 1],
        [str(items), sha256(items), 0],
    ]


def test_a_data_set_names_the_files_it_was_read_from(tmp_path):
    folder = tmp_path / "kgat"
    folder.mkdir()
    (folder / "train.txt").write_text("0 0 1\n1 1 2\n")
    (folder / "kg_final.txt").write_text("0 0 3\n1 0 3\n2 1 4\n")
    (folder / "other.txt").write_text("nobody reads this")
    run("dataset", "kgat", "--from", folder, "--out", tmp_path / "catalog")
    inputs = {path: digest for path, digest, _ in manifest(tmp_path / "catalog")["inputs"]}
    read = [folder / "train.txt", folder / "kg_final.txt"]
    assert inputs == {str(path): sha256(path) for path in read}


def test_limits_and_base_of_the_reader_come_from_flags(tmp_path):
    schema, deep = tmp_path / "schema.toml", tmp_path / "deep.ttl"
    schema.write_text('[nodes.item]\nclass = "ex:Thing"\n[prefixes]\nex = "https://e.org/"\n')
    deep.write_text(f'<a> a <Thing> ; <said> "{"x" * 5000}" .')
    words = ["ingest", str(deep), "--schema", str(schema), "--out", str(tmp_path / "c"), "--json"]
    refused = RUNNER.invoke(cli.app, words)
    assert refused.exit_code == 3
    assert "--base-iri" in json.loads(refused.stdout)["error"]["hint"]
    words += ["--base-iri", "https://e.org/"]
    short = RUNNER.invoke(cli.app, [*words, "--limit", "statement_bytes=4K"])
    assert short.exit_code == 3
    assert "statement_bytes" in json.loads(short.stdout)["error"]["hint"]
    assert run(*words, "--limit", "statement_bytes=8K")["nodes"]["item"] == 1
    (tmp_path / "shapes.ttl").write_text("<a> a <b> .")
    for flags in (["--limit", "nestin=3"], ["--limit", "nesting=0"], ["--base-iri", "no iri"]):
        assert RUNNER.invoke(cli.app, [*words[:-3], *flags]).exit_code == 2
        assert RUNNER.invoke(cli.app, ["check", str(tmp_path / "c"), *flags]).exit_code == 2


def test_a_query_has_a_hard_time_limit(generated):
    _, catalog = generated
    cross = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"
    done = RUNNER.invoke(cli.app, ["sparql", str(catalog), cross, "--timeout", "1", "--json"])
    assert done.exit_code == 5
    assert "longer than 1 seconds" in json.loads(done.stdout)["error"]["message"]


def test_the_schema_graph_is_drawn_as_svg_and_png(generated, tmp_path):
    _, catalog = generated
    for suffix, start in ((".svg", b"<svg"), (".png", b"\x89PNG")):
        path = tmp_path / f"schema{suffix}"
        told = run("schema", "draw", catalog, "--out", path)
        assert told == {"path": str(path), "types": 7, "relations": 9}
        assert path.read_bytes().startswith(start)
    done = RUNNER.invoke(cli.app, ["schema", "draw", str(catalog), "--out", "schema.jpg"])
    assert done.exit_code == 2
