"""What `train` can be told to learn with and without, each choice on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import RUNNER, run

from coldframe import cli
from coldframe.datasets.generated import GeneratedCatalog, generate_catalog
from coldframe.gnn.runs import Run
from coldframe.kg.catalog import Catalog

SMALL = (
    *("--epochs", "2", "--dimensions", "16", "--text", "tfidf"),
    *("--set", 'hybrid.parts=["popularity", "ease", "kg-prior", "encoder"]'),
    *("--set", "hybrid.tune=false"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> GeneratedCatalog:
    folder = tmp_path_factory.mktemp("choices")
    found = generate_catalog(folder / "data", size="tiny")
    run("ingest", *found.inputs, "--schema", found.schema, "--out", folder / "catalog")
    run("train", folder / "catalog", "--out", folder / "run", *SMALL)
    return found


@pytest.fixture(scope="module")
def usual(made) -> np.ndarray:
    return encoder_scores(made.folder.parent / "run")


def encoder_scores(folder: Path) -> np.ndarray:
    encoder = Run.open(folder, device="cpu").model.encoder
    assert encoder is not None
    return encoder.score(np.arange(10))


@pytest.mark.parametrize(
    "choice",
    [
        *([f"--set=hybrid.encoder.convolution={name}"] for name in ("sage", "rgcn", "hgt")),
        *([f"--set=hybrid.training.loss={name}"] for name in ("bpr", "bce", "mse")),
        *(
            [f"--set=hybrid.training.{name}=0.1"]
            for name in ("kg_completion", "view_contrast", "text_contrast")
        ),
        ["--set=hybrid.training.neighbours=2"],
        *(["--without", name] for name in ("kg", "text", "ids")),
        ["--randomise", "kg"],
    ],
    ids=lambda words: words[-1].rpartition(".")[2],
)
def test_each_choice_is_learned_with(made, usual, choice, tmp_path):
    run("train", made.folder.parent / "catalog", "--out", tmp_path / "run", *SMALL, *choice)
    found = encoder_scores(tmp_path / "run")
    assert np.isfinite(found).any()
    assert not np.allclose(found, usual, atol=1e-3)


def test_ratings_are_judged_where_they_were_learned(made, tmp_path):
    words = (
        "--set=hybrid.training.loss=mse",
        "--epochs",
        "30",
        "--set",
        "hybrid.training.warm_epochs=10",
    )
    run("train", made.folder.parent / "catalog", "--out", tmp_path / "run", *SMALL, *words)
    shown = ("evaluate", tmp_path / "run", "--models", "coldframe")
    found = run(*shown)["ratings"]
    opened = Run.open(tmp_path / "run", device="cpu")
    test, encoder = opened.split.test, opened.model.encoder
    rated = test.select(np.isfinite(test.rating))
    gaps = [
        rated.rating[n] - encoder.score(rated.user[[n]])[0, rated.item[n]]
        for n in range(len(rated))
    ]
    assert found["pairs"] + found["unknown"] == len(rated) > 0
    assert found["rmse"] == pytest.approx(np.sqrt(np.nanmean(np.square(gaps))), rel=1e-5)
    assert found["mae"] == pytest.approx(np.nanmean(np.abs(gaps)), rel=1e-5)
    assert found["mean"]["rmse"] > found["mean"]["mae"] > 0
    assert "RMSE" in RUNNER.invoke(cli.app, list(map(str, shown))).stdout
    usual = run("evaluate", made.folder.parent / "run", "--models", "coldframe")
    assert usual["ratings"] is None
    assert usual["gaps"] == []


def test_groups_of_users_are_compared(made):
    found = run(
        *("evaluate", made.folder.parent / "run", "--models", "coldframe,popularity", "--groups")
    )
    value = {(r["model"], r["segment"]): (r["ndcg@10"], r["users"]) for r in found["rows"]}
    assert {gap["model"] for gap in found["gaps"]} == {"coldframe", "popularity"}
    for gap in found["gaps"]:
        of = {
            name.partition("=")[2]: mean
            for (model, name), (mean, users) in value.items()
            if model == gap["model"] and name.startswith(f"{gap['feature']}=") and users >= 10
        }
        assert gap["highest"] == pytest.approx(max(of.values()), abs=1e-6)
        assert gap["lowest"] == pytest.approx(min(of.values()), abs=1e-6)
        assert of[gap["best"]] >= of[gap["worst"]]
        assert gap["gap"] == pytest.approx(gap["highest"] - gap["lowest"])


def test_without_walk_no_part_follows_other_users(made, tmp_path):
    words = (made.folder.parent / "catalog", "--out", tmp_path / "run", *SMALL)
    assert run("train", *words, "--without", "walk")["parts"] == ["kg-prior", "encoder"]


def test_the_graph_alone_can_be_randomised(made, tmp_path):
    words = ("train", made.folder.parent / "catalog", "--out", tmp_path / "run", "--json")
    done = RUNNER.invoke(cli.app, [*map(str, words), "--randomise", "text"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["where"] == "--randomise"


def test_an_adapted_model_embeds_the_texts_of_a_training(made, tmp_path):
    catalog = made.folder.parent / "catalog"
    base = tiny_model(tmp_path / "bert", catalog)
    options = ("--text", base, "--epochs", "1", "--learning-rate", "0.01")
    told = run("adapt-text", catalog, "--out", tmp_path / "full", *options)
    assert told["trained"] == told["weights"]
    pytest.importorskip("peft", reason="extra lora is not installed")
    told = run("adapt-text", catalog, "--out", tmp_path / "lora", *options, "--lora-rank", "2")
    assert told["trained"] < told["weights"] / 5
    run("train", catalog, "--out", tmp_path / "run", *SMALL, "--text", told["model"])
    assert np.isfinite(encoder_scores(tmp_path / "run")).any()
    done = RUNNER.invoke(
        cli.app,
        [*map(str, ("adapt-text", catalog, "--out", tmp_path / "no", "--learning-rate", "0"))],
    )
    assert done.exit_code == 2


def tiny_model(folder: Path, catalog: Path) -> Path:
    """A random one-layer BERT with the words of the catalog's texts."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    graph = Catalog.open(catalog).graph
    texts = (text for nodes in graph.nodes.values() for text in nodes.documents)
    words = sorted({word for text in texts for word in text.lower().split() if word.isalpha()})
    folder.mkdir()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=5 + len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(shape).save_pretrained(folder)
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    return folder


def test_an_unknown_device_is_refused_before_there_is_a_folder(made, tmp_path):
    words = ("train", made.folder.parent / "catalog", "--out", tmp_path / "run", "--json")
    done = RUNNER.invoke(cli.app, [*map(str, words), "--device", "gpu"])
    assert json.loads(done.stdout)["error"]["message"] == "unknown device 'gpu'"
    assert not (tmp_path / "run").exists()
