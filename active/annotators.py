"""What a run knows of its annotators, in annotators.json: gold answers, which of them were asked, a quota."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from ..kg.errors import IntegrityError
from ..kg.files import FolderLock, read_sealed, write_sealed
from ..kg.person import Person
from .gold import GoldPair
from .quality import QualityConfig

QUALITY = "annotators.json"
Edge = tuple[str, str]


@dataclass(frozen=True)
class Annotators:
    """Gold answers and the rules for annotators.

    Attributes:
        gold: (user, item) -> label of answers that are known to be right.
        asked: pairs of them that were asked; their answers never become edges.
        config: the rules; None where none were set.
    """

    gold: Mapping[Edge, int] = field(default_factory=dict)
    asked: frozenset[Edge] = frozenset()
    config: QualityConfig | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of a run's folder; empty where nothing was set.

        Raises:
            IntegrityError: the file is damaged.
        """
        path = folder / QUALITY
        if not path.exists():
            return cls()
        try:
            found = read_sealed(path, "set gold answers and quota again")
            gold = {(str(user), str(item)): int(label) for user, item, label in found["gold"]}
            asked = frozenset((str(user), str(item)) for user, item in found.get("asked", []))
            return cls(gold, asked, QualityConfig(quota=float(found["quota"])))
        except (KeyError, TypeError, ValueError):
            raise IntegrityError("not readable", where=str(path), hint="set it again") from None

    @classmethod
    def change(cls, folder: Path, how: Callable[[Self], Self]) -> Self:
        """Replace the file by what `how` makes of it; two at a time cannot lose each other's part.

        Raises:
            LockedError: another process is at it. IntegrityError: the file is damaged.
        """
        with FolderLock.of_file(folder / QUALITY, purpose="annotators"):
            changed = how(cls.read(folder))
            changed._write(folder)
        return changed

    def _write(self, folder: Path) -> None:
        """Under the usual rules where none were set."""
        rows = [[user, item, label] for (user, item), label in sorted(self.gold.items())]
        quota = (self.config or QualityConfig()).quota
        told = {"gold": rows, "quota": quota, "asked": sorted(map(list, self.asked))}
        write_sealed(folder / QUALITY, told)

    def with_asked(self, pairs: Iterable[GoldPair], told: Set[Edge]) -> Self:
        """With pairs that are asked to see who answers with care, beside those of the rounds told of."""
        labels = {(one.user, one.item): one.label for one in pairs}
        asked = (self.asked & told) | labels.keys()
        return replace(self, gold={**self.gold, **labels}, asked=asked)

    def without(self, person: Person) -> Self:
        """Without what is about a person."""
        return replace(
            self,
            gold={edge: label for edge, label in self.gold.items() if not person.is_edge(edge)},
            asked=frozenset(edge for edge in self.asked if not person.is_edge(edge)),
        )
