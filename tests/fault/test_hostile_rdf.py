"""Hostile RDF: every file is refused with one error, fast, in little memory, and without a network."""

from __future__ import annotations

import gzip
import json
import lzma
import resource
import socket
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coldframe.kg.errors import DataError, ParseError
from coldframe.kg.guarded import JsonGuard, Limits, RefusedError
from coldframe.kg.reader import read_quads

RDF_OPEN = (
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:a="http://a.org/">'
)
LINE = b'<http://a.org/s> <http://a.org/p> "x" .\n'
START = b"<a:s> <a:p> "
BIG = 100_000_000
ENDLESS = (
    20  # CPU-seconds; what R8 and R9 promise is measured by bench/faults.py, as machines differ
)


def xml(prolog: bytes, body: bytes) -> bytes:
    return b'<?xml version="1.0"?>' + prolog + RDF_OPEN + body + b"</rdf:RDF>"


def described(text: bytes) -> bytes:
    return b'<rdf:Description rdf:about="http://a.org/x"><a:p>' + text + b"</a:p></rdf:Description>"


def laughs() -> bytes:
    entities = b'<!ENTITY e0 "ha">' + b"".join(
        b'<!ENTITY e%d "%s">' % (i, b"&e%d;" % (i - 1) * 10) for i in range(1, 10)
    )
    return xml(b"<!DOCTYPE rdf:RDF [" + entities + b"]>", described(b"&e9;"))


