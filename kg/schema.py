"""The schema: which classes are nodes, which properties are relations, features, text and events.

A schema is a TOML file with strict keys; nothing about classes or properties is in the code. One
file serves RDF (by classes and properties) and tables (by `[tables.*]`, the only part that RDF does
not read). A complete example, comments included:

    name = "movies"
    users = "user"                        # the node type of users; leave out where there are none
    items = "movie"                       # the node type of items; needed if there are several types
    languages = ["en", ""]                # order of preference for text; "" = without a language
    same_as = ["owl:sameAs"]              # nodes joined by these are merged before ids are given
    splits = ["train", "valid", "test"]   # order of the split names; sorted where not given
    open_relations = "ex:relation/{}"     # optional: every other property of this form that joins
                                          # two nodes is a relation named by the part in braces

    [prefixes]                            # rdf, rdfs, owl, xsd, skos, schema, dcterms, ... are known
    ex = "https://example.org/"

    [nodes.movie]
    class = "schema:Movie"                # or a list; without it: what stands at its relations' ends
    iri = "ex:movie/{}"                   # how a table's id (or a literal) becomes an IRI
    text.title = "schema:name"            # the first text is the title
    text.plot = { property = "schema:abstract", languages = ["en"], join = true }
    number.price = "schema:price"
    date.released = "schema:datePublished"
    category.board = "schema:contentRating"

    [nodes.genre]
    iri = "ex:genre/{}"
    label = "rdfs:label"                  # the text "label"; a table's value becomes it

    [nodes.user]
    class = "schema:Person"
    iri = "ex:user/{}"

    [relations.genre]
    property = "schema:genre"             # literal objects become nodes by the target's `iri`
    from = "movie"                        # one node type, or a list where ends may be of several
    to = "genre"
    inverse = "ex:genreOf"                # turned round and merged, so that no copy leaks

    [relations.maker]                     # a path of hops, "^" turns one round, <...> holds an IRI
    path = "crm:P108i_was_produced_by/^ex:did/<http://example.org/by>"
    from = "movie"
    to = "user"

    [relations.broader]
    property = "skos:broader"
    from = "genre"
    to = "genre"
    closure = true                        # add every ancestor

    [events.rating]                       # one node per event
    class = "schema:Rating"
    user = "schema:author"                # properties (or paths) from the event to its parts
    item = "schema:itemReviewed"
    rating = "schema:ratingValue"
    time = "schema:dateCreated"           # seconds since 1970, or ISO 8601
    split = "ex:split"
    positive = 4                          # rated below: a negative; without it every event is positive
    unrated = [0]                         # these ratings say that there is none: positive, not rated
    time_unit = "ms"                      # of plain numbers, since 1970: s (the default), ms, us or ns

    [events.viewed]                       # or a plain property from user to item
    property = "ex:viewed"
    # negative = true                     # every event of this kind is a dislike
    # auxiliary = true                    # tells of interest, and is not what is to be recommended: a view

    [tables.movies]                       # rows describe nodes; one section per use of a file
    file = "movies.csv"                   # name of the file; without it: movies.csv, .tsv, .parquet, ...
    nodes = "movie"
    id = "movie_id"
    columns.title = "title"               # feature or relation of this node type = column
    columns.genre = { column = "genres", separator = "|" }

    [tables.ratings]                      # rows are events
    events = "rating"
    columns = { user = "user_id", item = "movie_id", rating = "stars", time = "when" }

    [tables.orders]                       # one log may serve several sections
    file = "log/*/part-*.parquet"         # many files, one table
    events = "viewed"
    where = { type = ["view", "click"], seconds = { min = 3 } }  # also: unless = { shop = "test" }
    columns = { user = "user.id", item = "sku" }   # a field within a field

    [tables.cast]                         # rows are edges of one relation
    relations = "maker"
    columns = { from = "movie_id", to = "person_id" }

    [tables.facts]                        # rows are triples: names of relations stand in a column
    file = "facts.tsv"
    missing = ["NULL", "NA"]              # cells that count as empty
    decimal = ","                         # 1.234,50 €; also: dates = ["%d.%m.%Y"], timezone = "Europe/Berlin"
    delimiter = "\\t"                     # also: encoding = "latin-1", quote = false, escape = "\\\\",
    header = ["h", "r", "t"]              # and header = [names] for a file without a header line
    skip_bad_rows = true                  # rows with too many or too few cells: left out, and told of
    columns = { from = "h", relation = "r", to = { column = "t", iri = "{}" } }

Ids from tables are trimmed and percent-encoded into the braces of `iri`; a column may carry its own
`iri` ("{}" = the value is an IRI already). Paths, also for features, follow SPARQL's `/` and `^`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDF_TYPE = RDF + "type"
SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
XSD = "http://www.w3.org/2001/XMLSchema#"
EVENT_ROLES = ("user", "item", "rating", "time", "split")
FEATURE_KINDS = ("text", "number", "date", "category")

WELL_KNOWN_PREFIXES: Mapping[str, str] = {
    "rdf": RDF,
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": XSD,
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "schema": "https://schema.org/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "dbo": "http://dbpedia.org/ontology/",
    "dbr": "http://dbpedia.org/resource/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "crm": "http://www.cidoc-crm.org/cidoc-crm/",
}


@dataclass(frozen=True)
class Hop:
    """One step of a path: along `property`, or against it."""

    property: str
    inverse: bool = False

    def __str__(self) -> str:
        return f"{'^' if self.inverse else ''}<{self.property}>"


@dataclass(frozen=True)
class PropertyPath:
    """One or more hops, followed from the node that has the feature, relation or role."""

    hops: tuple[Hop, ...]

    @classmethod
    def of(cls, iri: str) -> PropertyPath:
        """The path of one forward hop."""
        return cls((Hop(iri),))

    def __str__(self) -> str:
        return "/".join(map(str, self.hops))

    @property
    def text(self) -> str:
        """The bare IRI of one forward hop, or else the path in SPARQL's notation."""
        return self.single or str(self)

    @property
    def single(self) -> str | None:
        """The property's IRI where the path is one forward hop, or else None."""
        first = self.hops[0]
        return first.property if len(self.hops) == 1 and not first.inverse else None


