"""The loaders on small folders made here: right content, and one clear error per broken file."""

from __future__ import annotations

import contextlib
import doctest
import gzip
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.datasets import dbpedia, titles
from coldframe.datasets.facts import Facts, merge_inverses
from coldframe.datasets.raw_files import locate, read_bytes, read_columns, read_records
from coldframe.datasets.registry import ALIASES, DATASETS, load_dataset
from coldframe.datasets.titles import decade_of, people, readable_title, year_of
from coldframe.kg.errors import ColdframeError, DataError, ParseError, UsageError
from coldframe.kg.graph import Graph
from coldframe.kg.tables import graph_from_tables


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, "utf-8")
    return folder


def graph_of(name: str, folder: Path, **options: object) -> Graph:
    graph, report = graph_from_tables(*load_dataset(name, folder, **options))
    assert not report.problems
    return graph


KGAT = {
    "train__txt": "0 0 1 2\n1 1 2\n2 3\n\n",
    "test__txt": "0 3\n1 0 0\n",
    "kg_final__txt": "0 0 4\n1 0 4\n2 1 5\n3 1 6\n0 0 4\n",
}
ATOMIC = {
    "toy__inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "a\tx\t5\t100\na\ty\t2\t200\nb\tx\t4\t300\nb\tz\t1\t400\n",
    "toy__item": "item_id:token\tname:token_seq\tprice:float\tvector:float_seq\n"
    "x\tRed Rose\t1.5\t1 2\ny\tBlue Flax\t\t3 4\nw\tIris\t2\t5 6\n",
    "toy__user": "user_id:token\tcity:token\na\tRome\nb\tOslo\n",
    "toy__link": "item_id:token\tentity_id:token\nx\tm.1\ny\tm.2\n",
    "toy__kg": "head_id:token\trelation_id:token\ttail_id:token\n"
    "m.1\tmaker\tm.9\nm.2\tmaker\tm.9\n",
}


class TestKgat:
    def test_reads(self, tmp_path: Path) -> None:
        graph = graph_of("kgat", write(tmp_path / "toy", **KGAT))
        assert (graph.n_users, graph.n_items, len(graph.interactions)) == (3, 4, 9)
        assert len(graph.nodes["entity"]) == 3
        assert {name: len(e) for (_, name, _), e in graph.edges.items()} == {
            "relation-0": 2,
            "relation-1": 2,
        }
        train = graph.interactions.in_split("train")
        assert train.sum() == 6
        assert graph.name == "toy"
        assert "https://example.org/toy/item/3" in graph.items.vocabulary

    def test_a_large_id_costs_no_more_than_a_small_one(self, tmp_path: Path) -> None:
        files = KGAT | {"train__txt": KGAT["train__txt"] + "3 99999999\n"}
        graph = graph_of("kgat", write(tmp_path / "toy", **files))
        assert "https://example.org/toy/item/99999999" in graph.items.vocabulary
        assert graph.n_items == 8, "each integer that stands somewhere, up to the largest"

    def test_lists_give_original_ids(self, tmp_path: Path) -> None:
        files = KGAT | {
            "item_list__txt": "org_id remap_id freebase_id\nB00 0 m.0\nB01 1 m.1\nB02 2 m.2\nB03 3 m.3\n",
            "relation_list__txt": "org_id remap_id\nhttp://x.org/genre 0\nhttp://x.org/maker 1\n",
            "entity_list__txt": "org_id remap_id\nm.0 0\nm.1 1\nm.2 2\nm.3 3\nm.44 4\nm.55 5\nm.66 6\n",
        }
        graph = graph_of("kgat", write(tmp_path, **files), base="https://shop.org/")
        assert "https://shop.org/item/B03" in graph.items.vocabulary
        assert "http://rdf.freebase.com/ns/m.44" in graph.nodes["entity"].vocabulary
        assert {name for _, name, _ in graph.edges} == {"genre", "maker"}

    def test_a_relation_that_copies_the_interactions_is_left_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        rng = np.random.default_rng(0)
        likes = [sorted(rng.choice(30, 6, replace=False).tolist()) for _ in range(12)]
        lines = "".join(f"{u} {' '.join(map(str, row))}\n" for u, row in enumerate(likes))
        copies = [f"{100 + u} 1 {i}" for u, row in enumerate(likes) for i in row]
        genres = [f"{i} 0 {50 + i % 5}" for i in range(30)]
        for number, triples in enumerate([copies, [" ".join(c.split()[::-1]) for c in copies]]):
            text = "\n".join([*genres, *triples]) + "\n"
            folder = write(tmp_path / str(number), train__txt=lines, kg_final__txt=text)
            graph = graph_of("kgat", folder)
            assert {name for _, name, _ in graph.edges} == {"relation-0"}
            assert "copies the interactions" in caplog.text

    def test_a_relation_that_copies_the_tests_is_left_out(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        likes = [rng.choice(30, 6, replace=False).tolist() for _ in range(12)]
        files = {
            f"{name}__txt": "".join(
                f"{u} {' '.join(map(str, row[part]))}\n" for u, row in enumerate(likes)
            )
            for name, part in (("train", slice(4)), ("test", slice(4, 6)))
        }
        copies = [f"{100 + u} 1 {i}" for u, row in enumerate(likes) for i in row[4:]]
        genres = [f"{i} 0 {50 + i % 5}" for i in range(30)]
        folder = write(tmp_path, **files, kg_final__txt="\n".join([*genres, *copies]) + "\n")
        assert {name for _, name, _ in graph_of("kgat", folder).edges} == {"relation-0"}

    def test_blanks_in_ids_and_at_the_ends_of_lines(self, tmp_path: Path) -> None:
        files = KGAT | {
            "kg_final__txt": "0\t0 4 \n1 0 4\r\n\n2 1 5\n",
            "entity_list__txt": "org_id remap_id\nLas Vegas, NV 4\nB 5\n",
        }
        graph = graph_of("kgat", write(tmp_path, **files), base="https://x.org/")
        assert "https://x.org/entity/Las%20Vegas%2C%20NV" in graph.nodes["entity"].vocabulary
        assert sum(len(e) for e in graph.edges.values()) == 3

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({"train__txt": "0 1\n0 x\n"}, "train.txt:2"),
            ({"train__txt": "\n", "test__txt": ""}, "no interactions"),
            ({"kg_final__txt": "0 0 4\n1 0\n"}, "kg_final.txt"),
            ({"item_list__txt": "a b\n"}, "item_list.txt:1"),
            ({"item_list__txt": "org_id remap_id\nB00\n"}, "item_list.txt:2"),
        ],
    )
    def test_broken(self, tmp_path: Path, files: dict[str, str], words: str) -> None:
        with pytest.raises(DataError) as error:
            load_dataset("kgat", write(tmp_path, **(KGAT | files)))
        assert words in str(error.value)


