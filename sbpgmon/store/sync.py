"""Makes the store's metric tables and views follow the catalog: at `init`, and when a new file appears."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import QueryFileError
from sbpgmon.model import TIER_SECONDS, Metric, View
from sbpgmon.store import ddl, tiers
from sbpgmon.store import views as views_
from sbpgmon.store.functions import keep_functions
from sbpgmon.store.partitions import comment_sql, make_ahead
from sbpgmon.store.partitions import partitions as stored_partitions
from sbpgmon.store.policy import RetentionOf, keep_policy, stored_metrics
from sbpgmon.store.preflight import revoke_default_privileges
from sbpgmon.store.rollup import finish
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.sync_views import by_need, resting_on, run, sync_metric_views, sync_view


def out_of_date(conn: psycopg.Connection[Any], catalog: Catalog) -> tuple[list[Metric], list[View]]:
    """Metrics and views whose tables are not in the store, or are of another header."""
    metrics = dict(conn.execute(f"SELECT name, definition_hash FROM {SCHEMA}.metric".encode()).fetchall())
    views = dict(conn.execute(f"SELECT name, definition_hash FROM {SCHEMA}.derived_view".encode()).fetchall())
    return (
        [m for m in catalog.metrics.values() if metrics.get(m.name) != views_.definition_hash(m)],
        [v for v in catalog.views.values() if views.get(v.name) != views_.view_hash(v)],
    )


def add_new(
    conn: psycopg.Connection[Any],
    catalog: Catalog,
    readers: Sequence[str],
    problems: list[QueryFileError],
    retention_of: RetentionOf,
) -> list[str]:
    """What a poll may do of sync(): metrics, columns and views that are new, and nothing that others rely on.

    Two agents of different versions work on one store while it is upgraded, and must not undo each other's work:
    whatever replaces or removes waits for `sbpgmon init`.
    """
    signatures = dict(conn.execute(f"SELECT name, signature FROM {SCHEMA}.metric".encode()).fetchall())
    views = {name for (name,) in conn.execute(f"SELECT name FROM {SCHEMA}.derived_view".encode())}
    metrics = {}
    for metric in catalog.metrics.values():
        old = signatures.get(metric.name)
        new = ddl.signature_of(metric)
        if old is None or (len(new) > len(old) and _is_extension(old, new)):
            metrics[metric.name] = metric
        elif not is_stored(old, metric):
            what = f"{metric.variants[0].path}:1: the columns of {metric.name} are not those of its tables."
            problems.append(QueryFileError(what, "Run `sbpgmon init`, which makes new tables and keeps the old."))
    fresh = {name: view for name, view in catalog.views.items() if name not in views}
    rest = {m.name: m for m in catalog.metrics.values() if m.name in signatures} | metrics
    return sync(conn, Catalog(rest, catalog.views), readers, problems, retention_of, only={*metrics, *fresh})


def _is_extension(old: list[dict[str, str]], new: list[dict[str, str]]) -> bool:
    """Whether all old columns are among the new ones, in the same tables: with the same keys and no new kind."""
    keys = [sorted(c["name"] for c in columns if c["kind"] == "key") for columns in (old, new)]
    kinds = [{c["kind"] for c in columns} for columns in (old, new)]
    return keys[0] == keys[1] and kinds[1] <= kinds[0] and all(column in new for column in old)


def unusable(conn: psycopg.Connection[Any], catalog: Catalog) -> set[str]:
    """The metrics whose tables cannot take their readings, until `sbpgmon init` has made others."""
    signatures = dict(conn.execute(f"SELECT name, signature FROM {SCHEMA}.metric".encode()).fetchall())
    return {m.name for m in catalog.metrics.values() if m.name in signatures and not is_stored(signatures[m.name], m)}


def is_stored(signature: list[dict[str, str]], metric: Metric) -> bool:
    """Whether tables of this signature can take the metric's readings."""
    return all(column in signature for column in ddl.signature_of(metric))


def sync(
    conn: psycopg.Connection[Any],
    catalog: Catalog,
    readers: Sequence[str],
    problems: list[QueryFileError],
    retention_of: RetentionOf,
    only: set[str] | None = None,
) -> list[str]:
    """Creates and upgrades what is out of date, in the caller's transaction; returns what was done, a line each.

    A derived view that the store refuses is added to `problems`, and stops nothing else. Raises StoreRefusedError
    when an object of the user's stands on a metric's view that has to lose columns.
    """
    metrics, views = out_of_date(conn, catalog)
    if only is not None:
        metrics, views = [m for m in metrics if m.name in only], [v for v in views if v.name in only]
    if not metrics and not views:
        return keep_tiers(conn, catalog, readers, retention_of)
    before = _relations(conn)
    done = [_sync_metric(conn, metric) for metric in metrics]
    changed = {m.name for m in metrics} | {v.name for v in views}
    # A view over something that changed is made again as well.
    changed |= set(resting_on(catalog, changed))
    sync_metric_views(conn, catalog, metrics)
    for name in by_need(catalog):
        if name not in changed:
            continue
        if problem := sync_view(conn, catalog, catalog.views[name]):
            problems.append(problem)
        else:
            done.append(f"view {name}")
    done += keep_tiers(conn, catalog, readers, retention_of, is_poll=only is not None)
    revoke_default_privileges(conn, only=_relations(conn) - before)
    grant_readers(conn, readers)
    return done


