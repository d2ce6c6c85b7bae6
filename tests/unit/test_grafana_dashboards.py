"""The dashboards that are committed, and what is made of the panels."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.cli.main import main
from sbpgmon.panels import HEIGHTS
from sbpgmon.present.grafana.dashboard import dashboard_json, panel_id, places
from sbpgmon.present.grafana.provisioning import dashboard_files
from tests.unit.grafana_rules import problems_of
from tests.unit.panel_files import INSTANT, SQL, load, panel

COMMITTED = Path(__file__).parents[2] / "grafana" / "dashboards"
DASHBOARDS = load_catalog().dashboards
BUILT = {name: json.loads(text) for name, text in dashboard_files(DASHBOARDS).items()}
UIDS = {dashboard["uid"] for dashboard in BUILT.values()}


@pytest.mark.parametrize("name", BUILT)
def test_a_dashboard_holds_to_the_rules(name: str) -> None:
    assert list(problems_of(BUILT[name], UIDS)) == []


def test_what_is_committed_is_what_the_panels_make() -> None:
    """`sbpgmon grafana build` writes it anew."""
    assert {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.glob("*.json")} == dashboard_files(
        DASHBOARDS
    )


# Tables of things that no lower dashboard is about: a database's size, a setting, a check, a tier.
LOWEST = {"infrastructure/growth", "infrastructure/facts", "security/checks", "agent/store_by_tier"}


def test_every_row_of_a_table_drills_down() -> None:
    lowest = {d.name for d in DASHBOARDS.values() if d.level == "raw"}
    dead = [
        f"{d.name}/{p.name}"
        for d in DASHBOARDS.values()
        for p in d.panels
        if p.kind == "table" and d.name not in lowest and not any(c.link for c in p.columns)
    ]
    assert set(dead) == LOWEST


# That the rules hold something: each of these breaks one.


def _first() -> dict[str, Any]:
    return copy.deepcopy(next(iter(BUILT.values())))


def _change(path: str, value: Any) -> dict[str, Any]:
    dashboard: Any = _first()
    *steps, last = path.split(".")
    found = dashboard
    for step in steps:
        found = found[int(step)] if step.isdecimal() else found[step]
    found[int(last) if last.isdecimal() else last] = value
    return dashboard  # type: ignore[no-any-return]


BROKEN = {
    "schemaVersion": 36,
    "uid": "overview",
    "panels.0.id": 0,
    "panels.0.gridPos": {"x": 20, "y": 0, "w": 8, "h": 8},
    "panels.1.gridPos": _first()["panels"][0]["gridPos"],
    "panels.0.type": "graph",
    "panels.0.description": " ",
    "panels.0.fieldConfig.defaults.unit": "furlong",
    "panels.0.fieldConfig.defaults.mappings": [],
    "panels.0.fieldConfig.defaults.thresholds.steps": [{"color": "text", "value": 1}],
    "panels.0.targets.0.rawSql": "select 1 -- one",
    "panels.0.targets.0.rawQuery": False,
    "panels.0.targets.0.datasource": {"type": "postgres", "uid": "x"},
    "panels.0.links": [{"title": "x", "url": "/d/sbpgmon-nowhere?${__url_time_range}"}],
    "templating.list.0.name": "source",
    "templating.list.1.refresh": 3,
    "templating.list.1.query": "select 1",
    "templating.list.0.current": {},
    "templating.list.1.allValue": None,
    "panels.0.pluginVersion": "6.1.0",
    "panels.0.options.colorMode": "none",
    "panels.0.options.footer": {"show": False},
    "panels.0.fieldConfig.overrides": [
        {"matcher": {"id": "byName", "options": "x"}, "properties": [{"id": "title", "value": "X"}]}
    ],
    "tags": "sbpgmon",
}


@pytest.mark.parametrize("path", BROKEN)
def test_the_rules_find_what_is_wrong(path: str) -> None:
    assert list(problems_of(_change(path, BROKEN[path]), UIDS))


def test_a_variable_that_is_not_there() -> None:
    dashboard = _change("panels.0.targets.0.rawSql", "select $nothing, ${nought:sqlstring}, $__interval, $1")
    assert [what.split("uses ")[1] for what in problems_of(dashboard, UIDS) if "uses" in what] == ["nothing", "nought"]


# What the panels become


def test_panels_flow_from_left_to_right(tmp_path: Path) -> None:
    sizes = ["12x8", "8x6", "8x12", "24x6", "6x8", "6x6"]
    files = {f"{n}_p{n}.sql": panel(f"size: {size}") for n, size in enumerate(sizes, start=10)}
    panels = load(tmp_path, files).dashboards["mine"].panels
    found = [(p["x"], p["y"], p["w"], p["h"]) for p in places(panels)]
    assert found == [(0, 0, 12, 8), (12, 0, 8, 6), (0, 8, 8, 12), (0, 20, 24, 6), (0, 26, 6, 8), (6, 26, 6, 6)]
    assert {h for *_, h in found} == set(HEIGHTS)


def test_an_id_stays_when_panels_come(tmp_path: Path) -> None:
    one = load(tmp_path / "a", {"20_good.sql": panel()}).dashboards["mine"].panels
    more = load(tmp_path / "b", {"10_first.sql": panel(), "30_good.sql": panel()}).dashboards["mine"].panels
    assert panel_id(one[0]) == panel_id(more[1]) != panel_id(more[0])


def test_a_link_takes_the_row_along(tmp_path: Path) -> None:
    columns = ("target  label  Target  link: query_detail", INSTANT[1])
    catalog = load(tmp_path, {"10_rows.sql": panel("kind: table", columns=columns, sql=SQL)})
    mine = dashboard_json(catalog.dashboards["mine"], catalog.dashboards)
    [override] = [o for o in mine["panels"][0]["fieldConfig"]["overrides"] if o["matcher"]["options"] == "target"]
    [[link]] = [p["value"] for p in override["properties"] if p["id"] == "links"]
    assert link["url"].startswith("/d/sbpgmon-query-detail?${__url_time_range}&${datasource:queryparam}&")
    assert "var-target=${__data.fields.target:percentencode}" in link["url"]


def stat(tmp_path: Path, columns: tuple[str, ...]) -> dict[str, Any]:
    sql = "select 1 as x, 2 as y\nfrom monitoring.targets as t\nwhere t.target in ($target)"
    catalog = load(tmp_path, {"10_now.sql": panel("kind: stat", columns=columns, sql=sql)})
    [built] = dashboard_json(catalog.dashboards["mine"], catalog.dashboards)["panels"]
    return built  # type: ignore[no-any-return]


def test_the_state_of_a_column_is_seen(tmp_path: Path) -> None:
    """Grafana colours a stat by its option alone: thresholds of its columns were not seen before."""
    built = stat(tmp_path, ("x  value  X  thresholds: success, 1 critical", "y  value  Y"))
    assert built["options"]["colorMode"] == "background_solid"
    assert built["fieldConfig"]["defaults"]["color"] == {"mode": "fixed", "fixedColor": "panel-bg"}


def test_figures_without_states_have_no_colour(tmp_path: Path) -> None:
    assert stat(tmp_path, ("x  value  X", "y  value  Y"))["options"]["colorMode"] == "none"


# The command


def test_build_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    main(["grafana", "build", str(folder)])
    assert {path.name for path in folder.iterdir()} == set(BUILT)
    main(["grafana", "build", "--check", str(folder)])
    (folder / "overview.json").write_text("{}")
    (folder / "old.json").write_text('{"uid": "sbpgmon-old"}')
    (folder / "theirs.json").write_text('{"uid": "theirs"}')
    with pytest.raises(SystemExit) as ended:
        main(["grafana", "build", "--check", str(folder)])
    assert ended.value.code == 5
    assert "old.json, overview.json" in capsys.readouterr().err
    main(["grafana", "build", str(folder)])
    assert {path.name for path in folder.iterdir()} == {*BUILT, "theirs.json"}
    assert "removed old.json" in capsys.readouterr().out


def test_a_broken_panel_builds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, {"10_bad.sql": panel("kind: pie")})
    with pytest.raises(SystemExit) as ended:
        main(["--queries-dir", str(tmp_path), "grafana", "build", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "10_bad.sql" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["grafana", "build", str(tmp_path / "file" / "below")])
    assert ended.value.code == 2
    assert "→" in capsys.readouterr().err