class TestAtomic:
    def test_reads(self, tmp_path: Path) -> None:
        graph = graph_of("atomic", write(tmp_path / "toy", **ATOMIC))
        assert (graph.n_users, graph.n_items, len(graph.interactions)) == (2, 4, 4)
        items = graph.items
        x = items.vocabulary.find("x")
        assert items.texts["name"][x] == "Red Rose"
        assert items.numbers["price"][x] == 1.5
        assert np.isnan(items.numbers["price"][items.vocabulary.find("y")])
        assert "vector" not in items.numbers
        assert graph.users.categories["city"].names == ("Oslo", "Rome")
        assert (graph.interactions.label == (graph.interactions.rating >= 4)).all()
        assert len(graph.edges["item", "maker", "entity"]) == 2

    @pytest.mark.parametrize(("positive", "count"), [("none", 4), (2, 3), ("5", 1), ("auto", 2)])
    def test_threshold(self, tmp_path: Path, positive: object, count: int) -> None:
        graph = graph_of("atomic", write(tmp_path, **ATOMIC), positive=positive)
        assert int(graph.interactions.label.sum()) == count

    def test_users_and_items_are_found_where_other_columns_stand_first(
        self, tmp_path: Path
    ) -> None:
        files = {
            "t__inter": "review_id:token\tuser_id:token\tbusiness_id:token\tstars:float\tuseful:float\tdate:float\n"
            "r1\ta\tx\t5\t0\t100\nr2\ta\ty\t2\t1\t200\nr3\tb\tx\t4\t0\t300\n",
            "t__item": "business_id:token\titem_name:token_seq\nx\tPizza Place\ny\tBar\n",
        }
        folder = write(tmp_path, **files)
        graph = graph_of("atomic", folder)
        assert [name[-1] for name in graph.users.vocabulary] == ["a", "b"]
        assert [name[-1] for name in graph.items.vocabulary] == ["x", "y"]
        assert graph.interactions.rating.tolist() == [5, 2, 4]
        assert graph.interactions.time.tolist() == [100, 200, 300]
        assert graph.interactions.label.tolist() == [1, 0, 1]
        chosen = graph_of("atomic", folder, user="review_id", rating="useful", positive=1)
        assert chosen.n_users == 3
        assert chosen.interactions.rating.tolist() == [0, 1, 0]
        for wrong, words in (
            ({"item": "busines_id"}, "did you mean"),
            ({"user": "business_id"}, "and of"),
        ):
            with pytest.raises(UsageError, match=words):
                load_dataset("atomic", folder, **wrong)

    def test_eleven_ratings_from_nothing_to_ten_have_a_threshold(self, tmp_path: Path) -> None:
        rows = "".join(f"u{k}\tb{k % 3}\t{k}\n" for k in range(11))
        folder = write(tmp_path, t__inter=f"user_id:token\titem_id:token\trating:float\n{rows}")
        assert graph_of("atomic", folder).interactions.label.sum() == 3

    def test_values_may_be_parted_by_commas_and_titles_of_common_words_are_texts(
        self, tmp_path: Path
    ) -> None:
        rows = "".join(f"i{k}\tFast Food, Bars\tThe Red Book of {k}\n" for k in range(20))
        files = {
            "t__inter": "user_id:token\titem_id:token\n1\ti0\n",
            "t__item": f"item_id:token\tkinds:token_seq\tbook_title:token_seq\n{rows}",
        }
        graph = graph_of("atomic", write(tmp_path, **files))
        assert sorted(graph.nodes["kinds"].titles) == ["Bars", "Fast Food"]
        assert graph.items.texts["book_title"][0].startswith("The Red Book")

    def test_labels_that_are_no_numbers_are_named(self, tmp_path: Path) -> None:
        inter = "u:token\ti:token\tlabel:float\na\tx\tyes\nb\tx\tno\n"
        with pytest.raises(DataError, match=r"'label' holds '(yes|no)'"):
            load_dataset("atomic", write(tmp_path, t__inter=inter))

    def test_lists_of_values_become_nodes(self, tmp_path: Path) -> None:
        rows = "".join(
            f"i{k}\t{'tall' if k % 2 else 'low'} {'red' if k % 3 else 'blue'}\n" for k in range(20)
        )
        files = {
            "t__inter": "u:token\ti:token\n1\ti0\n",
            "t__item": f"i:token\titem:token_seq\n{rows}",
        }
        graph = graph_of("atomic", write(tmp_path, **files))
        assert len(graph.nodes["item_item"]) == 4
        assert len(graph.edges["item", "item_item", "item_item"]) == 40

    def test_plain_gz_and_zip_are_the_same(self, tmp_path: Path) -> None:
        plain = graph_of("atomic", write(tmp_path / "plain" / "toy", **ATOMIC))
        packed, zipped = tmp_path / "gz" / "toy", tmp_path / "zip" / "toy"
        packed.mkdir(parents=True)
        zipped.mkdir(parents=True)
        for name, text in ATOMIC.items():
            name = name.replace("__", ".")
            (packed / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
            with zipfile.ZipFile(zipped / f"{name}.zip", "w") as archive:
                archive.writestr(name, text)
        for folder in (packed, zipped):
            other = graph_of("atomic", folder)
            assert other.items.vocabulary == plain.items.vocabulary
            assert other.items.titles == plain.items.titles
            assert np.array_equal(other.interactions.item, plain.interactions.item)

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({"toy__inter": "user_id\titem_id\n1\t2\n"}, "is not name:type"),
            ({"toy__inter": "a:token\tb:tokne\n1\t2\n"}, "types: token"),
            ({"toy__inter": "a:token\ta:token\n1\t2\n"}, "toy.inter:1"),
            ({"toy__inter": "a:token\n1\n"}, "a user and an item column"),
            ({"toy__inter": "a:token\tb:token\n1\n"}, "toy.inter"),
            ({"toy__inter": ""}, "empty"),
            ({"more__inter": ATOMIC["toy__inter"]}, "several data sets"),
            ({"more__item": ATOMIC["toy__item"]}, "several *.item"),
        ],
    )
    def test_broken(self, tmp_path: Path, files: dict[str, str], words: str) -> None:
        with pytest.raises(DataError) as error:
            load_dataset("atomic", write(tmp_path, **(ATOMIC | files)))
        assert words in str(error.value)

    def test_a_kg_without_links_is_named(self, tmp_path: Path) -> None:
        files = {name: text for name, text in ATOMIC.items() if name != "toy__link"}
        with pytest.raises(DataError, match=r"no \*.link"):
            load_dataset("atomic", write(tmp_path, **files))


