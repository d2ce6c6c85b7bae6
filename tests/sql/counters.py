"""Metrics of every shape, for the tests of the counter rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.model import Metric
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, Row, at, scratch

COUNTED = """\
-- Counters alone, with a reset of their own.
-- interval: 60s
-- missing: zero
-- columns:
--   name         key      text              name
--   calls        counter  bigint            calls
--   bytes        counter  numeric           bytes [bytes]
--   spent        counter  double precision  time [ms]
--   stats_reset  reset    timestamptz       reset
select 1
"""
MEASURED = """\
-- A gauge, a counter and an info column.
-- interval: 15s
-- columns:
--   name   key      text     name
--   size   gauge    integer  size
--   count  counter  bigint   count
--   owner  info     text     owner
select 1
"""
ZEROED = """\
-- A counter whose zeros are not sent, and nothing that tells of resets.
-- interval: 60s
-- missing: zero
-- nulls: zero
-- columns:
--   id     key      integer  id
--   calls  counter  bigint   calls
--   rows   counter  bigint   rows
select 1
"""
KEYLESS = """\
-- One row.
-- interval: 60s
-- columns:
--   up     gauge    smallint  up
--   count  counter  integer   count
select 1
"""
NOTED = """\
-- Info columns alone.
-- interval: 5m
-- columns:
--   id      key   oid      id
--   name    info  text     name
--   active  info  boolean  active
select 1
"""
OLD = """\
-- Columns that came with a version.
-- interval: 60s
-- columns:
--   id     key      integer  id
--   calls  counter  bigint   calls
--   late   counter  bigint   came later
--   size   gauge    bigint   came later as well
select 1::integer as id, 1::bigint as calls, null::bigint as late, null::bigint as size
"""
NEW = "-- From 18 on.\nselect 1::integer as id, 1::bigint as calls, 1::bigint as late, 1::bigint as size\n"
RESTARTED = {"postmaster_start_time": at(30)}


@contextlib.contextmanager
def counters_lab(cluster: Server, folder: Path) -> Iterator[Lab]:
    """A store with these metrics, and the view of the snapshots."""
    metrics: list[Metric] = []
    for name, text in (
        ("counted", COUNTED), ("measured", MEASURED), ("zeroed", ZEROED), ("keyless", KEYLESS), ("noted", NOTED),
    ):  # fmt: skip
        (folder / f"{name}.sql").write_text(text)
        metrics.append(parse_metric([folder / f"{name}.sql"]))
    (folder / "versioned.sql").write_text(OLD)
    (folder / "versioned.pg18.sql").write_text(NEW)
    metrics.append(parse_metric([folder / "versioned.sql", folder / "versioned.pg18.sql"]))
    views = {name: load_catalog().views[name] for name in ("snapshot",)}
    with scratch(cluster) as database:
        lab = Lab(database, Catalog({m.name: m for m in metrics}, views), folder / "state")
        init(lab.store, lab.catalog, [])
        yield lab
        lab.store.close()


def deltas(lab: Lab, metric: str = "counted", columns: str = "name, calls, quality") -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in lab.rows(metric, columns)]


def counted(name: str, calls: int | None, reset: float | None = None, bytes_: Any = 0, spent: Any = 0) -> Row:
    return name, calls, bytes_, spent, None if reset is None else at(reset)
