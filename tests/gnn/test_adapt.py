"""Masked-word adaptation of a tiny model: it learns, LoRA trains little, the result embeds texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from coldframe.gnn.adapt import AdaptConfig, adapt_text_model, mask_tokens
from coldframe.gnn.text import TextConfig, embed_texts
from coldframe.kg.errors import DataError, ResourceError, UsageError

PLANTS = ("rose", "lily", "fern", "moss")
COLOURS = ("red", "white", "green", "brown")
# The colour follows from the plant: there is something to learn.
TEXTS = [f"the {COLOURS[k % 4]} {PLANTS[k % 4]} number {k} is a plant" for k in range(60)]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=5 + len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=32,
    )  # fmt: skip
    BertForMaskedLM(shape).save_pretrained(folder)
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    return folder


def test_full_training_learns_and_the_result_embeds(tiny_model: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int, float]] = []
    got = adapt_text_model(
        TEXTS, tmp_path / "out", AdaptConfig(epochs=6, learning_rate=3e-3), model=str(tiny_model),
        progress=lambda *call: steps.append(call),
    )  # fmt: skip
    assert got.after < got.before - 0.5
    assert got.trained == got.total
    assert steps[-1][0] == steps[-1][1] == len(steps) == 6 * 4
    rows = embed_texts(TEXTS[:3], TextConfig(str(got.folder)))
    assert rows.shape == (3, 32)
    assert not np.allclose(rows, embed_texts(TEXTS[:3], TextConfig(str(tiny_model))))


def test_lora_trains_a_few_weights_and_merges_them(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="extra lora is not installed")
    config = AdaptConfig(epochs=8, learning_rate=3e-2, lora_rank=4)
    got = adapt_text_model(TEXTS, tmp_path / "out", config, model=str(tiny_model))
    assert got.after < got.before
    assert got.trained < got.total / 10
    names = {one.name for one in got.folder.iterdir()}
    assert "model.safetensors" in names
    assert not any("adapter" in name for name in names)
    before = embed_texts(TEXTS[:3], TextConfig(str(tiny_model)))
    assert not np.allclose(embed_texts(TEXTS[:3], TextConfig(str(got.folder))), before, atol=1e-3)


def test_the_same_seed_gives_the_same_model(tiny_model: Path, tmp_path: Path) -> None:
    config = AdaptConfig(epochs=1)
    one, two = (
        adapt_text_model(TEXTS, tmp_path / name, config, model=str(tiny_model)) for name in "ab"
    )
    assert (one.before, one.after) == (two.before, two.after)
    name = "model.safetensors"
    assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_masking_follows_its_shares_and_spares_special_tokens() -> None:
    ids = torch.randint(5, 1000, (200, 50), generator=torch.Generator().manual_seed(1))
    special = torch.zeros_like(ids, dtype=torch.bool)
    special[:, 0] = True
    hidden, labels = mask_tokens(ids, special, 0.15, 4, 1000, torch.Generator().manual_seed(0))
    chosen = labels != -100
    assert not chosen[:, 0].any()
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(hidden[~chosen], ids[~chosen])
    assert float(chosen[:, 1:].float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((hidden[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.04)
    _, few = mask_tokens(ids[:1, :3], special[:1, :3], 1e-9, 4, 9, torch.Generator())
    assert int((few != -100).sum()) == 1, "at least one token is guessed"


def test_refusals_are_named(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no language model"):
        adapt_text_model(TEXTS, tmp_path / "out", model="tfidf")
    with pytest.raises(DataError, match="1 texts"):
        adapt_text_model(["one", "one", ""], tmp_path / "out", model=str(tiny_model))
    with pytest.raises(ResourceError):
        adapt_text_model(TEXTS, tmp_path / "out", model="nobody/no-such-model")
    for name, value in (("masked", 0), ("lora_rank", -1), ("clip", 0.0)):
        with pytest.raises(UsageError, match=name):
            AdaptConfig(**{name: value})
    assert not (tmp_path / "out").exists()