class TestMovieLens1M:
    def test_the_original_files_alone(self, tmp_path: Path) -> None:
        files = {
            "users__dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
            "movies__dat": "1::Toy Story (1995)::Animation|Comedy\n2::Heat::Action\n",
            "ratings__dat": "1::1::5::978300760\n2::2::3::978302109\n",
        }
        graph = graph_of("movielens-1m", write(tmp_path, **files))
        assert (graph.n_users, graph.n_items, len(graph.interactions)) == (2, 2, 2)
        assert sorted(graph.interactions.time) == [978300760, 978302109]
        assert set(graph.interactions.split) == {-1}
        assert graph.items.numbers["year"][graph.items.vocabulary.find("1")] == 1995


class TestRetail:
    def test_reads(self, tmp_path: Path) -> None:
        text = (
            "- {id: a, name: Cup, price: 2.5, style: mug, category: home}\n- {id: b, name: Pot}\n"
        )
        graph = graph_of("retail", write(tmp_path, products__yaml=text))
        assert graph.n_items == 2
        assert graph.items.titles == ("Cup", "Pot")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a: [", "not YAML"),
            ("a: 1", "expected a list"),
            ("- {id: a}", "record 1"),
            ("- {id: a, name: [1, 2]}", "record 1: name"),
            ("- !!python/object/apply:os.getcwd []", "not YAML"),
        ],
    )
    def test_broken(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(ParseError) as error:
            load_dataset("retail", write(tmp_path, products__yaml=text))
        assert words in str(error.value)


class TestRegistry:
    def test_a_folders_name_is_an_alias_and_no_second_entry(self, tmp_path: Path) -> None:
        folder = write(tmp_path, products__yaml="- {id: a, name: Cup}\n")
        both = [load_dataset(name, folder)[0] for name in ("retail", "retail-catalog")]
        assert both[0]["products"].equals(both[1]["products"])
        assert set(ALIASES.values()) <= set(DATASETS)
        assert not set(ALIASES) & set(DATASETS)

    def test_wrong_names(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="did you mean 'movielens-1m'"):
            load_dataset("movielens1m", tmp_path)
        with pytest.raises(UsageError, match="did you mean 'positive'"):
            load_dataset("atomic", tmp_path, positve=3)
        with pytest.raises(UsageError, match="it has none"):
            load_dataset("retail", tmp_path, positive=3)
        with pytest.raises(DataError, match="no such folder"):
            load_dataset("kgat", tmp_path / "nowhere")
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("movielens-100k", {"cast": "5"}),
            ("movielens-100k", {"cast": True}),
            ("movielens-1m", {"freebase": 1}),
            ("atomic", {"positive": None}),
        ]
        for name, options in wrong:
            with pytest.raises(UsageError, match="expected"):
                load_dataset(name, tmp_path, **options)

    @pytest.mark.parametrize("name", sorted(DATASETS))
    def test_an_empty_folder_is_named(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DataError) as error:
            load_dataset(name, tmp_path)
        assert str(tmp_path) in str(error.value)


