"""The page: all in one file, nothing from outside, nothing that breaks out of its place."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbpgmon.errors import ConfigError
from sbpgmon.panels import COLOURS, PanelColumn
from sbpgmon.present.report.frames import Cell, Frame, Question, Report, Shown, choose
from sbpgmon.present.report.page import asset, assets, in_script, page_of, range_in_words, targets_in_words
from tests.unit.report_panels import (
    END,
    START,
    TARGET,
    TIME,
    dashboard,
    frames,
    panel,
    report,
    series,
    value,
)  # fmt: skip

PAGE = page_of(report())
_NASTY = st.text(st.sampled_from("</script><!-- ><script>alert(1)&\"'\u2028\u2029\\ud]]>\x01é€😀"), max_size=40)


class _Reader(HTMLParser):
    """Every element with its attributes, and the texts of the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and data.strip():
            self.scripts.append((self.elements[-1][1], data))


def data_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(text for attrs, text in _Reader(page).scripts if attrs.get("id") == "data"))
    return found


def test_it_asks_for_nothing_from_the_network() -> None:
    read = _Reader(PAGE)
    for tag, attributes in read.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in asset("report.css")
    assert "@import" not in asset("report.css")


def test_the_policy_lets_only_its_own_scripts_run() -> None:
    read = _Reader(PAGE)
    policy = next(a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    running = [text for attributes, text in read.scripts if "type" not in attributes]
    texts = [*running, asset("echarts.min.js")]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts} == allowed
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in re.search(r"script-src[^;]*", policy)[0]  # type: ignore[index]


def test_the_library_is_inside_as_it_was_published() -> None:
    packed = next(text for attributes, text in _Reader(PAGE).scripts if attributes.get("id") == "library")
    assert gzip.decompress(base64.b64decode(packed)).decode() == asset("echarts.min.js")
    for name in ("echarts.LICENSE", "echarts.NOTICE", "echarts.LICENSE-d3"):
        assert (assets() / name).read_text()


def test_every_panel_has_a_figure_with_title_and_description() -> None:
    figures = [attributes for tag, attributes in _Reader(PAGE).elements if tag == "figure"]
    assert len(figures) == 2 * len(frames())
    ids = {attributes.get("id") for _, attributes in _Reader(PAGE).elements}
    for figure in figures:
        assert {figure["aria-labelledby"], figure["aria-describedby"]} <= ids
    states = {figure["data-panel"]: figure.get("data-drawn") for figure in figures}
    assert states["overview.nothing"] == "empty"
    assert states["overview.broken"] == "error"
    assert states["overview.table"] is None
    assert "This panel could not be read: &lt;b&gt;no&lt;/b&gt;." in PAGE


def test_the_head_says_targets_range_time_and_version() -> None:
    for text in ("target-1", "2026-11-21 08:00 to 2026-11-22 08:00 UTC", "2026-11-22 08:00:00 UTC", "sbpgmon 0."):
        assert text in PAGE


def test_a_cell_leads_only_where_its_row_is_shown() -> None:
    links = data_of(PAGE)["panels"]["overview.table"]["links"]
    assert links == {"0": {"to": "detail", "rows": [1] * 30}}
    other = report()
    shown = (other.dashboards[0], replace(other.dashboards[1], values={"target": ("target-2",)}))
    assert "links" not in data_of(page_of(replace(other, dashboards=shown)))["panels"]["overview.table"]
    assert "links" not in data_of(page_of(report(["overview"])))["panels"]["overview.table"]


@settings(max_examples=150, deadline=None)
@given(text=_NASTY, name=_NASTY)
def test_whatever_stands_in_the_store_stays_text(text: str, name: str) -> None:
    table = panel(
        "table", [PanelColumn("query", "label", name or "x"), value()], title=f"t{name}", description=f"d{text}"
    )
    line = panel("timeseries", [TIME, TARGET, value()], name="line")
    failed = Frame(panel("table", [value()], name="failed"), error=f"It failed: {text}")
    found = [Frame(table, ((text, 1),)), Frame(line, series([f"n{text}"], 5)), failed]
    page = page_of(report(["overview"], found))
    read = _Reader(page)
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in _Reader(page_of(report(["overview"], [
        Frame(replace(table, title="t", description="d"), (("x", 1),)), Frame(line, series(["n"], 5)),
        replace(failed, error="It failed: x"),
    ]))).elements]  # fmt: skip
    data = data_of(page)
    assert data["panels"]["overview.table"]["data"][0] == [text]
    assert data["panels"]["overview.line"]["columns"][1]["title"] == f"n{text}"


