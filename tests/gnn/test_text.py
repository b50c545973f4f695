"""Text embeddings: unit rows, one miss per changed text, verified weights, no network."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from coldframe.gnn import text
from coldframe.gnn.text import LanguageModel, TextConfig, embed_texts
from coldframe.gnn.textcache import TextCache
from coldframe.gnn.tfidf import TfidfSpace
from coldframe.kg.errors import IntegrityError, ResourceError, UsageError

TEXTS = ("a red rose in the garden", "", "a blue lily in the pond", "roses are red", "  ")
WORDS = sorted({word for line in TEXTS for word in line.split()})


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT with a word vocabulary, as a model folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(shape).save_pretrained(folder)
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    return folder


def test_rows_are_unit_or_zero_in_every_backend(tiny_model: Path) -> None:
    for model in ("tfidf", str(tiny_model)):
        rows = embed_texts(TEXTS, TextConfig(model))
        assert rows.dtype == np.float32
        lengths = np.linalg.norm(rows, axis=1)
        np.testing.assert_allclose(lengths, [1, 0, 1, 1, 0], atol=1e-6)
    assert embed_texts(TEXTS, TextConfig("none")).shape == (5, 0)


def test_batches_and_order_do_not_matter(tiny_model: Path) -> None:
    one = embed_texts(TEXTS, TextConfig(str(tiny_model), batch_size=1))
    many = embed_texts(TEXTS[::-1], TextConfig(str(tiny_model), batch_size=4))[::-1]
    np.testing.assert_allclose(one, many, atol=2e-3)  # float16 steps


def test_a_text_longer_than_the_model_takes_is_cut(tiny_model: Path) -> None:
    """The tokenizer does not say how many tokens the model has positions for."""
    long = " ".join(WORDS[0] for _ in range(600))
    config = TextConfig(str(tiny_model), max_length=1000)
    assert np.isfinite(embed_texts([long], config)).all()


def test_tfidf_puts_like_texts_near_and_keeps_the_space_of_its_corpus() -> None:
    corpus = [f"{colour} {plant}" for colour in ("red", "blue", "white") for plant in WORDS]
    space = TfidfSpace.fit(corpus, 256)
    rows = embed_texts(("red rose", "red roses", "blue lily"), TextConfig("tfidf"), space=space)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    later = embed_texts(("blue lily",), TextConfig("tfidf"), space=space)
    np.testing.assert_allclose(later[0], rows[2], atol=1e-6)


def test_a_space_of_tfidf_is_saved_whole_and_refused_in_part() -> None:
    space = TfidfSpace.fit(["rote Blüte", "weiße Blüte", "Rinde"], 8)
    tensors = space.tensors()
    again = TfidfSpace.restore(tensors)
    assert again.words == space.words == ("blüte", "rinde", "rote", "weiße")
    np.testing.assert_array_equal(again.embed(["Blüte rot"]), space.embed(["Blüte rot"]))
    for damaged in ({}, tensors | {"idf": tensors["idf"][1:]}, tensors | {"axes": tensors["idf"]}):
        with pytest.raises(IntegrityError):
            TfidfSpace.restore(damaged)
    assert TfidfSpace.restore(TfidfSpace.fit(["!"], 8).tensors()).embed(["a"]).shape == (1, 0)


def test_one_text_alone_is_like_itself() -> None:
    space = TfidfSpace.fit(["a red rose"], 8)
    np.testing.assert_allclose(np.abs(space.embed(["a red rose", "oak"])), [[1], [0]], atol=1e-6)


def test_no_text_at_all_gives_no_columns() -> None:
    assert embed_texts(("", " "), TextConfig("tfidf")).shape == (2, 0)


def test_cache_hits_equal_fresh_rows_and_a_changed_text_is_one_miss(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TextConfig(str(tiny_model))
    asked: list[list[str]] = []
    embed = LanguageModel.embed

    def spy(self: LanguageModel, texts: list[str], progress: object = None) -> np.ndarray:
        asked.append(list(texts))
        return embed(self, texts, progress)

    monkeypatch.setattr(LanguageModel, "embed", spy)
    fresh = embed_texts(TEXTS, config, cache=tmp_path)
    np.testing.assert_array_equal(embed_texts(TEXTS, config), fresh)
    np.testing.assert_array_equal(embed_texts(TEXTS, config, cache=tmp_path), fresh)
    embed_texts((*TEXTS[:3], "roses are blue"), config, cache=tmp_path)
    assert [len(texts) for texts in asked] == [3, 3, 1]
    assert asked[-1] == ["roses are blue"]
    embed_texts(TEXTS, TextConfig(str(tiny_model), max_length=4), cache=tmp_path)
    assert len(asked[-1]) == 3, "another setting is another model"


def test_torn_tail_and_flipped_bits_are_misses_never_wrong_rows(tmp_path: Path) -> None:
    cache = TextCache(tmp_path, "ab" * 32, 4)
    cache.append(["one", "two"], np.arange(8, dtype=np.float16).reshape(2, 4))
    raw = bytearray(cache.rows_path.read_bytes())
    raw[3] ^= 1
    cache.rows_path.write_bytes(bytes(raw) + b"torn")
    assert set(cache.read(["one", "two"])) == {"two"}
    cache.append(["one"], np.full((1, 4), 7, np.float16))
    found = cache.read(["one", "two"])
    np.testing.assert_array_equal(found["one"], np.full(4, 7))
    np.testing.assert_array_equal(found["two"], [4, 5, 6, 7])


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from coldframe.gnn.textcache import TextCache
cache = TextCache(Path(sys.argv[1]), "cd" * 32, 2)
for k in range(10):
    cache.append([f"{sys.argv[2]}-{k}"], np.array([[int(sys.argv[2]), k]], np.float16))
"""


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", _WRITER, str(tmp_path), str(worker)] for worker in range(3)]
    workers = [subprocess.Popen(command, cwd=tmp_path) for command in commands]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    names = {f"{worker}-{k}": (worker, k) for worker in range(3) for k in range(10)}
    found = TextCache(tmp_path, "cd" * 32, 2).read(list(names))
    assert {name: tuple(row) for name, row in found.items()} == names


