"""Rounds of asking as a state machine on disk: ask, wait for answers, take them in, close.

    rounds/003/queries.parquet   the round is open        (atomic, never changed afterwards)
    rounds/003/metrics.json      the round is closed
    journal.jsonl                all answers of all rounds
    annotators.json              gold answers and quota, where they were set

Every step is idempotent and a pure function of what is on disk, so a process that is killed anywhere
is started again and goes on: asking again returns the open round's questions, telling again repeats
nothing, closing again overwrites the same file.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..kg.errors import DataError, StateError
from ..kg.files import (
    FolderLock,
    StrPath,
    atomic_folder,
    naming,
    read_sealed,
    read_table,
    safe_join,
    write_sealed,
    write_table,
)
from ..kg.person import Person
from ..kg.table_files import seal, unseal
from ..kg.vocabulary import Vocabulary
from .annotators import Annotators
from .answers import Answer, read_answers
from .fold import fold, label_of
from .gold import GoldPair
from .journal import Journal, TellReport
from .quality import QualityConfig, trust, within_quota
from .repeats import Record
from .table_rows import Source

ASKED, CLOSED = "queries.parquet", "metrics.json"


@dataclass(frozen=True)
class RoundState:
    """Where a round stands: number from 1, its questions, those answered in it, whether closed."""

    number: int
    questions: int
    answered: int
    closed: bool


class Rounds:
    """The rounds of one run folder.

    Args:
        folder: the run's folder; `rounds/` and `journal.jsonl` are in it.
        users, items: vocabularies by which answers are checked; None = any id is taken.
    """

    def __init__(
        self,
        folder: StrPath,
        *,
        users: Vocabulary | None = None,
        items: Vocabulary | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.journal = Journal(self.folder / "journal.jsonl", users=users, items=items)
        self._vocabularies = users, items

    def path(self, number: int) -> Path:
        """Folder of a round, as rounds/003."""
        return safe_join(self.folder, "rounds", f"{number:03d}")

    @property
    def current(self) -> int:
        """Number of the last round that was asked; 0 before the first."""
        root = self.folder / "rounds"
        if not root.is_dir():
            return 0
        numbers = [
            int(p.name) for p in root.iterdir() if p.name.isdecimal() and (p / ASKED).exists()
        ]
        return max(numbers, default=0)

    def state(self, number: int | None = None) -> RoundState:
        """State of a round, the last by default. StateError where it was not asked."""
        number = self.current if number is None else number
        wanted = self.pairs(number)
        told = {
            (record.answer.user, record.answer.item)
            for record in self.journal.records()
            if record.answer.round == number
        }
        return RoundState(number, len(wanted), len(wanted & told), self.is_closed(number))

    def questions(self, number: int) -> pa.Table:
        """The questions of a round as they were asked."""
        path = self.path(number) / ASKED
        if number < 1 or not path.exists():
            raise StateError(
                f"round {number} was not asked", where=str(self.folder), hint="acquire first"
            )
        return unseal(read_table(path), path)

    def pairs(self, number: int) -> set[tuple[str, str]]:
        """The pairs (user, item) that a round asks about."""
        table = self.questions(number)
        return set(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))

    @property
    def is_asking(self) -> bool:
        """Whether the last round is open and has questions."""
        current = self.current
        return bool(current and not self.is_closed(current) and len(self.questions(current)))

    def is_closed(self, number: int) -> bool:
        """Whether the answers of a round were learned from."""
        return (self.path(number) / CLOSED).exists()

    def ask(self, make: Callable[[int], pa.Table]) -> pa.Table:
        """The open round's questions; where it has none, or none is open, those of `make(number)`.

        Args:
            make: gives the questions of the round of that number, with columns user and item.

        Raises:
            LockedError: another process is at it.
        """
        with FolderLock.of_file(self.folder / "rounds", purpose="ask"):
            if self.is_asking:
                return self.questions(self.current)
            # An open round without questions holds answers that nobody was asked for.
            current = self.current
            number = current if current and not self.is_closed(current) else current + 1
            table = make(number)
            with atomic_folder(self.path(number), replace=True) as folder:
                write_table(folder / ASKED, seal(table))
            return table

    def drop(self, number: int) -> bool:
        """Take an open round away that nobody has answered; False where it is none."""
        if number != self.current or self.is_closed(number):
            return False
        if any(record.answer.round == number for record in self.journal.history()):
            return False
        with naming(self.path(number), "remove"):
            (self.path(number) / ASKED).unlink()
            shutil.rmtree(self.path(number))
        return True

    def tell(
        self,
        source: Source,
        *,
        round: int | None = None,
        refuse: Callable[[Answer], str | None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> TellReport:
        """Take in answers, also late ones of earlier rounds and such as nobody asked for.

        Args:
            round: for rows that name none; the last round by default.
            refuse, check: see `Journal.tell`.
        """
        number = self.current if round is None else round
        return self.journal.tell(source, round=number, refuse=refuse, check=check)

    def answers(self, *, positive: float | None = None) -> pa.Table:
        """One verdict per edge over all rounds, see `verdicts`."""
        return self.verdicts(self.journal.records(), positive=positive)

    def verdicts(self, records: list[Record], *, positive: float | None = None) -> pa.Table:
        """What these records come to, see `fold`, under the gold answers and quota of `set_quality`.

        Gold questions that were asked have no verdict: their answers are known, and teach nothing.
        """
        known = self.annotators()
        if known.config is None:
            return fold(records, positive=positive)
        weights = None
        if known.gold:
            weights = trust(records, known.gold, positive=positive, config=known.config)
        kept = [
            one
            for one in within_quota(records, known.config)
            if (one.answer.user, one.answer.item) not in known.asked
        ]
        return fold(kept, positive=positive, trust=weights)

    def over_quota(self) -> int:
        """How many answers do not count as their annotator gave too many of a round's."""
        config, records = self.annotators().config, self.journal.records()
        return 0 if config is None else len(records) - len(within_quota(records, config))

    def annotators(self) -> Annotators:
        """Gold answers, which of them were asked, and the rules for annotators.

        Raises:
            IntegrityError: their file is damaged.
        """
        return Annotators.read(self.folder)

    def ask_gold(self, pairs: Iterable[GoldPair]) -> None:
        """Note pairs that are asked to see who answers with care; their answers never become edges.

        What was noted of a round that never came, as its call was killed, is taken back.
        """
        asked = list(pairs)
        numbers = range(1, self.current + 1)
        told = frozenset().union(*(self.pairs(number) for number in numbers))
        known = self.annotators()
        if asked or known.asked - told:
            Annotators.change(self.folder, lambda known: known.with_asked(asked, told))

    def set_quality(
        self,
        *,
        gold: Source | None = None,
        quota: float | None = None,
        positive: float | None = None,
    ) -> int:
        """From now on weigh annotators by gold answers and limit each to a quota; None = as it was.

        Args:
            gold: a table of answers that are known to be right; they join those set before.

        Returns:
            how many gold answers there are.

        Raises:
            UsageError: quota is no share. DataError: a gold row cannot be used; nothing is set then.
            LockedError: another process sets them.
        """
        labels = {}
        file = gold if isinstance(gold, str | Path) else "gold answers"
        for line, row in [] if gold is None else read_answers(gold, round=0):
            label = label_of(row, positive) if isinstance(row, Answer) else None
            if not isinstance(row, Answer) or label is None:
                reason = row if isinstance(row, str) else "a gold answer is a like or a dislike"
                raise DataError(reason, where=f"{file}:{line}")
            labels[self._iri("user", row.user), self._iri("item", row.item)] = label

        def told(known: Annotators) -> Annotators:
            config = known.config or QualityConfig()
            config = config if quota is None else replace(config, quota=quota)
            return replace(known, gold={**known.gold, **labels}, config=config)

        return len(Annotators.change(self.folder, told).gold)

    def forget_gold(self, person: Person) -> None:
        """Drop the gold answers about a person."""
        if self.annotators().config is not None:
            Annotators.change(self.folder, lambda known: known.without(person))

    def _iri(self, kind: str, name: str) -> str:
        vocabulary = self._vocabularies[kind == "item"]
        if vocabulary is None:
            return name
        return str(vocabulary[int(vocabulary.indices([name], kind=kind)[0])])

    def close(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Mark a round as taken in, with what was measured after it."""
        self.questions(number)
        write_sealed(self.path(number) / CLOSED, dict(metrics))

    def metrics(self, number: int) -> dict[str, Any] | None:
        """What was measured after a round; None while it is open."""
        path = self.path(number) / CLOSED
        if not path.exists():
            return None
        found: dict[str, Any] = read_sealed(path)
        return found


def batch_sizes(budget: int, *, first: int = 100, growth: float = 1.4) -> list[int]:
    """Geometric batches that sum to the budget: small first, when each answer changes most.

    The last one takes what is left, unless that is less than half of the one before, which then
    takes it too. A budget of 0 gives none.
    """
    sizes: list[int] = []
    left, size = budget, float(first)
    while left > 0:
        take = min(left, math.ceil(size))
        sizes.append(take)
        left -= take
        size *= growth
    if len(sizes) > 1 and sizes[-1] < sizes[-2] / 2:
        sizes[-2:] = [sizes[-2] + sizes[-1]]
    return sizes
