"""A heatmap's cells lie where their time is, in Grafana as well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.present.grafana.shapes import query_of
from sbpgmon.present.macros import Scope, expand
from tests.conftest import Database

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
[HEATMAP, *_] = [p for d in load_catalog().dashboards.values() for p in d.panels if p.kind == "heatmap"]
ROWS = """select x.time, x.tenant, x.ratio
from (values {}) as x (time, tenant, ratio)
order by 1, 2"""
HOURS: dict[str, tuple[list[int], list[float]]] = {
    # As many hours after noon: where each cell begins, and where it ends.
    "regular": ([0, 1, 2], [1, 2, 3]),
    "two rows, and a gap": ([0, 0, 1, 4], [1, 1, 2, 5]),
    "one, as wide as a point": ([3], [3.5]),
}


@pytest.mark.parametrize("name", HOURS)
def test_cells_end_where_the_next_begins(name: str, database: Database) -> None:
    begin, end = HOURS[name]
    rows = ", ".join(
        f"(timestamptz '{NOON + timedelta(hours=hour)}', 't{number}', {number}::float8)"
        for number, hour in enumerate(begin)
    )
    panel = replace(HEATMAP, sql=ROWS.format(rows))
    text = expand(query_of(panel), [], Scope(NOON, NOON + timedelta(hours=9), 1_800_000, {}))
    with psycopg.connect(database.dsn()) as conn:
        found = conn.execute(text).fetchall()
    assert found == [(NOON + timedelta(hours=hour), f"t{n}", float(n)) for n, hour in enumerate(end)]


def test_no_cell_is_no_error(database: Database) -> None:
    panel = replace(HEATMAP, sql="select now() as time, 't' as tenant, 1.0::float8 as ratio where false order by 1, 2")
    with psycopg.connect(database.dsn()) as conn:
        assert conn.execute(expand(query_of(panel), [], Scope(NOON, NOON, 1000, {}))).fetchall() == []