class TestRawFiles:
    def test_archives_are_bounded_and_checked(self, tmp_path: Path) -> None:
        (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 5000))
        with pytest.raises(ParseError, match="more than 100 bytes"):
            read_bytes(locate(tmp_path, "a"), 100)
        (tmp_path / "b.gz").write_bytes(gzip.compress(b"x" * 5000)[:-20])
        (tmp_path / "c.gz").write_bytes(b"no gzip")
        (tmp_path / "d.zip").write_bytes(b"no zip")
        for name in "bcd":
            with pytest.raises(ParseError, match="broken archive"):
                read_bytes(locate(tmp_path, name))
        with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
            archive.writestr("1", "")
            archive.writestr("2", "")
        with pytest.raises(ParseError, match="one file in the archive"):
            read_bytes(locate(tmp_path, "e"))

    @pytest.mark.parametrize("short", ["train.inter", "link", "kg"])
    def test_a_column_that_is_missing_is_a_named_error(self, tmp_path: Path, short: str) -> None:
        files = {f"{part}.inter": "a\tb\tc\n1\t2\t3\n" for part in ("train", "valid", "test")}
        files |= {"link": "a\tb\n1\t2\n", "kg": "a\tb\tc\n1\t2\t3\n"}
        for name, text in (files | {short: "a\n1\n"}).items():
            (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(ParseError, match=rf"{short}:1: expected at least"):
            load_dataset("lastfm-lightkg", tmp_path)

    def test_rows_and_encodings(self, tmp_path: Path) -> None:
        write(tmp_path, a__tsv='x\ty\n1\t"2\n', b__dat="1::2\n1::2::3\n")
        assert read_columns(tmp_path / "a.tsv").to_pydict() == {"x": ["1"], "y": ['"2']}
        with pytest.raises(ParseError, match=r"b\.dat:2"):
            read_records(tmp_path / "b.dat", 2)
        write(tmp_path, d__tsv="x\ty\n1\t2\n1\n")
        with pytest.raises(ParseError, match=r"d\.tsv:3"):
            read_columns(tmp_path / "d.tsv")
        (tmp_path / "c.dat").write_bytes("1::é\n".encode("latin-1"))
        with pytest.raises(ParseError, match=r"c\.dat:1: not utf-8"):
            read_records(tmp_path / "c.dat", 2)
        assert read_records(tmp_path / "c.dat", 2, encoding="latin-1") == [["1", "é"]]

    @given(st.binary(max_size=200))
    def test_any_bytes_are_rows_or_a_named_error(self, tmp_path_factory, data: bytes) -> None:  # type: ignore[no-untyped-def]
        path = tmp_path_factory.mktemp("raw") / "t.inter"
        path.write_bytes(data)
        with contextlib.suppress(ColdframeError):
            load_dataset("atomic", path.parent)


def test_titles() -> None:
    for module in (titles, dbpedia):
        assert doctest.testmod(module).failed == 0
    assert readable_title("Usual Suspects, The (1995)") == "The Usual Suspects (1995)"
    assert readable_title("Enfer, L' (1994)") == "L'Enfer (1994)"
    assert readable_title("Me, Myself, I") == "Me, Myself, I"
    assert year_of("Seven (a.k.a. Se7en) (1995)") == "1995"
    assert year_of("1984") is None
    assert decade_of("1995") == "1990s"
    assert decade_of("V") is None
    assert people("A B (novel (first, of two)), C, A B (play), N/A, ") == ["A B", "C"]


def facts_of(rows: list[tuple[str, str, str]]) -> Facts:
    columns = zip(*rows, strict=True)
    return Facts.from_table(pa.table(dict(zip("hrt", map(list, columns), strict=True))))


class TestFacts:
    def test_inverses_are_merged_from_the_items_outwards(self) -> None:
        made = [(f"p{k}", "made_by", f"m{k % 3}") for k in range(9)]
        makes = [(tail, "makes", head) for head, _, tail in made]
        other = [("m0", "partner", "m1"), ("m1", "partner", "m0")]
        items = {f"p{k}": f"urn:p{k}" for k in range(9)}
        merged, names = merge_inverses(facts_of(makes + made + other), items)
        assert names == {"makes": "made_by"}
        assert len(merged) == len(made) + len(other)

    def test_a_few_facts_or_a_partial_overlap_are_no_inverse(self) -> None:
        few = [(f"p{k}", "a", "x") for k in range(4)]
        few += [(tail, "b", head) for head, _, tail in few]
        assert merge_inverses(facts_of(few), {})[1] == {}
        half = [(f"p{k}", "directed", f"d{k}") for k in range(10)]
        half += [(f"d{k}", "wrote", f"p{k + 5}") for k in range(10)]
        assert merge_inverses(facts_of(half), {})[1] == {}

    def test_nothing_goes_into_a_relation_that_was_turned_round(self) -> None:
        made = [(f"p{k}", "made", f"p{(k + 1) % 9}") for k in range(9)]
        makes = [(tail, "makes", head) for head, _, tail in made]
        again = [(head, "again", tail) for head, _, tail in made[:6]]
        merged, names = merge_inverses(facts_of(made + makes + again), {})
        assert names == {"makes": "made"}
        assert np.bincount(merged.relation, minlength=3).tolist() == [9, 0, 6]

    def test_repeats_are_dropped(self) -> None:
        assert len(facts_of([("a", "r", "b"), ("a", "r", "b"), ("b", "r", "a")])) == 2

    @given(
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5)),
            min_size=1,
            max_size=80,
        )
    )
    def test_merging_loses_no_link(self, rows: list[tuple[int, int, int]]) -> None:
        facts = facts_of([(f"n{h}", f"r{r}", f"n{t}") for h, r, t in rows])
        merged, names = merge_inverses(facts, {"n0": "urn:0"})
        assert not set(names) & set(names.values())
        before = {
            frozenset((facts.terms[h], facts.terms[t]))
            for h, t in zip(facts.head, facts.tail, strict=True)
        }
        after = {
            frozenset((merged.terms[h], merged.terms[t]))
            for h, t in zip(merged.head, merged.tail, strict=True)
        }
        assert before == after
        assert len(merged.distinct()) == len(merged) <= len(facts)
