"""What is drawn of each kind of panel."""

from __future__ import annotations

from typing import Any

import pytest

from sbpgmon.panels import PanelColumn
from sbpgmon.present.report.charts import chart_of
from sbpgmon.present.report.drawn import Chart
from sbpgmon.present.report.frames import Cell, Frame
from sbpgmon.present.report.tables import packed
from sbpgmon.present.report.themes import THEMES
from tests.unit.report_panels import (
    END_MS,
    START_MS,
    TARGET,
    TIME,
    UP,
    WORSE,
    panel,
    series,
    times,
    value,
)  # fmt: skip

HOUR = 3_600_000


def draw(frame: Frame, step: float = HOUR) -> Chart:
    return chart_of(frame, START_MS, END_MS, step)


def option_of(chart: Chart) -> dict[str, Any]:
    assert chart.option is not None
    return chart.option


def test_a_line_for_each_series_and_the_rest_in_the_table() -> None:
    names = [f"t{place:02}" for place in range(25)]
    rows = tuple((time, name, float(place)) for time in times() for place, name in enumerate(names))
    chart = draw(Frame(panel("timeseries", [TIME, TARGET, value()], unit="bytes"), rows))
    option = option_of(chart)
    # Those with the highest means.
    assert [each["name"] for each in option["series"]] == names[15:]
    assert [column.title for column in chart.table.columns] == ["Time", *names[15:]]
    assert {name for name, _ in chart.table.rest} == set(names[:15])
    assert chart.note == "15 more series are in the table"
    assert option["legend"]["type"] == "scroll"
    assert (option["xAxis"]["min"], option["xAxis"]["max"], option["useUTC"]) == (START_MS, END_MS, True)
    assert all(line["connectNulls"] is False for line in option["series"])


def test_several_values_without_labels_are_named_by_their_titles_and_two_units_have_two_axes() -> None:
    columns = [TIME, value("a", "Hits"), value("b", "Took", unit="ms")]
    rows = tuple((time, 1.0, 2.0) for time in times())
    option = option_of(draw(Frame(panel("timeseries", columns), rows)))
    assert [(line["name"], line["yAxisIndex"]) for line in option["series"]] == [("Hits", 0), ("Took", 1)]
    assert len(option["yAxis"]) == 2


def test_a_gap_breaks_the_line() -> None:
    grid = [time for time in times(96) if not 30 <= (time - START_MS) / 900_000 < 50]
    table = draw(Frame(panel("timeseries", [TIME, value()]), tuple((time, 1.0) for time in grid))).table
    assert len(table) == len(grid) + 1
    assert table.data[1].count(None) == 1
    assert list(table.data[0]) == sorted(table.data[0])  # type: ignore[type-var]


def test_unknown_is_no_zero() -> None:
    rows = tuple((time, None if place % 2 else 3.0) for place, time in enumerate(times(8)))
    table = draw(Frame(panel("timeseries", [TIME, value()]), rows)).table
    assert table.data[1] == (3.0, None) * 4


@pytest.mark.parametrize(
    ("thresholds", "colours"), [(WORSE, ["critical", "warning"]), (tuple(reversed([])), [])], ids=["falling", "none"]
)
def test_a_dashed_line_where_a_state_begins(thresholds: Any, colours: list[str]) -> None:
    frame = Frame(panel("timeseries", [TIME, value()], thresholds=thresholds), tuple((time, 0.95) for time in times()))
    line = option_of(draw(frame))["series"][0].get("markLine", {"data": []})
    assert [each["lineStyle"]["color"]["name"] for each in line["data"]] == colours


def test_values_far_from_zero_have_an_axis_of_their_own() -> None:
    def axis(low: float, high: float, **more: Any) -> Any:
        rows = tuple((time, low if place % 2 else high) for place, time in enumerate(times()))
        return option_of(draw(Frame(panel("timeseries", [TIME, value()], **more), rows)))["yAxis"][0]

    assert axis(98, 99)["scale"] is True
    assert axis(1, 99)["scale"] is False
    assert axis(98, 99, minimum=0.0)["min"] == 0
    assert axis(0, 700 * 2**20, unit="bytes")["interval"] == 256 * 2**20
    assert axis(0, 200, unit="s")["interval"] == 60
    assert axis(0.2, 0.9, unit="percentunit", minimum=0.0, maximum=1.0)["interval"] == 0.25


