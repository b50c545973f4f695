"""The Python face of the chain: fit a catalog, recommend, doubt, explain, take answers in, retrain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ..kg.catalog import Catalog, graph_of
from ..kg.coldstart import resolve
from ..kg.errors import DataError, StateError, UsageError
from ..kg.graph import FloatArray, Graph, Interactions, NodeSet
from ..kg.graph_checks import check_graph, check_rows
from ..kg.in_memory import as_pairs, whole
from ..kg.split import Split, check_split
from ..kg.vocabulary import IntArray
from .ablation import ablated, ablated_hybrid
from .checkpoint import latest, load_checkpoint, save_checkpoint
from .config import RecommenderConfig
from .data import TrainingData
from .device import resolve_device
from .explanation import Explanation, explain
from .extension import extended
from .hybrid import Hybrid
from .kg_prior import KGPrior
from .labels import corrections, labelled_rows
from .neighbours import neighbours, similar_items
from .part_state import catalog_of, interactions_in
from .posterior import Posterior
from .ranking import BLOCK_ENTRIES, RECOMMENDATIONS, Reserve, best_items, scores_of_pairs
from .recommender_state import RecommenderState, groups_of, restore
from .scorer_base import fitted
from .self_supervised import fit_without_interactions, untouched
from .text import embed_nodes, kept_space
from .tfidf import TfidfSpace
from .trainer import EncoderScorer
from .uncertainty import Method, posterior_of, save_members

Progress = Callable[[str, int, int], None]
Pairs = Iterable[tuple[str, str]] | Any  # or a table: see `as_pairs`


class Recommender:
    """Scores of user-item pairs with uncertainty, learned from a catalog.

    Args:
        config: its settings; see `RecommenderConfig`.
        seed: everything random is derived from it, but for what the linear parts, the prior, TF-IDF and the
            gate's play of answered items draw, which is the same for every seed.
        device: "cpu", "cuda" or "auto" (the GPU, if any). progress: called with (what, done, of).

    Raises:
        UsageError: a seed that is no whole number from 0, a device that there is not.

    Attributes (after `fit` or `load`):
        graph: the catalog's graph. scorer: the fitted `Hybrid`. data: what it was fitted on.
    """

    def __init__(
        self,
        config: RecommenderConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> None:
        if config is not None and not isinstance(config, RecommenderConfig):
            raise UsageError(
                f"got {config!r:.80}, expected a RecommenderConfig",
                where="config",
                hint="a HybridConfig goes into RecommenderConfig(hybrid=...)",
            )
        self.config = config or RecommenderConfig()
        self.seed, self.progress = whole(seed, "seed", 0), progress
        self.device = resolve_device(device)
        self.scorer: Hybrid | None = None
        self._of_graph: EncoderScorer | None = None  # the encoder where nothing was touched yet
        self._data: TrainingData | None = None
        self._valid = Interactions.empty()
        self._source: Path | None = None

    @property
    def data(self) -> TrainingData:
        """What the scorer was fitted on; StateError before `fit`."""
        return fitted(self._data, "the recommender")

    @property
    def graph(self) -> Graph:
        return self.data.graph

    @property
    def known(self) -> sp.csr_matrix:
        """Pairs that were trained or tuned on or are rated low, binary (n_users, n_items).

        Of what the catalog knows, only the likes that a split holds out for testing are missing.
        """
        events = self.graph.interactions
        return self.data.pairs(self.data.train, self._valid, events.select(events.label == 0))

    @property
    def posterior(self) -> Posterior:
        """Beliefs about every item in closed form; StateError where "kg-prior" is no part."""
        return posterior_of(self._scorer.parts)

    @property
    def encoder(self) -> EncoderScorer | None:
        """The part "encoder", or before any interactions the one trained on graph and texts alone."""
        found = self._scorer.parts.get("encoder", self._of_graph)
        return found if isinstance(found, EncoderScorer) else None

    @property
    def _scorer(self) -> Hybrid:
        return fitted(self.scorer, "the recommender")

    def fit(
        self, catalog: Catalog | Graph, split: Split | None = None, *, work: Path | None = None
    ) -> Self:
        """Embed the texts, fit the parts, learn the gate.

        Args:
            split: what to train and tune on; None = all interactions, a tenth of each user's held
                out for tuning.
            work: folder in which the same fit goes on where it was interrupted.

        Raises:
            UsageError: the split is none. DataError: the catalog has no items, a graph made by hand does
            not fit together, or the split is of another graph. StateError, IntegrityError: see `Hybrid.fit`.
        """
        graph = graph_of(catalog)
        check_graph(graph)
        if split is not None:
            check_split(split)
            for part in ("train", "valid"):
                check_rows(graph, getattr(split, part), f"the split's part {part}")
        if not graph.n_items:
            raise DataError(f"catalog {graph.name!r} has no items")
        self._source = catalog.path if isinstance(catalog, Catalog) else None
        self._data = self._training_data(catalog, graph, split, work)
        self._valid = Interactions.empty() if split is None else split.valid
        self.scorer = self._new_scorer({})
        if self._data.positives.nnz == 0:
            # Nothing to rank users' tastes by; what the graph and the texts say is still there.
            self._of_graph = fit_without_interactions(self._data, self.scorer, work=work)
            return self
        final = self._data
        if self.config.refit and len(self._valid):
            final = self._data.with_train(self._data.train.concat(self._valid))
        self.scorer.fit(self._data, self._valid, final=final, work=work)
        if final is not self._data:
            self._data, self._valid = final, Interactions.empty()
        return self

    def _training_data(
        self, catalog: Catalog | Graph, graph: Graph, split: Split | None, work: Path | None
    ) -> TrainingData:
        graph = ablated(graph, self.config.ablation, self.seed)
        if split is None:
            train = resolve(graph.interactions, graph.n_items)
        else:
            train = split.train
        folder = catalog.text_folder if isinstance(catalog, Catalog) else None
        space = kept_space(graph, self.config.text, work)
        text = embed_nodes(
            graph, self.config.text, cache=folder, device=self.device, space=space,
            progress=lambda done, of: self._say("embed texts", done, of),
        )  # fmt: skip
        return TrainingData(graph, train, text, space)

    def _new_scorer(self, settings: Mapping[str, Any]) -> Hybrid:
        hybrid = ablated_hybrid(self.config.hybrid, self.config.ablation)
        return Hybrid(
            hybrid, seed=self.seed, device=self.device, settings=settings, progress=self.progress
        )

    def _say(self, what: str, done: int, of: int) -> None:
        if self.progress is not None:
            self.progress(what, done, of)

    def recommend(
        self,
        users: Iterable[str] | None = None,
        k: int = 10,
        *,
        exclude_known: bool = True,
        items: Iterable[str] | None = None,
        new: int = 0,
        uncertainty: Method = "laplace",
    ) -> pa.Table:
        """The k best items of each user: columns user, item, rank, score, std, probability.

        Args:
            users: IRIs or original ids; None = all users.
            exclude_known: leave out pairs that were trained or tuned on, or are rated low.
            items: candidates; None = all items, cold ones included.
            new: at least so many of each list are items that nobody had liked by themselves, as far as
                there are any to score. Answers to questions do not count, however many there are, unless
                the catalog has no likes but these.
            uncertainty: what the column std holds; see `uncertainty`.

        Raises:
            UnknownIdError: an id that the catalog does not have. UsageError: an unknown method.
            StateError: nothing was learned, or nothing that the method looks at.
        """
        tables = list(
            self.recommend_batches(
                users,
                k,
                exclude_known=exclude_known,
                items=items,
                new=new,
                uncertainty=uncertainty,
            )
        )
        return pa.concat_tables(tables) if tables else RECOMMENDATIONS.empty_table()

    def recommend_batches(
        self,
        users: Iterable[str] | None = None,
        k: int = 10,
        *,
        exclude_known: bool = True,
        items: Iterable[str] | None = None,
        new: int = 0,
        uncertainty: Method = "laplace",
    ) -> Iterator[pa.Table]:
        """`recommend` in blocks of users, so that memory stays bounded however many there are."""
        k, new = whole(k, "k"), whole(new, "new", 0)
        if new > k:
            raise UsageError(f"must be between 0 and k, which is {k}, got {new}", where="new")
        graph = self.graph
        chosen = _chosen(graph.users, users, "user")
        among = None if items is None else graph.items.vocabulary.indices(items, kind="item")
        known = self.known if exclude_known else None
        reserve = Reserve(self.data.untold_degree == 0, new) if new else None
        step = max(1, BLOCK_ENTRIES // max(graph.n_items, 1))
        for start in range(0, len(chosen), step):
            block = chosen[start : start + step]
            self._say("recommend", start, len(chosen))
            scores = self._scores(block)
            yield best_items(
                self.graph, block, scores, known, among, k, self._scorer, uncertainty, reserve
            )
        self._say("recommend", len(chosen), len(chosen))

    def _scores(self, users: IntArray) -> FloatArray:
        if not self._scorer.parts:
            raise StateError(
                "nothing was learned from interactions yet, so there is nothing to rank by",
                hint="ask for similar items, or take in likes and retrain first",
            )
        return self._scorer.score(users)

    def scores(self, pairs: Pairs) -> FloatArray:
        """Scores of (user, item) pairs by id, float32 (n,); NaN where nothing is known.

        Pairs, here and below, are those of `in_memory.as_pairs`: an iterable of two ids each, an array
        (n, 2), or a data frame or Arrow table with columns user and item.
        """
        return scores_of_pairs(self._scores, *self._indices(pairs))

    def probability(self, pairs: Pairs) -> FloatArray:
        """Chances that (user, item) pairs by id turn out positive, float32 (n,); see `calibration`.

        NaN where nothing is known, or where training could hold out too few pairs to learn them from.
        """
        users, items = self._indices(pairs)
        scores = scores_of_pairs(self._scores, users, items)
        return self._scorer.chances(users, items, scores)

    def uncertainty(self, pairs: Pairs, method: Method = "laplace") -> FloatArray:
        """Standard deviation of the logit of (user, item) pairs by id, float32 (n,).

        Args:
            method: "laplace", of the posterior; "mc-dropout" or "ensemble", of the encoder's scores.
        """
        return self._scorer.deviation(method, *self._indices(pairs))

    def _indices(self, pairs: Pairs) -> tuple[IntArray, IntArray]:
        listed = as_pairs(pairs)
        users = self.graph.users.vocabulary.indices([u for u, _ in listed], kind="user")
        return users, self.graph.items.vocabulary.indices([i for _, i in listed], kind="item")

    def similar(self, item: str, k: int = 10) -> pa.Table:
        """The k nearest items: columns item, similarity, title; with or without interactions."""
        index = int(self.graph.items.vocabulary.indices([item], kind="item")[0])
        return similar_items(self.data, self.encoder, index, k)

    def similar_batches(
        self, items: Iterable[str] | None = None, k: int = 10
    ) -> Iterator[pa.Table]:
        """The k nearest items of each of these, or of every item, in blocks: columns item, rank, similar,
        similarity, title."""
        chosen = _chosen(self.graph.items, items, "item")
        yield from neighbours(self.data, self.encoder, chosen, k)

    def explain(self, user: str, item: str, k: int = 5) -> Explanation:
        """Why this score: the parts' shares, the k best paths and the nearest texts."""
        (u,), (i,) = self._indices([(user, item)])
        return explain(self._scorer, self.data, int(u), int(i), whole(k, "k", 0), self.encoder)

    def tell(self, answers: Any) -> Self:
        """Take answers in at once: the posterior is updated in closed form, nothing is retrained.

        An answer takes the place of what was told of the same pair before; of several here the last counts.

        Args:
            answers: an Arrow table, data frame or list of records with columns user, item (ids), label
                (1, 0, or null = cannot tell: left out) and, if there, round (default 1); or rows of
                interactions.

        Raises:
            UsageError, UnknownIdError, DataError: it is no table, or an id or a label is wrong; nothing is
            taken in then.
        """
        rows = answers if isinstance(answers, Interactions) else self.interactions(answers)
        train = self.data.train
        rows, corrected = corrections(train, rows, self.graph.n_items)
        prior = self._scorer.parts.get("kg-prior")
        if isinstance(prior, KGPrior):
            beliefs = prior.posterior
            if corrected.any():
                beliefs = beliefs.without(train.user[corrected], train.item[corrected])
            prior.restore(beliefs.update(rows.user, rows.item, rows.label))
        self._data = self.data.with_train(train.select(~corrected).concat(rows))
        if self._scorer.parts:
            self._scorer.hear(self._data)
        return self

    def extend(self, later: Catalog | Graph) -> Self:
        """Take in a later state of the catalog: what is new there scores at once, nothing is trained.

        New nodes, attributes and events are added; the model's own stay as they are, also where the
        later state lacks or contradicts them. Events of pairs that the model's catalog has, held-out
        ones too, are none that are new; one of a pair that was told of takes the answer's place.

        The linear parts are fitted anew, the gate and the encoder's weights stay; new nodes are encoded
        by what describes them and by their events. Node types, relations and texts of a kind that the
        encoder was not trained with reach the linear parts alone.

        Saved afterwards, it is loaded with the grown graph: `load(path, model.graph)`.

        Raises:
            DataError: it names other types as users or items. IntegrityError: its texts cannot be
            embedded as the model's were. Whatever is raised, the model is as it was.
        """
        graph = ablated(graph_of(later), self.config.ablation, self.seed)
        data, of_graph = extended(self.data, graph, self.config.text, self.device), self._of_graph
        if of_graph is not None:
            of_graph = of_graph.refresh(untouched(data))
        if self._scorer.parts:
            self._scorer.refresh(data)
        self._data, self._of_graph, self._source = data, of_graph, None
        return self

    def interactions(self, answers: Any) -> Interactions:
        """Answers by id as rows of interactions; see `labelled_rows`."""
        return labelled_rows(answers, self.graph, self.data.train.split_names)

    def retrain(self) -> Self:
        """Learn from everything told since: linear parts anew, the encoder on from where it was.

        The gate and the parts' settings stay. Before the first interactions this is `fit`.
        """
        if not self._scorer.parts:
            if self.data.positives.nnz:
                self._scorer.fit(self.data)
            return self
        self._scorer.retrain(self.data)
        return self

    def save(self, folder: str | Path, step: int = 0) -> Path:
        """Write a checkpoint under `folder`; returns its path. See `gnn.checkpoint`."""
        scorer = self._scorer
        save_members(scorer.members, Path(folder), step)
        groups = groups_of(scorer, self.data, self._valid)
        source = None if self._source is None else str(self._source.resolve())
        meta = RecommenderState.of(scorer, self.config, source, self.data).as_dict()
        if self.encoder is not None:
            return self.encoder.state.save(Path(folder), step, groups=groups, recommender=meta)
        return save_checkpoint(Path(folder), step, groups, {"recommender": meta})

    @classmethod
    def load(
        cls,
        path: str | Path,
        catalog: Catalog | Graph | None = None,
        *,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> Self:
        """A recommender from a checkpoint, or from a folder's latest.

        Args:
            catalog: None = the catalog folder it was fitted on.

        Raises:
            StateError: there is no checkpoint, or its catalog was in memory and is not given.
            IntegrityError: it is damaged, or not of this very graph, which rounds do not change.
        """
        checkpoint = load_checkpoint(latest(Path(path)) or Path(path))
        state = RecommenderState.read(checkpoint)
        model = cls(state.config, seed=state.seed, device=device, progress=progress)
        if catalog is None:
            catalog = catalog_of(state.catalog, checkpoint.path)
        graph = graph_of(catalog)
        model._source = catalog.path if isinstance(catalog, Catalog) else None
        train, valid = (interactions_in(checkpoint.groups, name) for name in ("train", "valid"))
        graph = ablated(graph, state.config.ablation, model.seed)
        state.check(graph)
        text = {kind: rows.numpy() for kind, rows in checkpoint.groups.get("text", {}).items()}
        words = checkpoint.groups.get("words")
        space = None if words is None else TfidfSpace.restore(words)
        model._data, model._valid = TrainingData(graph, train, text, space), valid
        model.scorer = model._new_scorer(state.settings)
        if "gate" in checkpoint.groups:
            restore(model.scorer, state, checkpoint, model.data)
        elif "encoder" in checkpoint.groups:
            seen = untouched(model.data)
            model._of_graph = EncoderScorer.load(checkpoint.path, seen, device=model.device)
        return model


def _chosen(nodes: NodeSet, names: Iterable[str] | None, kind: str) -> IntArray:
    """Indices of the named nodes; None = of all."""
    return np.arange(len(nodes)) if names is None else nodes.vocabulary.indices(names, kind=kind)
