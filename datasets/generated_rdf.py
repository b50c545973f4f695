"""The generated world as RDF: Turtle for the catalogue and the users, N-Triples for the events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from ..kg.schema import RDF_TYPE, XSD
from ..kg.split import rng_for
from .planted import World, genera
from .seed_words import (
    BREEDER_KINDS,
    BREEDER_PLACES,
    COLOURS,
    FILLERS,
    FIRST_NAMES,
    HABITS,
    MIDDLES,
    OPENINGS,
    SECOND_NAMES,
    SKILLS,
    TAXA,
    TRAITS,
    USES,
    ZONES,
)

BASE = "https://seeds.example.org/"
PARTS = ("train", "valid", "test")
_TYPE = f"<{RDF_TYPE}>"
_PREFIXES = f"""\
@prefix : <{BASE}vocabulary/> .
@prefix plant: <{BASE}plant/> .
@prefix gardener: <{BASE}gardener/> .
@prefix taxon: <{BASE}taxon/> .
@prefix colour: <{BASE}colour/> .
@prefix use: <{BASE}use/> .
@prefix zone: <{BASE}zone/> .
@prefix breeder: <{BASE}breeder/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix xsd: <{XSD}> .

"""


def plant_iri(index: int) -> str:
    """IRI of an item."""
    return f"{BASE}plant/p{index:05d}"


def gardener_iri(index: int) -> str:
    """IRI of a user."""
    return f"{BASE}gardener/g{index:05d}"


def catalogue_turtle(world: World, seed: int) -> str:
    """Taxa as a SKOS tree, colours, uses, zones, breeders and plants with text."""
    blocks = [_PREFIXES, *_concepts(), *_breeders(world.config.breeders), *_plants(world, seed)]
    return "\n".join(blocks)


def gardeners_turtle(world: World) -> str:
    """The users, with what is known of them."""
    blocks = [
        f"gardener:g{user:05d} a :Gardener ; :gardensIn zone:{ZONES[zone]} ; "
        f'dcterms:type "{SKILLS[skill]}" .\n'
        for user, (zone, skill) in enumerate(zip(world.zone, world.skill, strict=True))
    ]
    return _PREFIXES + "".join(blocks)


def events_ntriples(world: World) -> Iterator[bytes]:
    """The events that the catalog shows, six statements each, in chunks of lines."""
    shown = np.flatnonzero(world.part < len(PARTS))
    word = f"<{BASE}vocabulary/"
    for start in range(0, len(shown), 20_000):
        lines = []
        for row in shown[start : start + 20_000].tolist():
            user, item = int(world.user[row]), int(world.item[row])
            event = f"<{BASE}rating/g{user:05d}-p{item:05d}>"
            when = datetime.fromtimestamp(int(world.time[row]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.append(
                f"{event} {_TYPE} {word}Rating> .\n"
                f"{event} {word}gardener> <{gardener_iri(user)}> .\n"
                f"{event} {word}plant> <{plant_iri(item)}> .\n"
                f'{event} {word}stars> "{world.stars[row]}"^^<{XSD}integer> .\n'
                f'{event} {word}at> "{when}"^^<{XSD}dateTime> .\n'
                f'{event} {word}part> "{PARTS[world.part[row]]}" .\n'
            )
        yield "".join(lines).encode()


def _concepts() -> Iterator[str]:
    for order, families in TAXA.items():
        yield f'taxon:{order} a :Taxon ; skos:prefLabel "{order}"@la .'
        for family in families:
            yield (
                f'taxon:{family} a :Taxon ; skos:prefLabel "{family}"@la ; '
                f"skos:broader taxon:{order} ."
            )
    for genus, family, _ in genera():
        yield (
            f'taxon:{genus} a :Taxon ; skos:prefLabel "{genus}"@la ; skos:broader taxon:{family} .'
        )
        # Half of the tree is told from above as well, as such catalogues do.
        if len(genus) % 2:
            yield f"taxon:{family} skos:narrower taxon:{genus} ."
    for prefix, words in (("colour", COLOURS), ("use", USES)):
        for english, german in words:
            name = f"{prefix}:{english.replace(' ', '-')}"
            yield f'{name} a :{prefix.title()} ; skos:prefLabel "{german}"@de , "{english}"@en .'
    for zone in ZONES:
        yield f'zone:{zone} a :Zone ; skos:prefLabel "{zone}"@en .'


def _breeder_name(index: int) -> str:
    place, kind = index % len(BREEDER_PLACES), index // len(BREEDER_PLACES)
    more = f" {kind // len(BREEDER_KINDS) + 1}" if kind >= len(BREEDER_KINDS) else ""
    return f"{BREEDER_PLACES[place]} {BREEDER_KINDS[(kind + place) % len(BREEDER_KINDS)]}{more}"


def _breeders(count: int) -> Iterator[str]:
    for index in range(count):
        yield f'breeder:b{index:03d} a :Breeder ; rdfs:label "{_breeder_name(index)}" .'


def _plants(world: World, seed: int) -> Iterator[str]:
    plants, taxa = world.plants, genera()
    rng = rng_for(seed, "words")
    for i in range(world.config.items):
        genus = taxa[plants.genus[i]][0]
        name = f"plant:p{i:05d}"
        first, second = rng.integers(len(FIRST_NAMES)), rng.integers(len(SECOND_NAMES))
        facts = [
            f"{name} a :Plant",
            f"""rdfs:label "{genus} '{FIRST_NAMES[first]} {SECOND_NAMES[second]}'"@en""",
            f":genus taxon:{genus}",
            f":colour {_list('colour', COLOURS, plants.colours[i])}",
            f":use {_list('use', USES, plants.uses[i])}",
            f":zone zone:{ZONES[plants.zone[i]]}",
            f':habit "{HABITS[plants.habit[i]]}"',
            f":height {int(plants.height[i])}",
            f':introduced "{rng.integers(1990, 2024)}-{rng.integers(1, 13):02d}-01"^^xsd:date',
        ]
        if not np.isnan(plants.price[i]):
            facts.append(f":price {plants.price[i]:.2f}")
        text = _description(world, i, rng)
        if rng.random() > 0.05:
            facts.append(f'dcterms:description "{text}"@en')
        breeder = int(plants.breeder[i])
        told_by_plant = breeder >= 0 and rng.random() < 0.7
        if told_by_plant:
            facts.append(f":breeder breeder:b{breeder:03d}")
        yield " ;\n    ".join(facts) + " ."
        if breeder >= 0 and (not told_by_plant or rng.random() < 0.3):
            yield f"breeder:b{breeder:03d} :bred {name} ."


def _list(prefix: str, words: tuple[tuple[str, str], ...], chosen: np.ndarray) -> str:
    return " , ".join(f"{prefix}:{words[k][0].replace(' ', '-')}" for k in np.flatnonzero(chosen))


def _description(world: World, i: int, rng: np.random.Generator) -> str:
    """Two or three sentences: some of the attributes, and every trait in one of its phrasings."""
    plants = world.plants
    breeder = int(plants.breeder[i])
    words = {
        "genus": genera()[plants.genus[i]][0],
        "colour": COLOURS[int(rng.choice(np.flatnonzero(plants.colours[i])))][0],
        "use": USES[int(rng.choice(np.flatnonzero(plants.uses[i])))][0],
        "zone": ZONES[plants.zone[i]],
        "habit": HABITS[plants.habit[i]],
        "height": int(plants.height[i]),
        "breeder": _breeder_name(breeder) if breeder >= 0 else "an unknown hand",
    }
    opening = OPENINGS[rng.integers(len(OPENINGS))].format(**words)
    middle = MIDDLES[rng.integers(len(MIDDLES))].format(**words)
    sentences = [f"{opening}, {middle}."]
    for trait, phrases in enumerate(TRAITS.values()):
        if plants.traits[i, trait]:
            sentences.append(phrases[rng.integers(len(phrases))] + ".")
    sentences.append(FILLERS[rng.integers(len(FILLERS))])
    return " ".join(sentences)
