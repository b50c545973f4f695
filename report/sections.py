"""The report's sections, each from plain data; one that has nothing to show is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import plots
from .html import Html, drawing, join, page, table, tag

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Example:
    """One recommendation for one user: titles of what the user likes, the item, and the reasons."""

    user: str
    likes: tuple[str, ...]
    item: str
    score: float
    deviation: float
    paths: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that a report shows.

    Attributes:
        counts: what the catalog holds: nodes by type, edges by relation, interactions.
        rows: rows of `evaluate --json`.
        differences: "differences" of `evaluate --json`: ours less the others, paired by user.
        calibration: "calibration" of `evaluate --json`; empty where there is none.
        rounds: per round: "round", "labels" told until then, "rows" of evaluation, and "compared":
            rows on the validation pairs at once and after retraining.
        loop: what `loop --json` prints; empty where no simulation was run.
        coverage: what -> share between 0 and 1 of it that an interaction or label informs.
        schema_svg: drawing of the schema graph with counts.
        card: the model card: key -> value.
        config: dotted key -> value of the effective configuration.
    """

    title: str
    subtitle: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    rows: Rows = ()
    differences: Rows = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    rounds: Rows = ()
    loop: Mapping[str, Any] = field(default_factory=dict)
    coverage: Mapping[str, float] = field(default_factory=dict)
    schema_svg: str = ""
    examples: Sequence[Example] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


METRIC = "ndcg@10"
ROWS = ("rows", "compared")  # of a round, shown apart
COMPARED = ("against", "segment", "metric", "mean", "low", "high", "p_holm")
EVALUATED = ("model", "segment", "users", "ndcg@10", "recall@10", "recall@20", "mrr@10")


def render(facts: Facts) -> str:
    """The report as one HTML document."""
    makers = (
        _catalog,
        _accuracy,
        _calibration,
        _rounds,
        _simulation,
        _coverage,
        _examples,
        _card,
        _settings,
    )
    sections = [section for make in makers if (section := make(facts)) is not None]
    return page(facts.title, sections, facts.subtitle)


Section = tuple[str, Html] | None


def _catalog(facts: Facts) -> Section:
    if not facts.counts and not facts.schema_svg:
        return None
    counted = table([{"what": name, "count": n} for name, n in facts.counts.items()])
    picture = drawing(facts.schema_svg, "Node types and relations of the catalog, with counts.")
    return "The catalog", join([picture if facts.schema_svg else "", counted])


def _accuracy(facts: Facts) -> Section:
    if not facts.rows:
        return None
    svg = plots.to_svg(plots.segment_bars(facts.rows, METRIC), "accuracy")
    words = (
        "Every user ranks all items that are not known already. Hot: the item has training "
        "interactions. Warm: it has some, but none was trained on. Cold: it has none at all."
    )
    names = [name for name in EVALUATED if any(name in row for row in facts.rows)]
    paired = (
        "Coldframe less each other model, paired by user, with 95 % bootstrap intervals; p_holm is "
        "the two-sided p corrected for the number of these comparisons (Holm)."
    )
    after = [tag("p", paired), table(facts.differences, COMPARED)] if facts.differences else []
    return "Accuracy on held-out interactions", join(
        [tag("p", words), drawing(svg, f"{METRIC} by segment."), table(facts.rows, names), *after]
    )


def _calibration(facts: Facts) -> Section:
    found = facts.calibration
    if not found:
        return None
    svg = plots.to_svg(plots.reliability_diagram(found["bins"]), "calibration")
    lists = f"the first {found['top']['of_each_user']} of each user"
    parts = {"all pairs": found, lists: found["top"], **found["kinds"]}
    names = ("pairs", "rate", "ece", "brier")
    rows = [{"of": part, **{name: one[name] for name in names}} for part, one in parts.items()]
    words = (
        "Pairs that were not known are grouped by the chance the model gave them; of a group with "
        "chance .1 a tenth should have turned out positive. ECE is the mean distance between the "
        "two, Brier the mean squared error of the chances, rate the share of positives."
    )
    caption = "Chances told and shares found, in groups of about equal size; on the line is right."
    return "Are the chances right", join(
        [tag("p", words), drawing(svg, caption), table(rows, ("of", *names))]
    )


def _rounds(facts: Facts) -> Section:
    if len(facts.rounds) < 2:
        return None
    svg = plots.to_svg(plots.round_curves(facts.rounds, METRIC), "rounds")
    listed = [{k: v for k, v in row.items() if k not in ROWS} for row in facts.rounds]
    compared = facts.rounds[-1].get("compared") or ()
    words = (
        "The last round on the validation pairs: ranked by the posterior, which takes answers in at "
        "once; by the model with it, before the other parts learned; and after retraining."
    )
    names = [name for name in EVALUATED if any(name in row for row in compared)]
    after = [tag("p", words), table(compared, names)] if compared else []
    return "Rounds of questions", join(
        [drawing(svg, f"{METRIC} after each round, by segment."), table(listed), *after]
    )


def _simulation(facts: Facts) -> Section:
    if not facts.loop.get("strategies"):
        return None
    svg = plots.to_svg(plots.learning_curves(facts.loop), "loop")
    rows = [
        {
            "strategy": name,
            "metric": metric,
            "gain over random": gain.get("mean"),
            "low": gain.get("low"),
            "high": gain.get("high"),
        }
        for name, outcome in facts.loop["strategies"].items()
        for metric, gain in (outcome.get("aulc_gain") or {}).items()
    ]
    seeds = len(list(facts.loop.get("seeds") or ()))
    several = seeds > 1
    words = (
        f"Simulated rounds ({facts.loop.get('protocol', '')}, {seeds} seed{'s' if several else ''}): a "
        "hidden part of the interactions answers the questions. The gain is the relative difference "
        "of the area under the curve over log(labels)"
        + (
            ", paired by seed, with its 95 % interval."
            if several
            else "; fewer than two seeds: no interval."
        )
    )
    caption = "Mean over seeds; bands are standard errors." if several else "One seed: no bands."
    return "Which questions teach most", join([tag("p", words), drawing(svg, caption), table(rows)])


def _coverage(facts: Facts) -> Section:
    if not facts.coverage:
        return None
    svg = plots.to_svg(plots.shares(facts.coverage, "share informed"), "coverage")
    words = "What at least one interaction or answer informs, directly or through a shared entity."
    return "Coverage of the catalog by labels", join([tag("p", words), drawing(svg, "")])


def _examples(facts: Facts) -> Section:
    if not facts.examples:
        return None
    return "Recommendations, explained", join(_example(one) for one in facts.examples)


def _example(one: Example) -> Html:
    reasons = [tag("li", reason) for reason in (*one.paths, *one.texts)]
    liked = ", ".join(one.likes) or "nothing yet"
    return join(
        [
            tag("h3", one.item),
            tag("p", f"for {one.user}: score {one.score:.3f} ± {one.deviation:.3f}"),
            tag("p", f"likes {liked}", class_="soft"),
            tag("ul", *reasons) if reasons else tag("p", "no path of two hops leads there"),
        ]
    )


def _card(facts: Facts) -> Section:
    if not facts.card:
        return None
    rows = [{"": name, " ": value} for name, value in facts.card.items()]
    return "Model card", table(rows)


def _settings(facts: Facts) -> Section:
    if not facts.config:
        return None
    rows = [{"setting": name, "value": str(value)} for name, value in facts.config.items()]
    return "Settings", tag("details", tag("summary", "all settings"), table(rows))
