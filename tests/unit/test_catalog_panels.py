"""Panels, variables and dashboards out of files: what is wrong with one is said with its place, and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.panels import StateOf, Threshold
from tests.unit.panel_files import ABOUT, COLUMNS, INSTANT, SQL, VARIABLE, load, panel, write

GOOD = "10_good.sql"


def test_the_shipped_ones_are_sound() -> None:
    catalog = load_catalog()
    assert catalog.problems == ()
    # The levels of the design: what is in the first leads down to the last.
    assert {d.level for d in catalog.dashboards.values()} == {"overview", "service", "component", "raw"}
    orders = [d.order for d in catalog.dashboards.values()]
    assert orders == sorted(orders)


def test_a_dashboard_of_ones_own(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        {
            GOOD: panel("thresholds: critical, 0.9 warning, 0.99 success", "size: 6x12", "min: 0", "decimals: 2"),
            "05_first.sql": panel(
                "kind: stat", "states: 0 critical Not up, 1 success Up", columns=INSTANT, sql="select"
            ),
        },
    )
    assert catalog.problems == ()
    mine = catalog.dashboards["mine"]
    assert (mine.uid, mine.title, mine.since, mine.refresh) == ("sbpgmon-mine", "Mine", "24h", "1m")
    assert [p.name for p in mine.panels] == ["first", "good"]
    assert [v.name for v in mine.variables] == ["target"]
    first, good = mine.panels
    assert first.states == (StateOf("0", "critical", "Not up"), StateOf("1", "success", "Up"))
    assert good.thresholds == (Threshold(None, "critical"), Threshold(0.9, "warning"), Threshold(0.99, "success"))
    assert (good.width, good.height, good.minimum, good.decimals) == (6, 12, 0, 2)
    assert [(c.name, c.kind, c.title, c.unit) for c in good.columns] == [
        ("time", "time", "time", ""),
        ("target", "label", "Target", ""),
        ("up", "value", "Up", "percentunit"),
    ]


def test_options_of_a_column(tmp_path: Path) -> None:
    columns = (
        "target  label  The target  link: overview; width: 120",
        "up      value  Up [short]  states: 0 critical Down, 1 success; bar",
        "since   time   Since  hidden",
    )
    catalog = load(tmp_path, {GOOD: panel("kind: table", columns=columns)})
    assert catalog.problems == ()
    target, up, since = catalog.dashboards["mine"].panels[0].columns
    assert (target.link, target.width, up.is_bar, since.is_hidden) == ("overview", 120, True, True)
    assert up.states[1] == StateOf("1", "success", "1")


def test_a_panel_without_its_metric_is_left_out(tmp_path: Path) -> None:
    catalog = load(tmp_path, {GOOD: panel(), "20_later.sql": panel().replace("needs: up", "needs: up, stat_nothing")})
    assert catalog.problems == ()
    assert [p.name for p in catalog.dashboards["mine"].panels] == ["good"]
    # And with its last panel the dashboard, and the links to it.
    assert "mine" not in load(tmp_path / "x", {GOOD: panel().replace("needs: up", "needs: stat_nothing")}).dashboards


def test_a_panel_beside_the_shipped_ones(tmp_path: Path) -> None:
    write(tmp_path, {"overview/99_mine.sql": panel()}, about=None)
    catalog = load_catalog(tmp_path)
    assert catalog.problems == ()
    assert catalog.dashboards["overview"].panels[-1].name == "mine"


WRONG = {
    "no-number.sql": (panel(), "NN_NAME.sql"),
    "10_A.sql": (panel(), "NN_NAME.sql"),
    "11_kind.sql": (panel("kind: pie"), "`kind: pie` is not one of"),
    "12_unit.sql": (panel("unit: furlong"), "`unit: furlong` is not one of"),
    "13_size.sql": (panel("size: 25x8"), "WIDTHxHEIGHT"),
    "14_size.sql": (panel("size: 12x7"), "WIDTHxHEIGHT"),
    "15_thresholds.sql": (panel("thresholds: success, 3 warning, 2 critical"), "is not like"),
    "16_thresholds.sql": (panel("thresholds: 1 success"), "is not like"),
    "17_thresholds.sql": (panel("thresholds: success, much critical"), "is not like"),
    "18_thresholds.sql": (panel("thresholds: green"), "is not like"),
    "19_states.sql": (panel("states: 1"), "is not like"),
    "20_min.sql": (panel("min: low"), "is not a number"),
    "21_key.sql": (panel("colour: red"), "unknown key `colour:`"),
    "22_about.sql": (panel(about=""), "no description"),
    "23_twice.sql": (panel(columns=(*COLUMNS, "up  value  Up")), "a column stands twice"),
    "24_order.sql": (panel(columns=(COLUMNS[0], COLUMNS[2], COLUMNS[1])), "in another order"),
    "25_time.sql": (panel(columns=COLUMNS[1:]), "is not `time`"),
    "26_value.sql": (panel(columns=COLUMNS[:2]), "no value"),
    "27_gauge.sql": (panel("kind: gauge"), "a gauge has"),
    "28_states.sql": (panel("kind: state-timeline"), "needs `states:`"),
    "29_heatmap.sql": (panel("kind: heatmap", columns=(*COLUMNS, "down  value  Down")), "one value"),
    "30_column.sql": (panel(columns=("time gauge",)), "kinds are time, label, value"),
    "31_column.sql": (panel(columns=(*COLUMNS[:2], "up  value  Up [mile]")), "[mile] is not one of"),
    "32_column.sql": (panel(columns=(*COLUMNS[:2], "up  value  Up  loud")), "'loud' is not an option"),
    "33_column.sql": (panel(columns=(*COLUMNS[:2], "up  value  Up  width: wide")), "not a number of pixels"),
    "34_comment.sql": (panel(sql=SQL.replace("order by 1", "order by 1 -- newest last")), "has a comment"),
    "35_comment.sql": (panel(sql="/* mine */ " + SQL), "has a comment"),
    "36_two.sql": (panel(sql=SQL + "; select 1"), "more than one statement"),
    "37_variable.sql": (panel(sql=SQL.replace("$target", "$tarjet")), "$tarjet is no variable"),
    "38_multi.sql": (panel(sql=SQL.replace("in ($target)", "= $target")), "takes several values"),
    "39_multi.sql": (panel(sql=SQL.replace("$target", "${target:sqlstring}")), "takes several values"),
    "40_link.sql": (panel("links: nowhere"), "there is no dashboard nowhere"),
    "41_empty.sql": (panel(sql=""), "no query"),
    # COPY would leave the connection in a state of its own, and the rest of a report unread.
    "42_copy.sql": (panel(sql="copy (select 1) to stdout"), "the query is no SELECT"),
    "43_set.sql": (panel(sql="set statement_timeout = 0"), "the query is no SELECT"),
    # What JSON cannot say, or a browser cannot format.
    "44_decimals.sql": (panel("decimals: inf"), "is not a number from 0 to 15"),
    "45_decimals.sql": (panel("decimals: -1"), "is not a number from 0 to 15"),
    "46_decimals.sql": (panel("decimals: 1000"), "is not a number from 0 to 15"),
    "47_min.sql": (panel("min: nan"), "is not a number"),
    "48_thresholds.sql": (panel("thresholds: success, nan warning"), "is not like"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_panel_is_said(tmp_path: Path, name: str) -> None:
    text, said = WRONG[name]
    catalog = load(tmp_path, {"01_first.sql": panel(), name: text})
    [problem] = catalog.problems
    assert said in problem.what
    assert name in problem.what
    assert problem.way_out
    # A dead link is said, and the panel is there without it.
    assert [p.name for p in catalog.dashboards["mine"].panels] == ["first", *(["link"] if "link" in name else [])]


def test_files_as_other_editors_write_them(tmp_path: Path) -> None:
    tabs = panel().replace("--   ", "--\t\t").replace("-- ", "--\t")
    catalog = load(tmp_path, {GOOD: "\ufeff" + panel(), "20_tabs.sql": tabs}, "\ufeff" + ABOUT)
    for name, end in ((GOOD, "\r\n"), ("20_tabs.sql", "\r\n"), ("dashboard.toml", "\r\n")):
        file = tmp_path / "panels" / "mine" / name
        file.write_text(file.read_text(), newline=end)
    for found in (catalog, load_catalog(tmp_path)):
        assert found.problems == ()
        good, same = found.dashboards["mine"].panels
        assert (good.title, good.columns) == (same.title, same.columns)


def test_what_lies_in_no_folder_and_what_is_named_all(tmp_path: Path) -> None:
    catalog = load(tmp_path, {GOOD: panel(), "./10_loose.sql": panel(), "all/dashboard.toml": ABOUT})
    said = [problem.what for problem in catalog.problems]
    assert any("10_loose.sql:1: the file lies in no dashboard's folder" in what for what in said)
    assert any("a dashboard cannot be named all" in what for what in said)
    assert "all" not in catalog.dashboards


def test_variables(tmp_path: Path) -> None:
    single = panel(sql=SQL.replace("order by 1", "having ${colour:sqlstring} <> '' and ${__from} < 1 order by 1"))
    files = {
        "variables/colour.sql": VARIABLE.format(multi="no").replace(
            "'red'", "min(target) filter (where target in ($target))"
        )
    }
    catalog = load(tmp_path, files | {GOOD: single})
    assert catalog.problems == ()
    # Each after those that it uses itself.
    assert [v.name for v in catalog.dashboards["mine"].variables] == ["target", "colour"]
    plain = load(tmp_path / "x", files | {GOOD: panel(sql=SQL.replace("order", "having $colour <> '' order"))})
    assert "$colour takes one value here" in plain.problems[0].what


def test_a_variable_of_one_value_here(tmp_path: Path) -> None:
    one = panel(sql=SQL.replace("in ($target)", "= ${target:sqlstring}"))
    catalog = load(tmp_path, {GOOD: one}, ABOUT + 'single = ["target"]\n')
    assert catalog.problems == ()
    assert not catalog.dashboards["mine"].variables[0].is_multi


def test_variables_that_use_each_other(tmp_path: Path) -> None:
    text = VARIABLE.format(multi="no")
    files = {
        "variables/colour.sql": text.replace("order", "where ${shade:sqlstring} <> '' order"),
        "variables/shade.sql": text.replace("order", "where ${colour:sqlstring} <> '' order"),
        GOOD: panel(sql=SQL.replace("order", "having ${colour:sqlstring} <> '' order")),
    }
    catalog = load(tmp_path, files)
    assert "colour uses shade uses colour" in catalog.problems[0].what
    assert "mine" not in catalog.dashboards


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (ABOUT.replace("service", "deep"), "level"),
        (ABOUT + "colour = 1\n", "colour"),
        (ABOUT.replace('title = "Mine"', 'title = ""'), "title"),
        (ABOUT + 'since = "yesterday"\n', "since"),
        ("title = ", "cannot be read"),
        (None, "the dashboard's own file is not there"),
    ],
)
def test_what_is_wrong_with_a_dashboard_is_said(tmp_path: Path, about: str | None, said: str) -> None:
    catalog = load(tmp_path, {GOOD: panel()}, about)
    [problem] = catalog.problems
    assert said in problem.what
    assert "mine/dashboard.toml" in problem.what
    assert "mine" not in catalog.dashboards


def test_names_that_are_taken(tmp_path: Path) -> None:
    files = {GOOD: panel(), "20_good.sql": panel(), "variables/target.sql": VARIABLE.format(multi="no"),
             "overview/dashboard.toml": ABOUT}  # fmt: skip
    said = sorted(problem.what.split(": ")[-1] for problem in load(tmp_path, files).problems)
    assert said == [
        "there is already a dashboard named overview.",
        "there is already a panel named good in mine.",
        "there is already a variable named target.",
    ]
