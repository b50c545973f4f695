"""The panel of a run: the only users who may be asked, fixed once, so that rounds can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..kg.errors import IntegrityError, StateError, UsageError
from ..kg.files import read_sealed, write_sealed
from ..kg.person import Person
from ..kg.vocabulary import Vocabulary

PANEL = "panel.json"


def panel_of(folder: Path) -> list[str] | None:
    """IRIs of the panel of a run's folder, sorted; None where none was fixed.

    Raises:
        IntegrityError: its file is damaged.
    """
    path = folder / PANEL
    if not path.exists():
        return None
    users = read_sealed(path, "restore it from a copy").get("users")
    if not isinstance(users, list):
        raise IntegrityError("not readable", where=str(path), hint="restore it from a copy")
    return [str(user) for user in users]


def chosen_panel(folder: Path, users: Iterable[str] | None, known: Vocabulary) -> list[str] | None:
    """IRIs of the panel that is fixed or, where none is, of these users, sorted; None with neither.

    Raises:
        UnknownIdError: a user that the catalog does not have. StateError: another panel is fixed.
    """
    before = panel_of(folder)
    if users is None:
        return before
    iris = sorted({known[int(index)] for index in known.indices(users, kind="user")})
    if before is not None and before != iris:
        raise StateError(
            f"the run has another panel, of {len(before):,} users, fixed",
            where=str(folder / PANEL),
            hint="leave --panel out to keep it; --users asks a part of it",
        )
    return iris


def fix_panel(folder: Path, panel: list[str]) -> None:
    """Fix the panel of a run, as `chosen_panel` gives it."""
    if panel_of(folder) is None:
        write_sealed(folder / PANEL, {"users": panel})


def within_panel(
    panel: list[str] | None, users: Iterable[str] | None, known: Vocabulary
) -> Iterable[str] | None:
    """Who may be asked: of the panel, if there is one, those among `users`; None = everybody.

    Raises:
        UsageError: one of `users` is not in the panel. UnknownIdError: the catalog does not have one.
    """
    if panel is None or users is None:
        return users if panel is None else panel
    iris = [known[int(index)] for index in known.indices(users, kind="user")]
    if outside := sorted(set(iris) - set(panel)):
        raise UsageError(
            f"{len(outside):,} users are not in the run's panel, as {outside[0]}", where="--users"
        )
    return iris


def forget_from_panel(folder: Path, person: Person) -> None:
    """Take a person out of the panel."""
    panel = panel_of(folder)
    if panel is not None and any(map(person.is_user, panel)):
        left = [user for user in panel if not person.is_user(user)]
        write_sealed(folder / PANEL, {"users": left})
