"""Ids as people have them: the last part of an IRI or a URN, where one node alone has it."""

from __future__ import annotations

import pytest

from coldframe.kg.vocabulary import Vocabulary, local_name


@pytest.mark.parametrize(
    "iri, expected",
    [
        ("https://x.example/item/7", "7"),
        ("https://x.example/things#7", "7"),
        ("urn:catalog:product:7", "7"),
        ("urn:catalog:product:a%3Ab", "a%3Ab"),
        ("urn:x:y/z:7", "z:7"),
        ("a:b", "a:b"),
        ("7", "7"),
    ],
)
def test_the_local_name_is_the_last_part(iri: str, expected: str) -> None:
    assert local_name(iri) == expected


def test_nodes_of_a_drafted_schema_are_found_by_their_original_ids() -> None:
    ids = ("urn:catalog:product:007", "urn:catalog:product:a%3Ab", "urn:catalog:product:%C3%A4 ")
    found = Vocabulary(ids)
    assert [found.find(name) for name in ("007", "a:b", "7", ids[1])] == [0, 1, -1, 1]