def test_an_index_that_cannot_be_used_is_a_named_error(tmp_path: Path) -> None:
    texts = [f"text {k}" for k in range(2000)]
    cache = TextCache(tmp_path, "ab" * 32, 4)
    cache._index.execute("PRAGMA max_page_count = 3")  # as on a full disk, SQLite rolls back itself
    with pytest.raises(ResourceError, match="cannot be written: database or disk is full"):
        cache.append(texts, np.ones((2000, 4), np.float16))
    cache._index.execute("PRAGMA max_page_count = 1000")
    cache.append(texts, np.ones((2000, 4), np.float16))
    cache._index.execute("PRAGMA query_only = 1")
    with pytest.raises(ResourceError, match="cannot be written: attempt to write a readonly"):
        cache.append(["more"], np.ones((1, 4), np.float16))
    cache.close()
    index = tmp_path / "index.sqlite"
    raw = bytearray(index.read_bytes())
    raw[8192:] = b"\xff" * (len(raw) - 8192)
    index.write_bytes(raw)
    with pytest.raises(ResourceError, match="cannot be read"):
        TextCache(tmp_path, "ab" * 32, 4).read(texts)


def test_unwritable_cache_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="text cache"):
        TextCache(tmp_path / "file", "ab" * 32, 4)


def test_unknown_model_is_refused_without_a_network() -> None:
    with pytest.raises(ResourceError, match="neither a folder nor on this machine"):
        embed_texts(TEXTS, TextConfig("nobody/no-such-model"))


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match="precision"):
        TextConfig(precision="int8")
    with pytest.raises(UsageError, match="max_length"):
        TextConfig(max_length=0)


def test_weights_are_hashed_once_and_again_when_they_change(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packaged_model"
    shutil.copytree(tiny_model, package)
    (package / "__init__.py").write_text(
        "from pathlib import Path\nMODEL_DIR = Path(__file__).parent"
    )
    weights = package / "model.safetensors"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(text, "MINILM_PACKAGE", package.name)
    monkeypatch.setattr(text, "MINILM_SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    hashed: list[str] = []
    digest = hashlib.file_digest

    def spy(file: BinaryIO, name: str) -> object:
        hashed.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", spy)
    for _ in range(2):
        embed_texts(TEXTS, TextConfig("auto"))
    assert hashed.count(weights.name) == 1
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(IntegrityError, match="sha256"):
        embed_texts(TEXTS, TextConfig("minilm"))


def test_tampered_minilm_is_refused_and_auto_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(text.MINILM_PACKAGE, reason="extra lm is not installed")
    assert text.resolve("auto") == "minilm"
    monkeypatch.setattr(text, "MINILM_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match="sha256"):
        embed_texts(TEXTS, TextConfig("minilm"))
    assert text.resolve("auto") == "tfidf"


@pytest.mark.skipif(
    importlib.util.find_spec(text.MINILM_PACKAGE) is None, reason="extra lm is not installed"
)
def test_minilm_knows_meanings() -> None:
    rows = embed_texts(("a love story", "a romance", "space war with aliens"), TextConfig("minilm"))
    assert rows.shape == (3, 384)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
