"""Makes the store's metric tables and views follow the catalog: at `init`, and when a new file appears."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import errors as pg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import StoreRefusedError
from sbpgmon.model import Metric, View
from sbpgmon.store import ddl
from sbpgmon.store.partitions import ensure_partitions
from sbpgmon.store.schema import SCHEMA


def out_of_date(conn: psycopg.Connection[Any], catalog: Catalog) -> tuple[list[Metric], list[View]]:
    """Metrics and views whose tables are not in the store, or are of another header."""
    metrics = dict(conn.execute(f"SELECT name, definition_hash FROM {SCHEMA}.metric".encode()).fetchall())
    views = dict(conn.execute(f"SELECT name, definition_hash FROM {SCHEMA}.derived_view".encode()).fetchall())
    return (
        [m for m in catalog.metrics.values() if metrics.get(m.name) != ddl.definition_hash(m)],
        [v for v in catalog.views.values() if views.get(v.name) != ddl.view_hash(v)],
    )


def sync(conn: psycopg.Connection[Any], catalog: Catalog, readers: Sequence[str]) -> list[str]:
    """Creates and upgrades what is out of date, in the caller's transaction; returns what was done, a line each.

    Raises StoreRefusedError when an object of the user's stands on a view that has to change its columns.
    """
    metrics, views = out_of_date(conn, catalog)
    if not metrics and not views:
        return []
    done = [_sync_metric(conn, metric) for metric in metrics]
    changed = {m.name for m in metrics} | {v.name for v in views}
    # A view over something that changed is made again as well.
    for view in catalog.views.values():
        if view.name not in changed and changed & set(view.needs):
            changed.add(view.name)
            views.append(view)
    _sync_views(conn, catalog, metrics, views)
    done += [f"view {view.name}" for view in views]
    ensure_partitions(conn, catalog.metrics.values(), [datetime.now(UTC)])
    grant_readers(conn, readers)
    return done


def _sync_metric(conn: psycopg.Connection[Any], metric: Metric) -> str:
    row = conn.execute(
        f"SELECT metric_id, signature, tier, table_version FROM {SCHEMA}.metric WHERE name = %s".encode(),
        (metric.name,),
    ).fetchone()
    if row is None:
        _run(conn, [*ddl.create_metric(metric), ddl.insert_metric(metric)])
        return f"metric {metric.name}"
    metric_id, old, tier, version = row
    new = {c["name"]: c for c in ddl.signature_of(metric)}
    kept = all(new.get(c["name"]) == c for c in old)
    has_same_keys = {c["name"] for c in old if c["kind"] == "key"} == {k.name for k in metric.keys}
    has_same_tables = {c["kind"] for c in old} >= {c["kind"] for c in new.values()}
    if kept and has_same_keys and has_same_tables and tier == metric.tier:
        added = tuple(c for c in metric.columns if c.name not in {o["name"] for o in old})
        _run(conn, ddl.add_columns(metric, added))
        if added:
            # Rows from before have no value for it, which is not 0.
            lacks = json.dumps({c.name: datetime.now(UTC).isoformat() for c in added})
            conn.execute(
                f"UPDATE {SCHEMA}.metric_state SET lacks = lacks || %s::jsonb WHERE metric_id = %s".encode(),
                (lacks, metric_id),
            )
            what = f"metric {metric.name}: new columns {', '.join(c.name for c in added)}"
        else:
            what = f"metric {metric.name}: description"
    else:
        _run(conn, ddl.retire_metric(metric, old, tier, version))
        _run(conn, ddl.create_metric(metric))
        # Its history begins anew; the old one goes on under its old name.
        conn.execute(f"DELETE FROM {SCHEMA}.metric_state WHERE metric_id = %s".encode(), (metric_id,))
        conn.execute(f"DELETE FROM {SCHEMA}.last_state WHERE metric_id = %s".encode(), (metric_id,))
        version += 1
        what = f"metric {metric.name}: new tables; the old ones are the view {metric.name}_v{version - 1}"
    values = {
        "name": metric.name,
        "title": metric.title,
        "tier": metric.tier,
        "missing": metric.missing,
        "interval": metric.interval_seconds,
        "signature": json.dumps(ddl.signature_of(metric)),
        "hash": ddl.definition_hash(metric),
        "version": version,
    }
    conn.execute(
        f"UPDATE {SCHEMA}.metric SET title = %(title)s, tier = %(tier)s, missing = %(missing)s, "
        "interval_seconds = %(interval)s, signature = %(signature)s, definition_hash = %(hash)s, "
        "table_version = %(version)s WHERE name = %(name)s".encode(),
        values,
    )
    return what


def _sync_views(
    conn: psycopg.Connection[Any], catalog: Catalog, metrics: Sequence[Metric], views: Sequence[View]
) -> None:
    pending = {view.name: view for view in views}
    order = [name for name in by_need(catalog) if name in pending]
    try:
        with conn.transaction():
            for metric in metrics:
                _run(conn, ddl.metric_view(metric, "CREATE OR REPLACE"))
            for name in order:
                _run(conn, ddl.derived_view(pending[name], "CREATE OR REPLACE"))
    except pg.InvalidTableDefinition:
        # A column went or changed its place: PostgreSQL wants the view dropped first, what stands on it before it.
        for name in [*reversed(order), *(m.name for m in metrics)]:
            try:
                conn.execute(f"DROP VIEW IF EXISTS {SCHEMA}.{ddl.quote(name)}".encode())
            except pg.DependentObjectsStillExist as error:
                raise StoreRefusedError(
                    f"The view {SCHEMA}.{name} has to change its columns, but {error.diag.message_detail}.",
                    "Drop that object, run `sbpgmon init` again, then create it anew.",
                ) from None
        for metric in metrics:
            _run(conn, ddl.metric_view(metric))
        for name in order:
            _run(conn, ddl.derived_view(pending[name]))


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


def grant_readers(conn: psycopg.Connection[Any], readers: Sequence[str]) -> list[str]:
    """USAGE on the schema and SELECT on its views, for those of the readers that exist; returns these."""
    there = [name for (name,) in conn.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(readers),))]
    views = [
        name
        for (name,) in conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'v'", (SCHEMA,)
        )
    ]
    for reader in there:
        conn.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ddl.quote(reader)}".encode())
        listed = ", ".join(f"{SCHEMA}.{ddl.quote(view)}" for view in views)
        conn.execute(f"GRANT SELECT ON {listed} TO {ddl.quote(reader)}".encode())
    return there


def _run(conn: psycopg.Connection[Any], statements: Sequence[str]) -> None:
    if statements:
        conn.execute(";\n".join(statements).encode())
