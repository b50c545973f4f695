"""The journal of answers: append-only JSON lines, hash-chained, keyed by IRIs.

Each record carries its number, the sha256 of the record before, and a CRC-32 of itself; a small head
file beside the journal names the last acknowledged record, so that nothing can be cut off unseen; a
journal without it is refused.
The state is a pure fold of the journal. Beside answers it holds notes: that a round or an annotator was
rolled back (the answers before it stay, and no longer count), and that a person's answers were
forgotten (they are gone, and the chain was made anew).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ..kg.errors import IntegrityError
from ..kg.files import StrPath, append_record, atomic_write, sha256_bytes
from ..kg.person import Person
from ..kg.vocabulary import Vocabulary
from ..kg.writing import naming
from .answers import Answer, read_answers
from .journal_lines import is_cut_off, line_of, parse_line
from .repeats import UNSTATED, Record, Repeat, batch_of, in_round, repeats
from .table_rows import Source

_LOG = logging.getLogger(__name__)
_FIRST = "0" * 64

# What stands in the place of an answer in a note; no table of answers can say either.
ROLLED_BACK, FORGOTTEN = "rolled back", "forgotten"


@dataclass(frozen=True)
class TellReport:
    """What became of the rows of one table.

    Attributes:
        accepted: appended. repeated: stood in the journal already. blank: left unanswered.
        rejected: (line, reason) of the others. outdated: how many of the repeated ones say what the
            annotator has changed since; the change stays.
    """

    accepted: int
    repeated: int
    blank: int
    rejected: tuple[tuple[int, str], ...] = field(default=())
    outdated: int = 0


class Journal:
    """A journal file; made by the first answer told.

    Args:
        path: the .jsonl file.
        users, items: vocabularies; ids are resolved to IRIs and unknown ones rejected. None = as is.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        users: Vocabulary | None = None,
        items: Vocabulary | None = None,
    ) -> None:
        self.path = Path(path)
        self.head_path = self.path.with_name(self.path.name + ".head")
        self._vocabularies = {"user": users, "item": items}

    def tell(
        self,
        source: Source,
        *,
        round: int,
        refuse: Callable[[Answer], str | None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> TellReport:
        """Take in a table of answers; good rows are kept whatever the others are.

        `refuse` says what is wrong with an answer that reads well, None if nothing. `check` raises
        where nothing may be taken in any more; nobody else can write while it looks.

        Telling a table again changes nothing, in the same round or in a later one; `repeats` says which
        answers count as told before. All others are kept, also where they change an earlier one; `fold`
        says which counts. When this returns, the accepted answers are on disk; when it raises, tell
        the table again.

        Args:
            round: of the answers that name none, and in which all of them are noted to be told.

        Raises:
            ParseError, DataError: the file as a whole is unusable. IntegrityError: the journal is
            damaged. ResourceError: it could not be written.
        """
        rejected: list[tuple[int, str]] = []
        wanted: list[Answer] = []
        blank = 0
        for line, row in read_answers(source, round=UNSTATED):
            resolved = self._resolve(row) if isinstance(row, Answer) else row
            if refuse is not None and isinstance(resolved, Answer):
                resolved = refuse(in_round(resolved, round)) or resolved
            if resolved is None:
                blank += 1
            elif isinstance(resolved, str):
                rejected.append((line, resolved))
            else:
                wanted.append(resolved)
        batch = batch_of(wanted)
        wanted = [in_round(answer, round) for answer in wanted]
        with self._writing():
            if check is not None:
                check()
            stored = list(self._verified())
            again = repeats([record for record, _ in stored], wanted, batch)
            told = zip(wanted, again, strict=True)
            fresh = [answer for answer, kind in told if kind is Repeat.NEW]
            last, before = (stored[-1][0].seq, stored[-1][1]) if stored else (0, _FIRST)
            self._append(fresh, last, before, told=round, batch=batch)
        old = len(wanted) - len(fresh)
        return TellReport(len(fresh), old, blank, tuple(rejected), again.count(Repeat.OUTDATED))

    def records(self) -> list[Record]:
        """The answers that count, in order: neither notes nor what was rolled back.

        Raises:
            IntegrityError: a record was changed, lost or put out of order.
        """
        return standing(self.history())

    def history(self) -> list[Record]:
        """All records in order. What a killed writer left unfinished is dropped with a message.

        Raises:
            IntegrityError: as `records`.
        """
        return [record for record, _ in self._verified()]

    def roll_back(self, *, round: int | None = None, annotator: str | None = None) -> int:
        """Note that the answers so far of a round, or of an annotator, no longer count.

        What is told again afterwards stays rolled back; answers that are new count.

        Returns:
            How many answers that took; without any, nothing is noted.
        """
        by = "round" if annotator is None else "annotator"
        note = Answer(round or 0, "", "", ROLLED_BACK, annotator=annotator or "", extra={"by": by})
        with self._writing():
            stored = list(self._verified())
            before = standing(record for record, _ in stored)
            taken = sum(_covers(note, record.answer) for record in before)
            if taken:
                last, link = stored[-1][0].seq, stored[-1][1]
                self._append([note], last, link)
        return taken

    def forget(self, person: Person) -> int:
        """Take out every record that names a person, under a new chain that ends in a note of it.

        Killed on the way, the same call completes it. The note names nobody.

        Returns:
            How many records that took.
        """
        with self._writing():
            records = self.history()
            left = [one for one in records if not is_about(one, person)]
            gone = len(records) - len(left)
            if gone or len(self._heads()) > 1:
                self._rewrite(left, gone)
        return gone

    def _rewrite(self, records: list[Record], gone: int) -> None:
        note = Answer(0, "", "", FORGOTTEN, extra={"records": gone})
        entries = [*records, Record(0, note, _now())] if gone else records
        lines, before = [], _FIRST
        for seq, record in enumerate(entries, 1):
            lines.append(line_of(replace(record, seq=seq), before))
            before = sha256_bytes(lines[-1])
        if lines:
            # Both heads stand there while the journal is exchanged, so that a kill leaves a sound one.
            new = len(lines), before
            self._write_heads([*self._heads()[:1], new])
            atomic_write(self.path, b"".join(line + b"\n" for line in lines))
            self._write_heads([new])

    def _verified(self) -> Iterator[tuple[Record, str]]:
        """Records with the sha256 of their lines."""
        seq, before = 0, _FIRST
        hashes = {0: _FIRST}
        for number, line in enumerate(self._lines(), 1):
            record = parse_line(line)
            if record is None:
                if not is_cut_off(line):
                    raise self._damaged(number, "the record does not match its checksum")
                _LOG.warning(
                    "%s:%d: dropped an answer that was cut off while it was written",
                    self.path,
                    number,
                )
                continue
            body, answer = record
            if body["seq"] != seq + 1 or body["prev"] != before:
                raise self._damaged(number, f"the record does not follow record {seq}")
            seq, before = seq + 1, sha256_bytes(line.rstrip(b"\n"))
            hashes[seq] = before
            told, batch = int(body.get("told", -1)), str(body.get("batch", ""))
            yield Record(seq, answer, str(body["time"]), told, batch), before
        heads = self._heads()
        if not heads and seq:
            raise self._damaged(0, f"{self.head_path.name}, which vouches for its end, is missing")
        if heads and all(hashes.get(number) != known for number, known in heads):
            number = heads[0][0]
            raise self._damaged(0, f"record {number} was acknowledged and is missing or changed")

    def _lines(self) -> list[bytes]:
        if not self.path.exists():
            return []
        with naming(self.path, "read"):
            return self.path.read_bytes().splitlines(keepends=True)

    def _heads(self) -> list[tuple[int, str]]:
        """Number and hash of the last acknowledged record; two while the journal is exchanged."""
        if not self.head_path.exists():
            return []
        with naming(self.head_path, "read"):
            raw = self.head_path.read_bytes()
        try:
            head = json.loads(raw)
            both = [head, head["next"]] if "next" in head else [head]
            return [(int(one["seq"]), str(one["hash"])) for one in both]
        except (ValueError, KeyError, TypeError):
            raise self._damaged(0, f"{self.head_path.name} is not readable") from None

    def _write_heads(self, heads: list[tuple[int, str]]) -> None:
        first, *more = ({"seq": seq, "hash": known} for seq, known in heads)
        atomic_write(self.head_path, json.dumps(first | ({"next": more[0]} if more else {})))

    def _damaged(self, line: int, what: str) -> IntegrityError:
        return IntegrityError(
            what,
            where=f"{self.path}:{line}" if line else str(self.path),
            hint="restore the journal from a copy; answers in it can no longer be trusted",
        )

    def _resolve(self, answer: Answer) -> Answer | str:
        names = {"user": answer.user, "item": answer.item}
        for kind, vocabulary in self._vocabularies.items():
            if vocabulary is None:
                continue
            index = vocabulary.find(names[kind])
            if index < 0:
                return f"unknown {kind} {names[kind][:80]!r}"
            names[kind] = vocabulary[index]
        return replace(answer, user=names["user"], item=names["item"])

    def _append(
        self, answers: list[Answer], seq: int, before: str, *, told: int = -1, batch: str = ""
    ) -> None:
        if not answers:
            return
        time = _now()
        lines = []
        for answer in answers:
            seq += 1
            lines.append(line_of(Record(seq, answer, time, told, batch), before))
            before = sha256_bytes(lines[-1])
        if not self.head_path.exists():
            self._write_heads([(0, _FIRST)])  # from the first record on, a missing head is damage
        append_record(self.path, lines)
        self._write_heads([(seq, before)])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Wait for other writers of this journal; the lock ends with the process that holds it."""
        lock = self.path.with_name(self.path.name + ".lock")
        with naming(lock, "lock"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def standing(history: Iterable[Record]) -> list[Record]:
    """The answers among records that no later note rolls back, in order."""
    out: list[Record] = []
    for record in history:
        if record.answer.answer == ROLLED_BACK:
            out = [one for one in out if not _covers(record.answer, one.answer)]
        elif record.answer.answer != FORGOTTEN:
            out.append(record)
    return out


def _covers(note: Answer, answer: Answer) -> bool:
    if note.extra.get("by") == "annotator":
        return answer.annotator == note.annotator
    return answer.round == note.round


def is_about(record: Record, person: Person) -> bool:
    """Whether a person is the record's user or annotator, or a further entry or the item names her."""
    answer = record.answer
    return (
        person.is_user(answer.user)
        or person.is_user(answer.annotator)
        or person.is_named(answer.item)
        or person.is_in(answer.extra)
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