@dataclass(frozen=True)
class Feature:
    """A literal-valued feature of a node type.

    Attributes:
        kind: text | number | date | category.
        languages: text only: order of preference, "" = without a language; others come last.
        join: text only: join all values of the preferred language by ". "; else the first by name.
    """

    name: str
    kind: str
    path: PropertyPath
    languages: tuple[str, ...] = ()
    join: bool = False


@dataclass(frozen=True)
class NodeType:
    """A node type.

    Attributes:
        classes: IRIs; a node with one of them, or with a subclass that the schema does not name
            elsewhere, is of this type. Empty: what stands at an end of a relation or event and has
            no other type.
        iri: template with one `{}` that makes an IRI of a table's id or of a literal; "" = none.
        label: the first text is "label", and values from tables and literals fill it.
    """

    name: str
    classes: tuple[str, ...] = ()
    iri: str = ""
    label: bool = False
    features: tuple[Feature, ...] = ()


@dataclass(frozen=True)
class Relation:
    """A relation between node types.

    Attributes:
        path: from the node at its start to the one at its end.
        sources, targets: node types of the ends, tried in this order.
        inverse: IRI that says the same the other way round; "" if none.
        closure: the edges to all ancestors are added.
    """

    name: str
    path: PropertyPath
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    inverse: str = ""
    closure: bool = False


@dataclass(frozen=True)
class Event:
    """A kind of user-item interaction: event nodes with roles, or one plain property.

    Attributes:
        classes: IRIs of the event nodes; empty for a plain property.
        property, inverse: IRI from user to item (and from item to user); "" for event nodes.
        roles: user, item, and where given rating, time, split -> path from the event node.
        positive: ratings from here on are positive; None = every event is.
        negative: every event is negative.
        auxiliary: every event tells of interest, and is not what is to be recommended.
        unrated: ratings that say that there is none; such an event is positive and has no rating.
        time_unit: unit of times that are plain numbers: s, ms, us or ns since 1970.
    """

    name: str
    classes: tuple[str, ...] = ()
    property: str = ""
    inverse: str = ""
    roles: Mapping[str, PropertyPath] = field(default_factory=dict)
    positive: float | None = None
    negative: bool = False
    auxiliary: bool = False
    unrated: tuple[float, ...] = ()
    time_unit: str = "s"


@dataclass(frozen=True)
class Column:
    """A column of a table; `separator` splits a cell into values, `iri` overrides the template."""

    name: str
    separator: str = ""
    iri: str = ""


