"""Readable titles, years and names out of the strings of film data sets."""

from __future__ import annotations

import re

_YEAR = re.compile(r"\((\d{4})\)\s*$")
_ARTICLE = re.compile(
    r"^(?P<name>.+), (?P<article>The|A|An|Le|La|Les|L'|Il|El|Los|Las|Der|Die|Das)"
    r"(?P<rest>( \(.*)?)$"
)
_INNER_PARENTHESES = re.compile(r"\s*\([^()]*\)")


def readable_title(title: str) -> str:
    """The title with its article in front.

    >>> readable_title("Usual Suspects, The (1995)")
    'The Usual Suspects (1995)'
    """
    match = _ARTICLE.match(title.strip())
    if not match:
        return title.strip()
    space = "" if match["article"].endswith("'") else " "
    return f"{match['article']}{space}{match['name']}{match['rest']}"


def year_of(title: str) -> str | None:
    """The year in parentheses at the end of a title; None if there is none."""
    match = _YEAR.search(title)
    return match[1] if match else None


def decade_of(year: str | None) -> str | None:
    """ "1990s" for "1995"; None for what is no year."""
    return f"{year[:3]}0s" if year and re.fullmatch(r"[12]\d{3}", year) else None


def people(names: str) -> list[str]:
    """Distinct names of a comma-separated list, without roles in parentheses.

    >>> people("Joss Whedon (screenplay by), Joel Cohen (screenplay), Joss Whedon (story)")
    ['Joss Whedon', 'Joel Cohen']
    """
    text = names
    while (shorter := _INNER_PARENTHESES.sub("", text)) != text:
        text = shorter
    found = (" ".join(name.split()) for name in text.split(","))
    return list(dict.fromkeys(name for name in found if name and name != "N/A"))