def keep_tiers(
    conn: psycopg.Connection[Any],
    catalog: Catalog,
    readers: Sequence[str],
    retention_of: RetentionOf,
    *,
    is_poll: bool = False,
) -> list[str]:
    """Tiers, retentions, their functions, and the partitions of now and of what follows; says what it changed."""
    done = ["retention"] if keep_policy(conn, catalog.metrics.values(), retention_of) else []
    if is_poll and (not done or any(out_of_date(conn, catalog))):
        # Functions are of the same header as the views, and follow with these.
        return done
    functions = keep_functions(conn, catalog, retention_of, is_poll=is_poll)
    if functions:
        grant_readers(conn, readers)
    make_ahead(conn, datetime.now(UTC))
    return done + [f"function {name}" for name in functions]


def _relations(conn: psycopg.Connection[Any]) -> set[str]:
    rows = conn.execute("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace", (SCHEMA,))
    return {name for (name,) in rows}


def _sync_metric(conn: psycopg.Connection[Any], metric: Metric) -> str:
    row = conn.execute(
        f"SELECT metric_id, signature, tier, table_version FROM {SCHEMA}.metric WHERE name = %s".encode(),
        (metric.name,),
    ).fetchone()
    if row is None:
        run(conn, [*ddl.create_metric(metric), *tiers.create_tiers(metric), views_.insert_metric(metric)])
        return f"metric {metric.name}"
    metric_id, old, tier, version = row
    there = _tiers(conn, metric.name)
    new = {c["name"]: c for c in ddl.signature_of(metric)}
    kept = all(new.get(c["name"]) == c for c in old)
    has_same_keys = {c["name"] for c in old if c["kind"] == "key"} == {k.name for k in metric.keys}
    has_same_tables = {c["kind"] for c in old} >= {c["kind"] for c in new.values()}
    if kept and has_same_keys and has_same_tables and tier == metric.tier:
        added = tuple(c for c in metric.columns if c.name not in {o["name"] for o in old})
        for missing in [t for t in metric.tiers if metric.facts and t not in there]:
            run(conn, tiers.create_tier(metric, missing))
        run(conn, tiers.add_columns(metric, added, [t for t in metric.tiers[1:] if t in there]))
        if added:
            # Rows from before have no value for it, which is not 0.
            lacks = json.dumps({c.name: "infinity" for c in added})
            conn.execute(
                f"UPDATE {SCHEMA}.metric_state SET lacks = lacks || %s::jsonb WHERE metric_id = %s".encode(),
                (lacks, metric_id),
            )
            what = f"metric {metric.name}: new columns {', '.join(c.name for c in added)}"
        else:
            what = f"metric {metric.name}: view and comments"
    else:
        if there and (before := stored_metrics(conn).get(metric_id)) is not None:
            finish(conn, before, metric_id)
        partitions = [name for t in there for name in _partitions(conn, f"{metric.name}_{t}")]
        run(conn, ddl.retire_metric(metric, old, there, version, partitions))
        # Else one that is detached would be taken for the new table's.
        retired_tables = [f"{metric.name}_v{version}_{t}" for t in there]
        run(conn, [comment_sql(partition) for partition in stored_partitions(conn, retired_tables)])
        conn.execute(f"DELETE FROM {SCHEMA}.rollup WHERE metric_id = %s".encode(), (metric_id,))
        conn.execute(f"DELETE FROM {SCHEMA}.late_bucket WHERE metric_id = %s".encode(), (metric_id,))
        run(conn, [*ddl.create_metric(metric), *tiers.create_tiers(metric)])
        # Numbers of series are never used twice: texts hang on them.
        series = ddl.names_of(metric).series
        retired = f"{SCHEMA}.{ddl.quote(f'{metric.name}_v{version}_series')}"
        conn.execute(
            f"SELECT setval(pg_get_serial_sequence('{series}', 'series_id'), "
            f"(SELECT coalesce(max(series_id), 0) + 1 FROM {retired}))".encode()
        )
        # Its history begins anew; the old one goes on under its old name, and what it lacked is still to be told.
        conn.execute(
            f"UPDATE {SCHEMA}.metric_state SET (snapshot_id, snapshot_ts, snapshot_target_time, snapshot_rows, "
            "snapshot_duration_seconds) = (NULL, NULL, NULL, NULL, NULL) WHERE metric_id = %s".encode(),
            (metric_id,),
        )
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
        "hash": views_.definition_hash(metric),
        "version": version,
    }
    conn.execute(
        f"UPDATE {SCHEMA}.metric SET title = %(title)s, tier = %(tier)s, missing = %(missing)s, "
        "interval_seconds = %(interval)s, signature = %(signature)s, definition_hash = %(hash)s, "
        "table_version = %(version)s WHERE name = %(name)s".encode(),
        values,
    )
    return what


def _tiers(conn: psycopg.Connection[Any], name: str) -> list[str]:
    """The tiers that a metric has tables of."""
    names = {tier: f"{name}_{tier}" for tier in TIER_SECONDS}
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'p' AND relname = ANY(%s)",
        (SCHEMA, list(names.values())),
    )
    there = {relname for (relname,) in rows}
    return [tier for tier, table in names.items() if table in there]


def _partitions(conn: psycopg.Connection[Any], parent: str) -> list[str]:
    rows = conn.execute(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
        (f"{SCHEMA}.{ddl.quote(parent)}",),
    )
    return [name for (name,) in rows]


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
        conn.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {SCHEMA} TO {ddl.quote(reader)}".encode())
    return there
