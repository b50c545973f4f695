"""The report: complete, self-contained, and nothing in it that data could run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import Catalog
from coldframe.report import html, plots
from coldframe.report.gather import card
from coldframe.report.sections import Example, Facts, render

NASTY = "</title><script>alert(1)</script><img src=x onerror=alert(2)> $\\frac{1}{ & \"'"


class Elements(HTMLParser):
    """Names, attributes and text of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def parsed(document: str) -> Elements:
    elements = Elements()
    elements.feed(document)
    return elements


def loop_result(name: str = "auto") -> dict:
    curve = {"ndcg@10": [[0.1, 0.2, 0.3], [0.1, 0.25, 0.31]]}
    gain = {"ndcg@10": {"mean": 0.1, "low": 0.02, "high": 0.2}}
    return {
        "protocol": "kg-coldstart-open",
        "budgets": [100, 200, 400],
        "seeds": [0, 1],
        "ceiling": {"ndcg@10": 0.5},
        "strategies": {
            "random": {"curve": curve, "aulc_gain": {}, "labels_saved": {}},
            name: {"curve": curve, "aulc_gain": gain, "labels_saved": {"100": 2.0}},
        },
    }


def rows(model: str = "coldframe") -> list[dict]:
    return [
        {"model": name, "segment": segment, "users": 10, "ndcg@10": value, "recall@10": value}
        for name in (model, "RP3beta")
        for segment, value in (("all", 0.2), ("hot", 0.3), ("cold", None))
    ]


def calibration(kind: str = "cold") -> dict:
    one = {"pairs": 90, "rate": 0.02, "ece": 0.004, "brier": 0.03}
    bins = [
        {"predicted": x, "observed": y, "pairs": 30}
        for x, y in ((0.0, 0.0), (0.01, 0.02), (0.2, 0.1))
    ]
    top = {**one, "of_each_user": 10}
    return {"users": 9, **one, "bins": bins, "kinds": {kind: one}, "top": top}


def everything(text: str) -> Facts:
    return Facts(
        title=text,
        subtitle=text,
        counts={text: 3},
        rows=rows(text),
        differences=[{"against": text, "segment": text, "mean": 0.1, "low": 0.0, "p_holm": None}],
        calibration=calibration(text),
        rounds=[{"round": r, "labels": 100 * r, "rows": rows(text)} for r in (0, 1)],
        loop=loop_result(text),
        coverage={text: 0.4},
        schema_svg=plots.to_svg(plots.shares({text: 0.5}, text), "schema"),
        examples=[Example(text, (text,), text, 1.5, 0.2, (text,), (text,))],
        card={text: text},
        config={text: text},
    )


def test_hostile_text_stays_text():
    found = parsed(render(everything(NASTY)))
    assert "script" not in found.names
    assert "img" not in found.names
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert NASTY in "".join(found.words)


def test_nothing_is_loaded_from_outside():
    document = render(everything("flower"))
    found = parsed(document)
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(found.names)
    for name, value in found.attributes:
        if name in ("src", "href", "xlink:href", "data"):
            assert value is not None
            assert value.startswith("#"), (name, value)
    assert "default-src 'none'" in document


def test_every_section_is_there_once_and_empty_ones_are_not():
    heads = re.findall(r"<h2>(.*?)</h2>", render(everything("x")))
    assert len(heads) == len(set(heads)) == 9
    assert re.findall(r"<h2>", render(Facts(title="nothing yet"))) == []


def test_a_drawing_from_elsewhere_loses_its_scripts():
    svg = "<svg onload=\"x()\"><script>x()</script><g onclick='y()'><text>hi</text></g></svg>"
    found = parsed(html.drawing(svg, "caption"))
    assert found.names == ["figure", "svg", "g", "text", "figcaption"]
    assert found.attributes == []


@pytest.mark.parametrize(
    "figure",
    [
        lambda: plots.learning_curves(loop_result("a $ b")),
        lambda: plots.segment_bars(rows("a $ b"), "ndcg@10"),
        lambda: plots.round_curves([{"labels": 5, "rows": rows()}], "ndcg@10"),
        lambda: plots.shares({"a $ b": 1.0, "c": 0.0}, "x"),
    ],
)
def test_plots_are_well_formed_and_repeatable(figure, tmp_path):
    first, second = (plots.to_svg(figure(), "salt") for _ in range(2))
    assert first == second
    assert ElementTree.fromstring(first[first.find("<svg") :]).tag.endswith("svg")
    plots.save(figure(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_shares_of_long_names_keep_a_row_each():
    long = "a category of a name that goes on and on, "
    figure = plots.shares({long + "one": 0.2, long + "two": 0.7}, "covered")
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == [0.7, 0.2]
    assert len({bar.get_y() for bar in axis.patches}) == 2
    assert [label.get_text()[:10] for label in axis.get_yticklabels()] == ["a category"] * 2


def test_missing_numbers_are_dashes():
    assert "–" in html.table([{"a": float("nan")}])
    assert "–" in html.table([{"a": 1}, {"b": 2}])


def test_an_element_name_is_no_place_for_text():
    with pytest.raises(ValueError, match="no name"):
        html.tag("p onclick=x")


def test_the_model_card_counts_the_users_that_were_trained_on(tmp_path):
    made = generate_catalog(tmp_path / "data", size="tiny")
    catalog, _ = Catalog.ingest(list(made.inputs), made.schema, tmp_path / "catalog")
    split = make_split(catalog.graph, "user-cold")
    hybrid = HybridConfig(parts=("popularity",), tune=False)
    config = RecommenderConfig(hybrid=hybrid, text=TextConfig(model="none"))
    model = Recommender(config, device="cpu").fit(catalog, split)
    told = card(Run.create(tmp_path / "run", catalog, split, model))["trained on"]
    assert len(split.cold_users)
    users = catalog.graph.n_users - len(split.cold_users)
    assert told == f"{len(split.train):,} interactions of {users:,} users"