@given(st.text())
def test_json_in_a_script_ends_nothing(text: str) -> None:
    written = in_script({"a": text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {"a": text}


def test_a_lone_surrogate_does_no_harm() -> None:
    assert json.loads(in_script("a\ud800")) == "a\ufffd\ufffd\ufffd"


def test_a_generous_report_is_below_two_megabytes() -> None:
    """Eight dashboards of twelve panels over 200 points, tables of fifty long statements, fifty targets."""
    text = "SELECT b.id, b.stake FROM bets AS b JOIN customers AS c USING (tenant_id, customer_id) WHERE b.id = $1 AND "
    names = [f"target-{place}" for place in range(50)]
    lines = series(names, 200)
    found = [Frame(panel("timeseries", [TIME, TARGET, value()], name=f"line{place}"), lines) for place in range(6)]
    found.append(Frame(panel("heatmap", [TIME, TARGET, value()]), series(names[:15], 200)))
    columns = [
        PanelColumn("query", "label", "Statement"),
        *(value(f"v{place}", f"Value {place}") for place in range(8)),
    ]
    for place in range(3):
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (f"{row} {text * 4}"[:300], *(row * 1.2345 + each for each in range(8))) for row in range(50)
        )
        found.append(Frame(panel("table", columns, name=f"table{place}"), tuple(rows)))
    found += [Frame(panel("stat", [TARGET, value()], name=f"stat{place}"), tuple((name, 1.5) for name in names))
              for place in range(2)]  # fmt: skip
    page = page_of(report([f"d{place}" for place in range(8)], found))
    assert len(page.encode()) < 2_000_000
    # So much of it is packed; what the first report of this file has is not.
    assert "data-packed" in page.partition('id="data"')[2][:20]
    assert "data-packed" not in PAGE.partition('id="data"')[2][:20]


def test_targets_are_named_or_counted() -> None:
    def words(names: tuple[str, ...], asked: tuple[str, ...] = ()) -> str:
        return targets_in_words(Report((), Question(START, END, asked), names, 50, END))

    assert words(("a", "b")) == "a, b"
    many = tuple("abcdefgh")
    assert words(many) == "all 8 targets"
    assert words(many, many) == "8 targets"
    assert words(()) == "no targets yet"
    assert range_in_words(START, START.replace(hour=9)) == "2026-11-21 08:00 to 09:00 UTC"


@pytest.mark.parametrize(
    ("call", "what", "way_out"),
    [
        (lambda there: choose(there, "nope"), "There is no dashboard named nope.", "There are: all, overview, detail."),
        (lambda there: choose(there, "overview", "nope"), "The dashboard overview has no panel named nope.", "broken"),
        (lambda _: choose({}, "all"), "There is no dashboard in the catalog.", "queries/panels"),
    ],
)
def test_what_is_not_there_is_named(call: Callable[[Any], object], what: str, way_out: str) -> None:
    there = {name: dashboard(name, [frame.panel for frame in frames()]) for name in ("overview", "detail")}
    with pytest.raises(ConfigError) as raised:
        call(there)
    assert raised.value.what == what
    assert way_out in raised.value.way_out


def test_all_dashboards_one_or_one_panel_can_be_chosen() -> None:
    there = {name: dashboard(name, [frame.panel for frame in frames()]) for name in ("overview", "detail")}
    assert [each.name for each in choose(there, "all")] == ["overview", "detail"]
    [chosen] = choose(there, "detail", "gauge")
    assert [each.name for each in chosen.panels] == ["gauge"]


def test_states_have_the_dashboards_colours() -> None:
    themes = data_of(PAGE)["themes"]
    assert {state: themes["dark"][state] for state in COLOURS} == COLOURS
    assert isinstance(report().dashboards[0], Shown)