def test_a_stat_shows_each_row_or_the_last_known_value_with_its_course() -> None:
    rows = (("a", 1), ("b", None))
    chart = draw(Frame(panel("stat", [TARGET, value()], states=UP), rows))
    assert [(tile.name, tile.value, tile.series) for tile in chart.tiles] == [("a", 1, None), ("b", None, None)]
    course = tuple((time, None if place > 90 else float(place)) for place, time in enumerate(times()))
    [tile] = draw(Frame(panel("stat", [TIME, value()]), course)).tiles
    assert (tile.value, tile.series) == (90.0, 1)


def test_gauges_share_a_scale() -> None:
    rows = tuple((f"t{place}", place / 10) for place in range(12))
    chart = draw(Frame(panel("gauge", [TARGET, value()], unit="percentunit", thresholds=WORSE), rows))
    gauges = option_of(chart)["series"]
    assert (gauges["minimum"], gauges["maximum"], len(gauges["items"])) == (0, 1.1, 8)
    assert chart.note == "8 of 12 gauges; all are in the table"


def test_bars_are_as_many_as_there_is_room_for() -> None:
    rows = tuple((f"name {place}", float(place)) for place in range(50))
    chart = draw(Frame(panel("bar", [TARGET, value()], height=8), rows))
    option = option_of(chart)
    assert option["yAxis"]["data"] == [f"name {place}" for place in range(11)]
    assert option["yAxis"]["inverse"] is True
    assert len(chart.table) == 50
    assert chart.note == "11 of 50 bars; all are in the table"


def test_a_heatmap_has_time_on_x_and_a_row_for_each_label() -> None:
    chart = draw(Frame(panel("heatmap", [TIME, TARGET, value()]), series(["a", "b"], 24)))
    option = option_of(chart)
    assert (option["xAxis"]["type"], option["yAxis"]["data"]) == ("time", ["a", "b"])
    assert option["series"][0]["data"] == {"$": "cells", "labels": [1, 2], "step": HOUR}
    assert option["visualMap"]["dimension"] == 3


def test_a_timeline_joins_what_stays_the_same() -> None:
    grid = times(24)
    values = [1] * 10 + [0] * 2 + [None] * 2 + [1] * 10
    rows = tuple((time, "app", state) for time, state in zip(grid, values, strict=True))
    chart = draw(Frame(panel("state-timeline", [TIME, TARGET, value("up")], states=UP), rows))
    starts, ends, names, states, *_ = chart.table.data
    assert states == (1, 0, 1)
    assert starts == (grid[0], grid[10], grid[14])
    assert ends == (grid[9] + HOUR, grid[11] + HOUR, END_MS)
    assert names == ("app",) * 3
    assert [each["name"] for each in option_of(chart)["series"]] == ["Up", "Down"]


def test_a_table_is_its_rows() -> None:
    columns = [PanelColumn("query", "label", "Query", link="detail"), value("n", "Count", thresholds=WORSE)]
    chart = draw(Frame(panel("table", columns), tuple((f"select {place}", place) for place in range(250))))
    assert len(chart.table) == 200
    assert chart.note == "The first 200 of 250 rows"
    assert chart.table.columns[0].is_code
    assert chart.option is None


@pytest.mark.parametrize("kind", ["timeseries", "stat", "gauge", "bar", "heatmap", "state-timeline", "table"])
def test_one_row_is_enough(kind: str) -> None:
    columns = [value()] if kind in ("stat", "gauge", "table") else [TIME, TARGET, value()]
    columns = [TARGET, value()] if kind == "bar" else columns
    cells: dict[str, Cell] = {"time": START_MS, "label": "a", "value": 1}
    row = tuple(cells[column.kind] for column in columns)
    chart = draw(Frame(panel(kind, columns, states=UP), (row,)))
    assert chart.kind == kind
    assert len(chart.table) == 1


def test_numbers_are_cut_to_the_digits_that_count() -> None:
    chart = draw(Frame(panel("timeseries", [TIME, value()]), ((START_MS, 1 / 3), (END_MS, 123456789))))
    assert packed(chart.table.columns[1], chart.table.data[1]) == [0.333333, 123456789]


@pytest.mark.parametrize("theme", THEMES)
def test_colours_can_be_told_from_their_ground(theme: str) -> None:
    """Text 4.5 : 1 and lines 3 : 1, as WCAG 2 counts."""
    colours: dict[str, Any] = THEMES[theme]

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        low, high = sorted([light(one), light(other)])
        return (high + 0.05) / (low + 0.05)

    for ground in ("surface", "page"):
        for name in ("text", "muted", "accent", "successText", "warningText", "criticalText", "infoText"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    assert all(contrast(each, colours["surface"]) >= 3 for each in colours["series"])
    assert len(set(colours["series"])) == 10
    for state in ("success", "warning", "critical", "info"):
        assert contrast("#14181f", colours[state]) >= 4.5, state
