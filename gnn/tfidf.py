"""TF-IDF and a truncated SVD: vectors of texts where there is no language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..kg.errors import IntegrityError
from ..kg.graph import FloatArray

_SETTINGS: Mapping[str, Any] = {"sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b"}


@dataclass(frozen=True)
class TfidfSpace:
    """The space of latent semantic analysis, fitted on some texts (Deerwester et al., JASIS 1990).

    It is kept with a model and never fitted again for later texts: of singular vectors of about the same
    value, which words that stand in one text each have, any rotation will do, and which comes out
    hangs on the order of the texts and on the number of threads.

    Attributes:
        words: v words, sorted. idf: float64 (v,). axes: float32 (v, d), the leading right singular
            vectors; d = 0 where no text has a word that tells it from the others.
    """

    words: tuple[str, ...]
    idf: npt.NDArray[np.float64]
    axes: FloatArray

    @classmethod
    def fit(cls, texts: Sequence[str], dimensions: int) -> Self:
        """Of at most so many dimensions; fewer where the texts or their words are fewer."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.utils.extmath import randomized_svd, svd_flip

        known = [text for text in texts if text.strip()]
        vectorizer = TfidfVectorizer(**_SETTINGS, max_df=0.5 if len(known) > 10 else 1.0)
        try:
            counts = vectorizer.fit_transform(known)
        except ValueError:  # no word is left: no text, punctuation only, the same words everywhere
            return cls((), np.zeros(0), np.zeros((0, 0), np.float32))
        width = max(1, min(dimensions, min(counts.shape) - 1))
        left, _, right = randomized_svd(counts, width, n_iter=5, random_state=0, flip_sign=False)
        _, right = svd_flip(left, right, u_based_decision=False)
        axes = np.ascontiguousarray(right.T, np.float32)
        return cls(tuple(vectorizer.get_feature_names_out()), vectorizer.idf_, axes)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, float32 (n, d); zero where a text has none of the words."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        if not self.words or not len(texts):
            return np.zeros((len(texts), self.axes.shape[1]), np.float32)
        vectorizer = TfidfVectorizer(**_SETTINGS, vocabulary=self.words)
        vectorizer.idf_ = self.idf
        return unit_rows(vectorizer.transform(texts) @ self.axes)

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint; `restore` reads them."""
        words = np.frombuffer("\n".join(self.words).encode(), np.uint8)
        return {
            "words": torch.from_numpy(words.copy()),
            "idf": torch.from_numpy(self.idf),
            "axes": torch.from_numpy(self.axes),
        }

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor]) -> Self:
        """IntegrityError where they do not fit together."""
        try:
            text = tensors["words"].numpy().tobytes().decode()
            words = tuple(text.split("\n")) if text else ()
            idf, axes = tensors["idf"].numpy(), tensors["axes"].numpy()
        except (KeyError, UnicodeDecodeError) as error:
            raise IntegrityError(f"no space of texts: {error!r}", where="words") from error
        if idf.shape != (len(words),) or axes.ndim != 2 or len(axes) != len(words):
            raise IntegrityError(
                f"shapes do not fit: {len(words)} words, idf {idf.shape}, axes {axes.shape}",
                where="words",
            )
        return cls(words, idf, axes)


def unit_rows(rows: npt.NDArray[Any]) -> FloatArray:
    """Rows of unit length, float32; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float32)
