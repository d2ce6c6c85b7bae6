"""Makes the store's views follow the catalog, under whatever stands on them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import psycopg
from psycopg import errors as pg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import QueryFileError, StoreRefusedError
from sbpgmon.model import Metric, View
from sbpgmon.sources.session import explain
from sbpgmon.store import ddl
from sbpgmon.store import views as views_
from sbpgmon.store.schema import SCHEMA


def sync_metric_views(conn: psycopg.Connection[Any], catalog: Catalog, metrics: Sequence[Metric]) -> None:
    lacking = _lacking(conn)
    try:
        with conn.transaction():
            for metric in metrics:
                # New columns come last: then the view can be replaced under whatever stands on it.
                order = _view_columns(conn, metric.name)
                run(conn, views_.metric_view(metric, "CREATE OR REPLACE", lacking.get(metric.name, ()), order))
    except pg.InvalidTableDefinition:
        # A column went: PostgreSQL wants the view dropped first, and what stands on it before it.
        names = {metric.name for metric in metrics}
        for name in [*resting_on(catalog, names), *names]:
            try:
                conn.execute(f"DROP VIEW IF EXISTS {SCHEMA}.{ddl.quote(name)}".encode())
            except pg.DependentObjectsStillExist as error:
                raise StoreRefusedError(
                    f"The view {SCHEMA}.{name} has to change its columns, but {error.diag.message_detail}.",
                    "Drop that object, run `sbpgmon init` again, then create it anew.",
                ) from None
        for metric in metrics:
            run(conn, views_.metric_view(metric, "CREATE", lacking.get(metric.name, ())))


def _lacking(conn: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Metric -> columns that some target lacks, or lacked before they were added to the metric."""
    rows = conn.execute(
        f"SELECT m.name, array_agg(DISTINCT l.name) FROM {SCHEMA}.metric AS m JOIN {SCHEMA}.metric_state AS s "
        "USING (metric_id) CROSS JOIN jsonb_object_keys(s.lacks) AS l (name) GROUP BY 1".encode()
    )
    return dict(rows.fetchall())


def _view_columns(conn: psycopg.Connection[Any], view: str) -> list[str]:
    """The view's columns in their order; none when there is no such view."""
    rows = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum",
        (f"{SCHEMA}.{ddl.quote(view)}",),
    )
    return [name for (name,) in rows]


def resting_on(catalog: Catalog, names: Set[str]) -> list[str]:
    """The derived views that stand on these, each before those that it needs."""
    found: list[str] = []
    for name in by_need(catalog):
        if (names | set(found)) & set(catalog.views[name].needs):
            found.append(name)
    return found[::-1]


def sync_view(conn: psycopg.Connection[Any], catalog: Catalog, view: View) -> QueryFileError | None:
    """Makes a derived view; when the store refuses, the one from before stays, and what is wrong is returned."""
    try:
        with conn.transaction():
            try:
                with conn.transaction():
                    run(conn, views_.derived_view(view, "CREATE OR REPLACE"))
            except pg.InvalidTableDefinition:
                # A column went or changed its place: PostgreSQL wants the view dropped first. Those that stand on
                # it are made again after it.
                for name in [*resting_on(catalog, {view.name}), view.name]:
                    conn.execute(f"DROP VIEW IF EXISTS {SCHEMA}.{ddl.quote(name)}".encode())
                run(conn, views_.derived_view(view))
    except pg.DependentObjectsStillExist as error:
        what = f"{view.path}:1: the view {view.name} has to change its columns, but {error.diag.message_detail}."
        return QueryFileError(what, "Drop that object, run `sbpgmon init`, then create it anew.")
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
        return QueryFileError(f"{view.path}:1: the store refuses the view: {explain(error)}.", "Mend the query.")
    return None


def by_need(catalog: Catalog) -> list[str]:
    """Derived views, each behind those that it needs."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in catalog.views and name not in order:
            for need in catalog.views[name].needs:
                visit(need)
            order.append(name)

    for name in catalog.views:
        visit(name)
    return order


def run(conn: psycopg.Connection[Any], statements: Sequence[str]) -> None:
    if statements:
        conn.execute(";\n".join(statements).encode())
