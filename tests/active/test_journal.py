"""The journal: idempotent telling, bad rows named, and a fold with a stated rule."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.active import journal as journal_module
from coldframe.active.fold import fold
from coldframe.active.journal import Journal
from coldframe.active.repeats import Repeat, repeats
from coldframe.kg.errors import DataError, IntegrityError, ParseError, ResourceError
from coldframe.kg.person import Person
from coldframe.kg.vocabulary import TEXT, Aliases, Vocabulary

BASE = "https://e.org/"


def row(user, item, answer, **more):
    return {"user": user, "item": item, "answer": answer, **more}


@pytest.fixture
def journal(tmp_path):
    users = Vocabulary(f"{BASE}user/{k}" for k in range(4))
    items = Vocabulary(f"{BASE}item/{k}" for k in range(4))
    return Journal(tmp_path / "journal.jsonl", users=users, items=items)


def verdicts(journal, **options):
    table = fold(journal.records(), **options)
    short = lambda iri: int(iri.rsplit("/", 1)[1])  # noqa: E731
    return {
        (short(u), short(i)): label
        for u, i, label in zip(*(table[c].to_pylist() for c in ("user", "item", "label")))  # noqa: B905
    }


def test_answers_of_all_kinds_are_taken_in_and_ids_become_iris(journal):
    words = ["like", "dislike", "cannot tell", "skip", 1, "Yes", False, "0"]
    rows = [row(str(k % 4), str(k // 4), word) for k, word in enumerate(words)]
    report = journal.tell(rows, round=1)
    assert (report.accepted, report.repeated, report.blank, report.rejected) == (8, 0, 0, ())
    assert journal.records()[0].answer.user == f"{BASE}user/0"
    assert list(verdicts(journal).values()) == [1, 0, None, None, 1, 1, 0, 0]


def test_an_answer_by_an_iri_that_was_merged_away_is_kept_by_the_one_that_stands(tmp_path):
    other = Aliases(pa.array(["https://crm.org/ann"], TEXT), np.array([1]))
    users = Vocabulary.trusted(pa.array([f"{BASE}user/0", f"{BASE}user/1"], TEXT), other)
    journal = Journal(tmp_path / "journal.jsonl", users=users, items=Vocabulary([f"{BASE}item/0"]))
    assert journal.tell([row("https://crm.org/ann", "0", "like")], round=1).accepted == 1
    assert journal.records()[0].answer.user == f"{BASE}user/1"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_says_the_same(journal, tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    rows = [row("0", "1", "like"), row(f"{BASE}user/1", "2", "dislike"), row("2", "2", "")]
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    else:
        mark = "," if suffix == "csv" else "\t"
        path.write_text(
            "".join(mark.join(line) + "\n" for line in [list(rows[0]), *(r.values() for r in rows)])
        )
    report = journal.tell(path, round=3)
    assert (report.accepted, report.blank) == (2, 1)
    assert verdicts(journal) == {(0, 1): 1, (1, 2): 0}
    assert {r.answer.round for r in journal.records()} == {3}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheet_may_part_cells_as_its_country_does(journal, tmp_path, end):
    path = tmp_path / "answers.csv"
    lines = ["user;item;answer;utility", "0;1;like;0,25", '1;2;"dislike";0,5', ""]
    path.write_text(end.join(lines), "utf-8-sig", newline="")
    assert journal.tell(path, round=1).accepted == 2
    assert verdicts(journal) == {(0, 1): 1, (1, 2): 0}


def test_decimals_of_a_country_are_refused_and_it_is_said_how_to_write_them(journal):
    (_, reason), (_, other) = journal.tell(
        [row("0", "0", "3,5"), row("0", "0", "a,5")], round=1
    ).rejected
    assert "with a point, as 3.5" in reason
    assert "point" not in other


def test_the_journal_does_not_repeat_what_was_asked(journal):
    question = {"title": "T", "utility": 1.0, "criterion.bald": 0.1, "cost": 2.0}
    journal.tell([row("0", "0", "like", **question, note="n")], round=1)
    assert journal.records()[0].answer.extra == {"note": "n"}


def test_telling_again_changes_nothing(journal):
    rows = [row("0", "0", "like"), row("1", "0", "dislike"), row("0", "0", "like")]
    assert journal.tell(rows, round=1).accepted == 2
    before = journal.path.read_bytes()
    again = journal.tell(rows, round=1)
    assert (again.accepted, again.repeated) == (0, 3)
    assert journal.path.read_bytes() == before


def test_bad_rows_are_named_by_line_and_good_ones_kept(journal, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(
        "user,item,answer,note\n"
        "0,0,like,a\n"
        "9,0,like,b\n"
        "0,77,like,c\n"
        "1,1,perhaps,d\n"
        "1,1,like\n"
        ",1,like,e\n"
        "\n"
        "2,2,dislike,f\n"
        "2,3,inf,g\n"
    )
    report = journal.tell(path, round=1)
    assert report.accepted == 2
    assert [line for line, _ in report.rejected] == [3, 4, 5, 6, 7, 10]
    reasons = " | ".join(reason for _, reason in report.rejected)
    assert "unknown user '9'" in reasons
    assert "perhaps" in reasons
    assert "3 cells, expected 4" in reasons
    assert journal.records()[0].answer.extra == {"note": "a"}


def test_one_very_long_cell_costs_no_other_row(journal, tmp_path):
    path = tmp_path / "answers.csv"
    long = "x" * 140_000
    path.write_text(f"user,item,answer\n1,{long},like\n1,1,like\n")
    limit = csv.field_size_limit()
    report = journal.tell(path, round=1)
    assert report.accepted == 1
    assert [(line, "longer" in reason) for line, reason in report.rejected] == [(2, True)]
    assert csv.field_size_limit() == limit


def test_a_missing_column_is_one_clear_error(journal, tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("user,thing,answer\n0,0,like\n")
    with pytest.raises(DataError, match="'item' is missing"):
        journal.tell(path, round=1)
    with pytest.raises(DataError, match="'answer' is missing"):
        journal.tell([{"user": "0", "item": "0"}], round=1)
    assert not journal.path.exists()


def test_a_missing_file_or_unknown_format_is_an_error(journal, tmp_path):
    with pytest.raises(ResourceError):
        journal.tell(tmp_path / "no.csv", round=1)
    (tmp_path / "x.jsonl").write_text("not json\n[1]\n")
    report = journal.tell(tmp_path / "x.jsonl", round=1)
    assert [line for line, _ in report.rejected] == [1, 2]
    (tmp_path / "x.parquet").write_text("not parquet")
    with pytest.raises(ParseError):
        journal.tell(tmp_path / "x.parquet", round=1)


def test_a_spreadsheets_quote_before_a_sign_is_taken_away(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    (tmp_path / "a.csv").write_text("user,item,answer\n'=u,'-i,like\n")
    journal.tell(tmp_path / "a.csv", round=1)
    assert journal.records()[0].answer.user == "=u"
    assert journal.records()[0].answer.item == "-i"


def test_the_last_answer_of_an_annotator_counts(journal):
    journal.tell([row("0", "0", "like", annotator="a")], round=1)
    journal.tell([row("0", "0", "dislike", annotator="a")], round=1)
    journal.tell([row("0", "0", "like", annotator="a")], round=1)  # a repeat: told late, not anew
    assert len(journal.records()) == 2
    assert verdicts(journal) == {(0, 0): 0}


def test_the_majority_of_annotators_counts_and_a_tie_cannot_tell(journal):
    votes = {"a": "like", "b": "like", "c": "dislike", "d": "cannot tell"}
    journal.tell([row("0", "0", vote, annotator=who) for who, vote in votes.items()], round=1)
    journal.tell(
        [row("1", "0", vote, annotator=who) for who, vote in votes.items() if who != "b"], round=1
    )
    assert verdicts(journal) == {(0, 0): 1, (1, 0): None}
    table = fold(journal.records())
    assert table["agreement"][0].as_py() == pytest.approx(2 / 3)
    assert table["annotators"].to_pylist() == [4, 3]


def test_trust_weighs_votes_and_can_leave_an_annotator_out(journal):
    votes = {"a": "like", "b": "dislike"}
    journal.tell([row("0", "0", vote, annotator=who) for who, vote in votes.items()], round=1)
    assert verdicts(journal, trust={"a": 0.2}) == {(0, 0): 0}
    assert verdicts(journal, trust={"b": 0.0}) == {(0, 0): 1}


def test_the_latest_round_counts(journal):
    journal.tell([row("0", "0", "like")], round=2)
    journal.tell([row("0", "0", "dislike")], round=1)
    assert verdicts(journal) == {(0, 0): 1}


def test_ratings_become_labels_by_the_threshold(journal):
    journal.tell([row("0", "0", 5), row("0", "1", "3.5")], round=1)
    assert verdicts(journal, positive=4) == {(0, 0): 1, (0, 1): 0}
    with pytest.raises(DataError, match="positive"):
        fold(journal.records())


def test_an_empty_journal_folds_to_no_rows(journal):
    assert fold(journal.records()).num_rows == 0
    assert journal.tell([], round=1).accepted == 0


def test_going_back_to_the_first_answer_counts(journal):
    journal.tell([row("0", "0", "like")], round=1)
    journal.tell([row("0", "0", "dislike")], round=1)
    back = [row("0", "0", "like"), row("1", "1", "like")]
    assert journal.tell(back, round=1).accepted == 2
    assert verdicts(journal)[0, 0] == 1
    again = journal.tell(back, round=1)
    assert (again.accepted, again.repeated, again.outdated) == (0, 2, 0)


def test_a_table_told_again_changes_nothing_and_says_what_was_changed_since(journal):
    first = [row("0", "0", "like"), row("1", "0", "like")]
    journal.tell(first, round=1)
    journal.tell([row("0", "0", "dislike")], round=1)
    for number in (1, 2):  # also when it names no round and another one has begun
        again = journal.tell(reversed(first), round=number)
        assert (again.accepted, again.repeated, again.outdated) == (0, 2, 1)
    assert verdicts(journal) == {(0, 0): 0, (1, 0): 1}


def test_a_table_with_changes_of_mind_ends_as_it_ends(journal):
    rows = [row("0", "0", word) for word in ("like", "dislike", "like")]
    assert journal.tell(rows, round=1).accepted == 3
    assert journal.tell(rows, round=1).repeated == 3
    assert verdicts(journal) == {(0, 0): 1}


def test_a_verdict_tells_when_its_last_answer_was_given_or_else_told(journal):
    rows = [
        row("0", "0", "like", time="2026-01-01T01:00+01:00", annotator="a"),
        row("0", "0", "like", time=0, annotator="b"),
        row("1", "1", "like"),
    ]
    assert journal.tell(rows, round=1).accepted == 3
    given, told = fold(journal.records())["time"].to_pylist()
    assert (given, told) == ("2026-01-01T00:00:00+00:00", journal.records()[2].time)


def test_a_table_may_hold_times_and_numbers_that_json_does_not_have(journal, tmp_path):
    given = datetime(2026, 1, 1, 9, tzinfo=UTC)
    table = pa.table(
        {"user": ["0"], "item": ["0"], "answer": ["like"], "time": [given], "fee": [Decimal("1.5")]}
    )
    pq.write_table(table, tmp_path / "answers.parquet")
    assert journal.tell(table, round=1).accepted == 1
    assert journal.tell(tmp_path / "answers.parquet", round=1).repeated == 1
    (record,) = journal.records()
    assert record.answer.extra == {"time": "2026-01-01 09:00:00+00:00", "fee": "1.5"}
    assert fold([record])["time"].to_pylist() == ["2026-01-01T09:00:00+00:00"]


@pytest.mark.parametrize(
    "times", [("2026-01-01", "2026-01-02T10:00", "2026-01-03T00:00:00+02:00"), (10, 20.5, "30")]
)
def test_the_time_of_an_answer_tells_a_change_from_a_repeat(journal, times):
    told = [
        row("0", "0", word, time=time)
        for word, time in zip(("like", "dislike", "like"), times, strict=True)
    ]
    for one in told:
        assert journal.tell([one], round=1).accepted == 1
    assert verdicts(journal) == {(0, 0): 1}
    assert journal.tell([*told, row("1", "1", "like", time=times[0])], round=1).accepted == 1
    assert verdicts(journal) == {(0, 0): 1, (1, 1): 1}


def test_what_was_given_earlier_and_told_late_does_not_count(journal):
    journal.tell([row("0", "0", "like", time="2026-02-01")], round=1)
    journal.tell([row("0", "0", "dislike", time="2026-01-01")], round=1)
    assert verdicts(journal) == {(0, 0): 1}
    beyond = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")  # in UTC
    for wrong in ("some day", "01/05/2024", "1717243200000", *beyond):
        report = journal.tell([row("0", "0", "dislike", time=wrong)], round=1)
        assert report.accepted == 0
        assert wrong in report.rejected[0][1]
    assert verdicts(journal) == {(0, 0): 1}


@pytest.mark.parametrize("late", ["dislike", "cannot tell"])
def test_what_was_given_earlier_and_told_in_a_later_round_does_not_count_either(journal, late):
    journal.tell([row("0", "0", "like", time="2026-02-01")], round=1)
    journal.tell([row("0", "0", late, time="2026-01-01")], round=2)
    assert verdicts(journal) == {(0, 0): 1}
    journal.tell([row("0", "0", "cannot tell", time="2026-02-03")], round=3)
    journal.tell([row("0", "0", "dislike", time="2026-02-02")], round=4)  # after the like
    assert verdicts(journal) == {(0, 0): 0}
    journal.roll_back(round=4)
    journal.roll_back(round=1)
    assert verdicts(journal) == {(0, 0): 0 if late == "dislike" else None}


def test_a_tie_is_one_whatever_the_last_digits_of_its_weights(journal):
    said = {"a": "like", "b": "like", "c": "dislike"}
    journal.tell([row("0", "0", word, annotator=who) for who, word in said.items()], round=1)
    assert verdicts(journal, trust={"a": 0.1, "b": 0.2, "c": 0.3}) == {(0, 0): None}


class NotATime(datetime):
    """As a data frame has it: a time that equals nothing, itself included."""

    def __ne__(self, other):
        return True


@pytest.mark.parametrize("blank", [float("nan"), np.float32("nan"), NotATime(1, 1, 1), None, ""])
def test_a_blank_cell_of_a_data_frame_is_none(journal, blank):
    rows = [row("0", "0", "like", time=blank, annotator=blank, round=blank, note=blank)]
    assert journal.tell(rows, round=1).accepted == 1
    again = journal.tell(rows, round=1)
    assert (again.accepted, again.repeated) == (0, 1)
    assert journal.records()[0].answer.extra == {}


def test_a_journal_that_noted_no_tables_is_not_told_twice(journal):
    journal.tell([row("0", "0", "like")], round=1)
    journal.tell([row("0", "0", "dislike")], round=1)
    bare = [replace(record, batch="", told=-1) for record in journal.records()]
    found = repeats(bare, [bare[0].answer], "another table")
    assert found == [Repeat.OUTDATED]


@pytest.mark.R(26)
def test_forgetting_takes_the_person_and_not_who_or_what_shares_her_id(tmp_path):
    user, item = "https://x.example/user/", "https://x.example/item/"
    told = [
        (f"{user}7", f"{item}1", "", ""), (f"{user}1", f"{item}7", "", "7 of 9"),
        (f"{user}1", f"{item}2", "7", ""), (f"{user}1", f"{item}3", "", f"like {user}7"),
        (f"{user}1", f"{item}4", "8", "7"),
    ]  # fmt: skip
    journal = Journal(tmp_path / "journal.jsonl")
    rows = [
        {"user": u, "item": i, "answer": "like", "annotator": a, "note": n} for u, i, a, n in told
    ]
    assert journal.tell(rows, round=1).accepted == 5
    assert journal.forget(Person.of([f"{user}7"], [f"{user}1"])) == 3
    assert [one.answer.item for one in journal.records()] == [f"{item}7", f"{item}4"]


@pytest.mark.R(26)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_forgetting_that_is_killed_leaves_a_sound_journal(tmp_path, monkeypatch, after):
    """Killed after so many of its three writes: heads, journal, head."""
    journal = Journal(tmp_path / "journal.jsonl")
    rows = [{"user": u, "item": "i", "answer": "like"} for u in ("urn:u:1", "urn:u:2")]
    journal.tell(rows, round=1)
    real, left = journal_module.atomic_write, [after]

    def write(path, data):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "atomic_write", write)
        with pytest.raises(KeyboardInterrupt):
            journal.forget(Person.of(["urn:u:1"]))
    assert len(journal.records()) == (2 if after < 2 else 1)
    assert journal.forget(Person.of(["urn:u:1"])) == (1 if after < 2 else 0)
    assert [one.answer.user for one in journal.records()] == ["urn:u:2"]
    assert json.loads(journal.head_path.read_text()).keys() == {"seq", "hash"}


def test_a_journal_that_lost_its_head_is_refused(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.tell([{"user": "u", "item": "i", "answer": "like"}], round=1)
    journal.head_path.unlink()
    with pytest.raises(IntegrityError, match="head"):
        journal.records()
    with pytest.raises(IntegrityError, match="head"):
        journal.tell([{"user": "u", "item": "j", "answer": "like"}], round=1)