@dataclass(frozen=True)
class Bounds:
    """The numbers from `low` to `high`, both among them."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"from {self.low:g} on"
        return (
            f"up to {self.high:g}"
            if self.low == -math.inf
            else f"from {self.low:g} to {self.high:g}"
        )


Choice = tuple[str, ...] | Bounds
"""Which cells are meant: those of one of these texts, or those whose number lies within bounds."""


@dataclass(frozen=True)
class TableMap:
    """How the rows of one table become nodes, edges or events.

    Attributes:
        kind: nodes | relations | events.
        target: the node type, relation or event; "" for a table with a column of relation names.
        columns: part -> Column. Parts: "id" and names of features and relations; or "from", "to",
            "relation"; or the event's roles.
        file: file name, or the end of a path, with `*` for several files that are one table; "" = the
            table's name with any known suffix.
        delimiter, encoding, quote, escape, header: how a CSV file is written; escape = the sign that
            takes the next one as it stands, "" = none; header = () means that its first line holds
            the names.
        skip_bad_rows: rows with too many or too few cells, and lines that are no JSON, are left out.
        missing: texts of cells that count as empty.
        where, unless: column -> which of its cells; only the rows with one of them in each column of
            `where`, and with none of them in any column of `unless`, are read.
        decimal: the decimal sign of numbers that are written with thousands' signs or currencies;
            "" = numbers are plain.
        dates: forms of times beside ISO 8601, as of `strptime`.
        timezone: where times are local that name no zone; "" = UTC.
    """

    name: str
    kind: str
    target: str
    columns: Mapping[str, Column]
    file: str = ""
    delimiter: str = ""
    encoding: str = "utf-8"
    quote: bool = True
    escape: str = ""
    header: tuple[str, ...] = ()
    skip_bad_rows: bool = False
    missing: tuple[str, ...] = ()
    where: Mapping[str, Choice] = field(default_factory=dict)
    unless: Mapping[str, Choice] = field(default_factory=dict)
    decimal: str = ""
    dates: tuple[str, ...] = ()
    timezone: str = ""

    @property
    def wanted(self) -> list[str]:
        """The columns that are read, each once: those of the parts, and those that choose rows."""
        named = [column.name for column in self.columns.values()]
        return list(dict.fromkeys([*named, *self.where, *self.unless]))


@dataclass(frozen=True)
class Schema:
    """A whole schema.

    Attributes:
        nodes, relations, events, tables: by name.
        user_type, item_type: node types.
        languages: order of preference where a feature has none of its own, "" = without a language.
        type_properties, subclass_properties: IRIs of properties that say of which class a node is, and
            which class is below which; rdf:type and rdfs:subClassOf are always among them.
        same_as: IRIs of properties whose ends are merged into one node.
        splits: names that events give as `split`, in order; empty = sorted as found.
        open_relations: template of properties that are relations without being named; "" if none.
        prefixes: prefix -> namespace.
        text: the TOML that it was read from. source: the file or its stand-in.
    """

    name: str
    nodes: Mapping[str, NodeType]
    relations: Mapping[str, Relation]
    events: Mapping[str, Event]
    tables: Mapping[str, TableMap]
    user_type: str
    item_type: str
    languages: tuple[str, ...] = ()
    type_properties: tuple[str, ...] = (RDF_TYPE,)
    subclass_properties: tuple[str, ...] = (SUBCLASS,)
    same_as: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    open_relations: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    text: str = ""

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a TOML file; SchemaError names file, key and the nearest valid name."""
        from .schema_file import load_schema

        return load_schema(Path(path))

    @classmethod
    def loads(cls, text: str, *, source: str = "schema") -> Schema:
        """Read TOML text; `source` stands for the file's name in errors."""
        from .schema_file import parse_schema

        return parse_schema(text, source)

    @cached_property
    def classes(self) -> frozenset[str]:
        """Every class IRI that some part of the schema names."""
        named = [node.classes for node in self.nodes.values()]
        named += [event.classes for event in self.events.values()]
        return frozenset(iri for classes in named for iri in classes)

    @cached_property
    def spoken_of(self) -> frozenset[str]:
        """Every property IRI that some part of the schema names."""
        paths = [f.path for node in self.nodes.values() for f in node.features]
        paths += [relation.path for relation in self.relations.values()]
        paths += [path for event in self.events.values() for path in event.roles.values()]
        named = {hop.property for path in paths for hop in path.hops} | set(self.same_as)
        named |= {relation.inverse for relation in self.relations.values()}
        named |= {event.inverse for event in self.events.values()}
        named |= {event.property for event in self.events.values()}
        return frozenset(named - {""} | set(self.type_properties))

    def open_relation(self, iri: str) -> Relation | None:
        """The relation that `open_relations` makes of a property; None if the schema names it
        otherwise or its form does not fit. Its name is the part in braces; "{}" takes the IRI."""
        from .minting import unmint

        if not self.open_relations or iri in self.spoken_of:
            return None
        name = iri if self.open_relations == "{}" else unmint(iri, self.open_relations)
        if not name or name in self.relations:
            return None
        every = tuple(self.nodes)
        return Relation(name, PropertyPath.of(iri), every, every)

    @cached_property
    def content_hash(self) -> str:
        """sha256 of the TOML text."""
        return hashlib.sha256(self.text.encode()).hexdigest()
