"""SQL files for the tests of the catalog."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sbpgmon.model import Server

Write = Callable[..., Path]

# Line 1 to 9 are the header, the query stands in line 10.
GOOD = """\
-- WAL written since the server's counters were last reset.
--
-- A jump right after a checkpoint is full-page images, not load.
--
-- interval: 60s
-- missing: unknown
-- timeout: 2s
-- columns:
--   wal_records  counter  bigint  records generated
select 1::bigint as wal_records
"""

# The example of the design, with the remarks that it carries.
DESIGN = """\
-- WAL written since the server's counters were last reset.
--
-- A jump right after a checkpoint is full-page images, not load.
--
-- interval: 60s
-- scope: instance              instance | database
-- role: any                    any | primary | standby
-- requires: pg_monitor
-- missing: unknown             zero | unknown: what an absent row means
-- timeout: 2s
-- columns:
--   wal_records  counter  bigint       records generated
--   wal_bytes    counter  numeric      bytes generated [bytes]
--   stats_reset  reset    timestamptz  when these counters were reset
select wal_records, wal_bytes, stats_reset from pg_stat_wal
"""


def with_columns(*lines: str, query: str = "select 1") -> str:
    """A file with these columns; the first stands in line 4."""
    listed = "".join(f"--   {line}\n" for line in lines)
    return f"-- A title.\n-- interval: 60s\n-- columns:\n{listed}{query}\n"


def server(major: int = 18, **changes: Any) -> Server:
    """A server that can serve everything, unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "version_num": major * 10000 + 1,
        "version": f"{major}.1",
        "database": "app",
        "role": "reader",
        "is_superuser": False,
        "is_standby": False,
        "roles": frozenset({"pg_monitor"}),
        "encoding": "UTF8",
        "system_identifier": 7_000_000_000_000_000_000,
        "timeline": 1,
        "postmaster_start_time": datetime(2026, 1, 1, tzinfo=UTC),
        "checkpointer_start_time": datetime(2026, 1, 1, tzinfo=UTC),
        "extensions": {"pg_stat_statements": ("public", (1, 12))},
        "writable": (),
        "pooled": False,
        "is_statements_loaded": True,
    }
    return Server(**values | changes)
