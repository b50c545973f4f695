"""HTML in which a plain string is always escaped: titles and IRIs come from strangers' files."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Html(str):
    """Markup made by this module; every other string is text and gets escaped."""

    __slots__ = ()


def text(value: object) -> Html:
    """Any value as escaped text; characters that HTML forbids are dropped."""
    if isinstance(value, Html):
        return value
    raw = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "", str(value))
    return Html(html.escape(raw, quote=True))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element; `class_` stands for class. Attribute values are escaped like text."""
    if not name.isalnum():
        raise ValueError(f"{name!r} is no name of an element")
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """Parts one after the other, each escaped unless it is markup already."""
    return Html("".join(text(part) for part in parts))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Html:
    """Rows as a table; numbers to the right, missing ones as a dash."""
    names = list(columns) or list(dict.fromkeys(key for row in rows for key in row))
    head = tag("tr", *(tag("th", name) for name in names))
    body = [tag("tr", *(_cell(row.get(name)) for name in names)) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")


def _cell(value: Any) -> Html:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return tag("td", "–", class_="n")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return tag("td", value)
    return tag("td", f"{value:,}" if isinstance(value, int) else f"{value:.4f}", class_="n")


def drawing(svg: str, caption: str) -> Html:
    """An SVG made by our own plotting code, with its caption, scripts and links taken out."""
    start = svg.find("<svg")
    body = svg[start:] if start >= 0 else ""
    body = re.sub(r"<(script|foreignObject)\b.*?</\1\s*>", "", body, flags=re.S | re.I)
    body = re.sub(r"\son\w+\s*=\s*(\"[^\"]*\"|'[^']*')", "", body, flags=re.I)
    return tag("figure", Html(body), tag("figcaption", caption))


STYLE = """
:root { color-scheme: light dark; --ink: #1d2a22; --soft: #5b6b62; --line: #d5ded8; --back: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4ece7; --soft: #9fb0a6; --line: #35423b; --back: #151b18; }
  figure svg { background: #fff; border-radius: 6px; }
}
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--back);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: .2rem } h2 { margin-top: 2.4rem; border-bottom: 1px solid var(--line) }
.soft, figcaption { color: var(--soft); font-size: .92rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .92rem }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums }
figure { margin: 1rem 0 } figure svg { max-width: 100%; height: auto }
code { overflow-wrap: anywhere } li { margin: .2rem 0 }
""".strip()


def page(title: str, sections: Iterable[tuple[str, object]], subtitle: str = "") -> str:
    """A whole document: no scripts, nothing loaded from anywhere (its policy forbids both)."""
    parts = [tag("section", tag("h2", head), body) for head, body in sections]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f"{tag('h1', title)}\n{tag('p', subtitle, class_='soft')}\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )
