"""Who is meant by an IRI in a text, in bytes and as a term: she, and not whose name begins with hers."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from coldframe.kg.person import Person

JOHN = "https://e.org/user/john"
SHE = Person.of([JOHN])


@pytest.mark.parametrize("more", [".doe", "@home", ":2", "-b", "_b", "~", "%20b", "é", "+1", "2"])
def test_a_longer_name_is_another(more: str) -> None:
    other = JOHN + more
    for text in (other, f'"{other}"', json.dumps(other), f"see <{other}>, it is", f"{other}."):
        assert not SHE.mentions(text)
        assert not SHE.pattern.search(text.encode())
    for iri in (other, f"urn:x:{quote(other, safe='')}"):
        assert not SHE.is_named(iri)


@pytest.mark.parametrize(
    "after", ["", ".", ", and", ",urn:i:3", ";x=1", "'", '"', ">", "/likes", "#it"]
)
def test_her_name_is_found_whatever_follows(after: str) -> None:
    for form in (JOHN, quote(JOHN, safe="")):
        assert SHE.mentions(f"by {form}{after}")
        assert SHE.pattern.search(f"by {form}{after}".encode())


def test_a_term_is_hers_whole_or_below() -> None:
    assert SHE.is_named(JOHN)
    assert SHE.is_named(f"{JOHN}/likes")
    assert SHE.is_named("urn:coldframe:annotator:john")
    assert not SHE.is_named(f"{JOHN},doe")
    assert not SHE.is_named("urn:coldframe:annotator:john.doe")
    assert not Person.of([]).is_named(JOHN)


def test_names_of_other_letters() -> None:
    zoe = Person.of(["https://e.org/user/Zoë"])
    assert zoe.pattern.search("…/user/Zoë https://e.org/user/Zoë!".encode())
    assert not zoe.pattern.search("https://e.org/user/Zoës".encode())
    assert zoe.pattern.search(json.dumps("https://e.org/user/Zoë").encode())
