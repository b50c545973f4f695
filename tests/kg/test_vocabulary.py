"""Ids as people have them: the last part of an IRI or a URN, where one node alone has it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg.errors import UnknownIdError, UsageError
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


FOUND = Vocabulary(["urn:user:7", "urn:user:a%2Fb", "urn:user:a%252Fb", "urn:user:c%2Fd"])


@pytest.mark.parametrize("name", [7, np.int64(7), pa.scalar(7), pa.scalar("7"), np.str_("7"), "7"])
def test_numbers_and_scalars_are_ids_as_they_read(name: object) -> None:
    assert FOUND.find(name) == 0
    assert FOUND.indices([name]).tolist() == [0]
    with pytest.raises(UnknownIdError, match="1 unknown user"):
        FOUND.indices([8.5, name], kind="user")


def test_arrow_and_numpy_columns_are_taken() -> None:
    for names in (pa.array([7, 7]), pa.chunked_array([["7"], ["7"]]), np.array([7, 7])):
        assert FOUND.indices(names).tolist() == [0, 0]


def test_a_single_text_is_no_list_of_ids() -> None:
    with pytest.raises(UsageError) as caught:
        FOUND.indices("7", kind="user")
    assert "['7']" in caught.value.hint


def test_an_id_that_fits_two_encodings_is_not_guessed() -> None:
    assert [FOUND.find(name) for name in ("a/b", "c/d", "c%2Fd")] == [1, 3, 3]
    assert FOUND.find("a%2Fb") == -1
    assert FOUND.find("urn:user:a%2Fb") == 1