def bombs(port: int) -> Iterator[tuple[str, bytes]]:
    """File name and content of every bomb that is one plain file."""
    here = b"http://127.0.0.1:%d/x" % port
    yield "laughs.rdf", laughs()
    yield "doctype.rdf", xml(b"<!DOCTYPE rdf:RDF>", described(b"x"))
    yield (
        "external-file.rdf",
        xml(b'<!DOCTYPE rdf:RDF [<!ENTITY e SYSTEM "file:///etc/hosts">]>', described(b"&e;")),
    )
    yield "external-http.rdf", xml(b'<!DOCTYPE rdf:RDF SYSTEM "' + here + b'">', described(b"x"))
    yield "doctype-utf16.rdf", laughs().decode().encode("utf-16")
    yield "deep.rdf", xml(b"", b"<a:p><a:q>" * 100_000)
    yield "attribute.rdf", xml(b"", b'<a:p a:q="' + b"x" * BIG + b'"/>')
    yield "text.rdf", xml(b"", described(b"x" * BIG))
    yield (
        "deep.jsonld",
        b'{"@id":"http://a.org/x","http://a.org/p":' + b"[" * 3_500 + b"]" * 3_500 + b"}",
    )
    yield "deeper.jsonld", b'{"http://a.org/p":' * 1_000_000
    yield "context-http.jsonld", b'{"@context":"' + here + b'","@id":"http://a.org/x","b":1}'
    yield "context-file.jsonld", b'{"@context":"file:///etc/hosts","@id":"http://a.org/x","b":1}'
    yield (
        "import.jsonld",
        b'{"@context":{"@version":1.1,"@import":"' + here + b'"},"@id":"a:x","b":1}',
    )
    yield "string.jsonld", b'{"@id":"http://a.org/x","http://a.org/p":"' + b"x" * BIG + b'"}'
    yield (
        "prefixes.ttl",
        b"".join(b"@prefix p%d: <http://a.org/%d> .\n" % (i, i) for i in range(10**6)),
    )
    yield (
        "used-prefixes.ttl",
        b"".join(
            b"@prefix p%d: <http://a.org/%d/> . p%d:x p%d:y 1 .\n" % (i, i, i, i)
            for i in range(200_000)
        ),
    )
    yield "line.nt", START + b'"' + b"x" * BIG + b'" .\n'
    yield "line.nq", START + b'"' + b"x" * BIG + b'" .\n'
    yield "line.n3", START + b'"' + b"x" * BIG + b'" .\n'
    yield "literal.ttl", START + b'"""' + b"x\n" * (BIG // 2) + b'""" .\n'
    yield "comment.ttl", b"#" * BIG
    yield "comment.nt", b"#" * BIG
    yield "newlines.nt", b"\n" * 20_000_000 + b"x"
    yield "spaces.nt", b" \t" * 10_000_000 + b"x"
    yield "iri.trig", b"<" + b"a:" * (BIG // 2)
    for suffix in ("nt", "nq", "ttl", "trig"):
        for depth in (2_000, 100_000):
            terms = b"<<( <a:s> <a:p> " * depth + b"<a:o>" + b" )>>" * depth
            yield f"terms-{depth}.{suffix}", START + terms + b" .\n"
        yield f"open-terms.{suffix}", START + b"<<( <a:s> <a:p> " * 1_000_000
    yield "blank.ttl", START + b"[ <a:p> " * 1_000_000
    yield "list.ttl", START + b"(" * 1_000_000
    yield "bom.nt", b"\xef\xbb\xbf" + LINE
    yield "bom16.ttl", LINE.decode().encode("utf-16")
    yield "nul.nt", LINE + b"\0\n"
    yield "nul.ttl", LINE + b"\0\n"
    yield "latin1.nt", START + b'"\xe9" .\n'
    yield "surrogate.nt", START + b'"\xed\xa0\x80" .\n'
    yield "surrogate.ttl", START + b'"\xed\xa0\x80" .\n'
    yield "surrogate-escape.nt", START + b'"\\uD800" .\n'
    yield "surrogate-escape.ttl", START + b'"\\uDC00\\uD800" .\n'
    yield "surrogate.jsonld", b'{"@id":"http://a.org/x","http://a.org/p":"\\ud800"}'
    yield "beyond-unicode.nt", START + b'"\\UFFFFFFFF" .\n'
    yield "garbage.jsonld", b"\x00\xff" * 1000
    yield "garbage.rdf", b"\x00\xff" * 1000
    yield "empty.rdf", b""
    yield "truncated.nt.gz", gzip.compress(LINE * 1000)[:-20]
    yield "no-gzip.nt.gz", LINE * 1000
    yield "no-zip.zip", LINE * 1000
    yield "zeros.nt.gz", gzip.compress(bytes(BIG), 1)
    yield "ratio.nt.xz", lzma.compress(LINE * 1_000_000, preset=0)
    yield "window.nt.xz", xz_with_4_gib_dictionary()
    yield "window.nt.zst", zst_with_1_gib_window()


def xz_with_4_gib_dictionary() -> bytes:
    raw = bytearray(lzma.compress(LINE))
    size = (raw[12] + 1) * 4  # block header, whose third field is LZMA2's dictionary size
    raw[16] = 40
    raw[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(bytes(raw[12 : 12 + size - 4])))
    return bytes(raw)


def zst_with_1_gib_window() -> bytes:
    block = struct.pack("<I", len(LINE) << 3 | 1)[:3] + LINE
    return b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([20 << 3]) + block


RUNNER = """
import json, pathlib, re, resource, sys
from coldframe.kg.errors import ColdframeError
from coldframe.kg.reader import read_quads
touched = []
def used():
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
sys.addaudithook(lambda event, _: touched.append(event) if event.startswith("socket.") else None)
for path in sys.stdin.read().split("\\n"):
    start = used()
    try:
        read_quads(path)
        outcome = ["accepted", "", ""]
    except ColdframeError as error:
        outcome = [type(error).__name__, error.where, error.message]
    seconds = used() - start
    # Not RUSAGE_SELF: its peak survives exec, so that it starts with that of the test's own process.
    own = int(re.search("VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
    peaks = [own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]
    print(json.dumps([path, *outcome, seconds, *peaks, touched]), flush=True)
"""


def refuse_bombs(folder: Path, cpu_seconds_each: float = ENDLESS) -> int:
    """Read every bomb; how many there were."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    paths = []
    for name, content in bombs(listener.getsockname()[1]):
        paths.append(folder / name)
        paths[-1].write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [str(path) for path in paths]
    wrong, slow, peak = [], [], 0
    for path, kind, where, message, seconds, own, child, touched in rows:
        if kind != "ParseError" or not where.startswith(path) or not message:
            wrong.append((path, kind, where, message))
        if seconds > cpu_seconds_each:
            slow.append((path, seconds))
        if max(own, child) > max(peak, 256 << 10):
            wrong.append((path, "memory in KiB", own, child))
        peak = max(peak, own, child)
        assert touched == []
    assert wrong == []
    assert slow == []
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()
    return len(paths)


@pytest.mark.R(9)
def test_every_bomb_is_refused(tmp_path: Path) -> None:
    refuse_bombs(tmp_path)


def test_archives_that_could_hide_something(tmp_path: Path) -> None:
    def entry(name: str, mode: int = 0o644) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo("x")
        info.filename = info.orig_filename = name
        info.external_attr = mode << 16
        return info

    hostile = [
        entry("../out.nt"),
        entry("/etc/out.nt"),
        entry("a/../../out.nt"),
        entry("..\\out.nt"),
        entry("C:/out.nt"),
        entry("link.nt", stat.S_IFLNK | 0o777),
    ]
    for number, info in enumerate(hostile):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("good.nt", LINE)
            archive.writestr(info, LINE)
        with pytest.raises(ParseError, match="archive member"):
            read_quads(path)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".zip"] * len(hostile)


def test_archives_with_too_much_in_them(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for number in range(3):
            archive.writestr(f"{number}.nt", LINE * 600_000)
    for limits in (Limits(members=2), Limits(decompressed_bytes=1 << 20), Limits(ratio=100)):
        with pytest.raises(ParseError):
            read_quads(path, limits=limits)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no RDF")
    with pytest.raises(DataError, match="no RDF files"):
        read_quads(path)


def test_damaged_members(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.nt", b"".join(LINE.replace(b"x", b"%d" % i) for i in range(1000)))
    raw = bytearray(path.read_bytes())
    for at in range(40, 400, 7):
        damaged = bytearray(raw)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ParseError):
            read_quads(path)


def test_a_parser_that_crashes_is_only_an_error() -> None:
    crashing = b'{"a:p":' * 3_500 + b"1" + b"}" * 3_500  # overflows the stack of the JSON-LD parser
    limits = Limits(nesting=10**9, child_memory=1 << 30)
    with pytest.raises(ParseError, match=r"died of this input \(SIG"):
        read_quads(crashing, syntax="jsonld", limits=limits)
    with pytest.raises(ParseError, match="nested deeper than 100"):
        read_quads(crashing, syntax="jsonld")


def test_limits_of_the_child() -> None:
    values = b",".join(b'"http://a.org/%d":"%d"' % (i, i) for i in range(200_000))
    late_id = (
        b"{" + values + b',"@id":"http://a.org/x"}'
    )  # all must be kept until the name is known
    for limits, message in (
        (Limits(child_seconds=0.2, child_seconds_per_mb=0), "took longer"),
        (Limits(child_memory=64 << 20), "needs more than 64 MiB"),
        (Limits(statements=1000), "more than 1,000 statements"),
    ):
        with pytest.raises(ParseError, match=message):
            read_quads(late_id, syntax="jsonld", limits=limits)
    assert len(read_quads(late_id, syntax="jsonld", limits=Limits(child_memory=1 << 30))) == 200_000


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_the_guard_of_json_knows_strings(chunk: int) -> None:
    def depth_allowed(text: bytes, nesting: int) -> bool:
        guard = JsonGuard(Limits(nesting=nesting))
        try:
            for at in range(0, len(text), chunk):
                guard.feed(text[at : at + chunk])
        except RefusedError:
            return False
        return True

    tricks = rb'{"a]]]":["}\\",{"\"]]]":[[]],"\\\"":"[[[["}]}'
    assert json.loads(tricks)
    assert depth_allowed(tricks, 5)
    assert not depth_allowed(tricks, 4)
    assert depth_allowed(b"[" + b"[[]]," * 1000 + b"[]]", 3)
    hidden = b"".join(rb'["]","\\",' for _ in range(200))
    assert not depth_allowed(hidden, 100)


SEEDS = {
    "nquads": LINE
    + b'<http://a.org/s> <http://a.org/p> "caf\\u00e9 \xc3\xa9"@fr <http://a.org/g> .\n'
    b'_:b <http://a.org/p> "4.5"^^<http://www.w3.org/2001/XMLSchema#decimal> . # note\n',
    "trig": b'@prefix a: <http://a.org/> .\na:g { a:s a:p \'x\', [ a:q (1 2.5 true) ] ; a:r """two\nlines'
    b'\\t"""@en . a:s a:p a:o {| a:rating 5 |} . << a:s a:p a:o >> a:q _:b }\n',
    "rdfxml": xml(b"", described(b"caf\xc3\xa9 &amp; more") * 2),
    "jsonld": b'{"@context":{"a":"http://a.org/"},"@graph":[{"@id":"a:x","a:p":["y",1.5,{"@id":"a:z"}],'
    b'"a:q":{"@value":"caf\\u00e9","@language":"fr"}},{"@id":"a:y","@type":"a:T"}]}',
}
SPLICES = (
    b"<",
    b">",
    b'"',
    b"'",
    b"[",
    b"{",
    b"(",
    b"<<(",
    b"\\u",
    b"@",
    b"^^",
    b"\0",
    b"\xff",
    b"\n",
)


def mutated(seed: bytes, random: np.random.Generator) -> bytes:
    """One to four changes: flip, delete, repeat, move or splice."""
    data = bytearray(seed)
    for _ in range(random.integers(1, 5)):
        at, length = int(random.integers(len(data))), int(random.integers(1, 9))
        kind = random.integers(5)
        if kind == 0:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 1 and len(data) > 20:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length] * int(random.integers(1, 50))
        elif kind == 3:
            data[at:at] = data[int(random.integers(len(data))) :][:length]
        else:
            data[at:at] = SPLICES[int(random.integers(len(SPLICES)))]
    return bytes(data)


def survive(syntax: str, count: int, seed: int, cpu_seconds_each: float = ENDLESS) -> None:
    random = np.random.default_rng(seed)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(count):
        data = mutated(SEEDS[syntax], random)
        start = cpu_seconds()
        try:
            read_quads(data, syntax=syntax)
            outcomes["read"] += 1
        except ParseError as error:
            outcomes["refused"] += error.where.startswith("<bytes>") and bool(error.message)
        assert cpu_seconds() - start < cpu_seconds_each
    assert sum(outcomes.values()) == count
    assert outcomes["refused"] > 0
    # Memory needs no test here: the child has less than 512 MiB of address space.
    assert Limits().child_memory < 512 << 20


def cpu_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@pytest.mark.R(8)
@pytest.mark.parametrize(
    ("syntax", "count"), [("nquads", 3_900), ("trig", 15_980), ("rdfxml", 60), ("jsonld", 60)]
)
def test_mutated_files(syntax: str, count: int) -> None:
    survive(syntax, count, seed=8)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.R(8)
@pytest.mark.parametrize("syntax", SEEDS)
def test_five_thousand_mutated_files_of_each_syntax(syntax: str) -> None:
    survive(syntax, 5_000, seed=88)
