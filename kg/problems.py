"""One finding about a catalog's data: what is wrong, with which term, and where it was read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A finding that is reported and counted, but does not stop an ingest.

    Attributes:
        kind: short stable name in kebab case, such as "dangling-iri" or "bad-number".
        iri: the entity concerned, or the first of several; "" if none.
        property: the property, relation or feature concerned; "" if none.
        where: source file (and line where known); "" if unknown.
        message: one sentence: what was got and what was expected.
        count: how many findings it stands for; 1 but for the line that closes a group cut short.
    """

    kind: str
    iri: str = ""
    property: str = ""
    where: str = ""
    message: str = ""
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The finding as it stands in `--json` output and reports."""
        return asdict(self)

    def __str__(self) -> str:
        place = " ".join(part for part in (self.where, self.iri, self.property) if part)
        return f"{self.kind}: {place}: {self.message}" if place else f"{self.kind}: {self.message}"
