"""Adapting a language model to a catalog's texts: masked words, all weights or LoRA's few.

The result is a model folder like any other: give it as `TextConfig(model=...)`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..kg.errors import DataError, ResourceError, UsageError
from ..kg.files import atomic_folder
from ..kg.typed_fields import check_fields
from .randomness import generator_for, seeded
from .text import TextConfig, model_folder, resolve, token_limit

log = logging.getLogger(__name__)

Progress = Callable[[int, int, float], None]
_HELD_OUT = 0.1
_IGNORED = -100  # label of tokens whose prediction does not count, as in cross_entropy


@dataclass(frozen=True)
class AdaptConfig:
    """How a model is adapted.

    Attributes:
        epochs: passes over the texts.
        batch_size: texts per step.
        learning_rate: peak, after a tenth of the steps, falling linearly to zero. LoRA wants about ten
            times that of full training.
        masked: share of tokens to guess; of these 80 % are masked, 10 % replaced, 10 % left
            (Devlin et al. 2019, section 3.1).
        max_length: tokens kept of each text.
        lora_rank: 0 = train all weights; r = low-rank updates of the attention projections
            (Hu et al. 2022), merged into the weights at the end.
        clip: largest norm of the gradient.
    """

    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 5e-5
    masked: float = 0.15
    max_length: int = 128
    lora_rank: int = 0
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("epochs", "batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise UsageError(f"must be at least 1, got {getattr(self, name)}", where=name)
        if not 0 < self.learning_rate < math.inf:
            got = self.learning_rate
            raise UsageError(f"must be above 0, got {got}", where="learning_rate", hint="say 5e-5")
        if self.lora_rank < 0:
            raise UsageError(f"must not be negative, got {self.lora_rank}", where="lora_rank")
        if not 0 < self.clip < math.inf:
            raise UsageError(f"must be above 0, got {self.clip}", where="clip")
        if not 0 < self.masked < 1:
            raise UsageError(f"must be between 0 and 1, got {self.masked}", where="masked")


@dataclass(frozen=True)
class Adaptation:
    """What came of it.

    Attributes:
        folder: the adapted model.
        before, after: loss per masked token, nats, on held-out texts (a tenth; the same masks).
        trained, total: how many weights were trained, of how many.
    """

    folder: Path
    before: float
    after: float
    trained: int
    total: int


def adapt_text_model(
    texts: Sequence[str],
    out: Path,
    config: AdaptConfig | None = None,
    *,
    model: str = "auto",
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Adaptation:
    """Go on training a masked language model on the texts and write it to a new folder.

    A model that was saved without its masked-word head gets a fresh one, which is trained along and
    not kept.

    Args:
        texts: the catalog's; empty and repeated ones are left out.
        out: folder to write, all or nothing.
        model: as in `TextConfig`, but a language model.
        progress: called with (step, steps, loss).

    Raises:
        DataError: fewer than two texts, or the loss is no longer a number.
        UsageError: `model` is no language model.
        ResourceError: it is not on this machine, or LoRA was asked for and peft is not installed.
    """
    config = config or AdaptConfig()
    kind = resolve(model)
    if kind in ("tfidf", "none"):
        raise UsageError(
            f"{kind!r} is no language model",
            where="model",
            hint="install coldframe[lm], or name one",
        )
    distinct = list(dict.fromkeys(text for text in texts if text.strip()))
    if len(distinct) < 2:
        raise DataError(f"{len(distinct)} texts, at least 2 are needed", where="texts")
    with seeded(seed, "adapt", 0, device):
        run = _Run(model_folder(kind, TextConfig(model=kind)), config, seed, torch.device(device))
        held = max(1, round(_HELD_OUT * len(distinct)))
        order = torch.randperm(len(distinct), generator=generator_for(seed, "adapt-split")).tolist()
        test, train = ([distinct[i] for i in part] for part in (order[:held], order[held:]))
        before = run.evaluate(test)
        run.train(train, progress)
        after = run.evaluate(test)
        return Adaptation(run.save(out), before, after, *run.sizes)


class _Run:
    """One adaptation: the model, its tokens and its masks."""

    def __init__(self, folder: Path, config: AdaptConfig, seed: int, device: torch.device) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        self.config, self.seed, self.device = config, seed, device
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if self.tokenizer.mask_token_id is None:
            raise UsageError("the model has no mask token", where=str(folder))
        model = AutoModelForMaskedLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        self.total = sum(weight.numel() for weight in model.parameters())
        self.model: Any = (_with_lora(model, config.lora_rank) if config.lora_rank else model).to(
            device
        )
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.sizes = (sum(weight.numel() for weight in trained), self.total)
        self.trained = trained

    def train(self, texts: list[str], progress: Progress | None) -> None:
        """All epochs."""
        optimizer = torch.optim.AdamW(self.trained, lr=self.config.learning_rate)
        per_epoch = math.ceil(len(texts) / self.config.batch_size)
        steps, step = per_epoch * self.config.epochs, 0
        self.model.train()
        for epoch in range(self.config.epochs):
            generator = generator_for(self.seed, "adapt", epoch)
            order = torch.randperm(len(texts), generator=generator)
            for rows in torch.split(order, self.config.batch_size):
                rate = min((step + 1) / max(1, steps // 10), (steps - step) / steps)
                for group in optimizer.param_groups:
                    group["lr"] = self.config.learning_rate * min(1.0, rate)
                loss = self._loss([texts[row] for row in rows], generator)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(self.trained, self.config.clip)
                optimizer.step()
                step += 1
                if not math.isfinite(float(loss.detach())):
                    raise DataError(
                        f"the loss is {float(loss.detach())}", hint="lower learning_rate"
                    )
                if progress is not None:
                    progress(step, steps, float(loss.detach()))

    @torch.no_grad()
    def evaluate(self, texts: list[str]) -> float:
        """Mean loss over batches, with masks that are the same at every call."""
        self.model.eval()
        generator = generator_for(self.seed, "adapt-masks")
        size = self.config.batch_size
        losses = [
            float(self._loss(texts[start : start + size], generator))
            for start in range(0, len(texts), size)
        ]
        return sum(losses) / len(losses)

    def save(self, out: Path) -> Path:
        """The encoder without the head, with its tokenizer."""
        model = self.model.merge_and_unload() if self.config.lora_rank else self.model
        with atomic_folder(out) as temporary:
            model.base_model.save_pretrained(temporary, safe_serialization=True)
            self.tokenizer.save_pretrained(temporary)
        return out

    def _loss(self, batch: list[str], generator: torch.Generator) -> Tensor:
        limit = token_limit(self.config.max_length, self.tokenizer, self.model)
        tokens = self.tokenizer(
            batch, padding=True, truncation=True, max_length=limit, return_tensors="pt",
            return_special_tokens_mask=True,
        )  # fmt: skip
        special = tokens.pop("special_tokens_mask").bool()
        ids, labels = mask_tokens(
            tokens["input_ids"], special, self.config.masked,
            self.tokenizer.mask_token_id, len(self.tokenizer), generator,
        )  # fmt: skip
        tokens["input_ids"] = ids
        logits = self.model(**tokens.to(self.device)).logits
        targets = labels.to(self.device)
        return nn.functional.cross_entropy(
            logits[targets != _IGNORED], targets[targets != _IGNORED]
        )


def mask_tokens(
    ids: Tensor, special: Tensor, share: float, mask: int, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Tokens with some hidden, and what was there.

    Args:
        ids: int64 (batch, length). special: bool, the same shape, tokens never hidden.
        share: of the other tokens; at least one per batch.
        mask: id of the mask token. size: of the vocabulary.

    Returns:
        changed ids, and labels: the true id where it is to be guessed, else -100.
    """
    chance = torch.rand(ids.shape, generator=generator).masked_fill(special, 2.0)
    chosen = (chance < share) | (chance == chance.min())
    chosen &= ~special
    labels = ids.masked_fill(~chosen, _IGNORED)
    fate = torch.rand(ids.shape, generator=generator)
    other = torch.randint(size, ids.shape, generator=generator)
    hidden = torch.where(chosen & (fate < 0.8), mask, ids)
    return torch.where(chosen & (fate >= 0.9), other, hidden), labels


def _with_lora(model: Any, rank: int) -> Any:
    """Low-rank updates of the query and value projections, whatever the architecture calls them."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ResourceError("peft is not installed", hint="install coldframe[lora]") from error
    names = {
        name.rpartition(".")[2]
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear)
    }
    for wanted in (("query", "value"), ("q_lin", "v_lin"), ("q_proj", "v_proj"), ("Wqkv",)):
        if set(wanted) <= names:
            shape = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(wanted))
            return get_peft_model(model, shape)
    raise UsageError(
        "no attention projections found to adapt", where="lora_rank", hint="use lora_rank = 0"
    )
