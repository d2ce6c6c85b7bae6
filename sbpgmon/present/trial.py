"""What `metrics test` does: runs a file's query on a target as the agent would, and looks at what comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sbpgmon.catalog.catalog import is_for, pick_variant, render_sql
from sbpgmon.catalog.tenancy import shipped_parts
from sbpgmon.collect.activity import tell
from sbpgmon.collect.tenancy import know
from sbpgmon.config import Settings, Target
from sbpgmon.errors import QueryFileError, TargetError
from sbpgmon.model import AGENT, Kind, Metric, Server, Variant
from sbpgmon.sources.probe import probe, refuse_unsafe
from sbpgmon.sources.reader import describe, read
from sbpgmon.sources.session import Session

_SHOWN_ROWS = 10
_MANY_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Trial:
    """A query that keeps its contract, and what it returned."""

    metric: str
    target: str
    server_version: str
    rows: int
    bytes: int
    duration_seconds: float
    first_rows: list[dict[str, Any]]
    warnings: list[str]


def try_metric(metric: Metric, target: Target, settings: Settings) -> Trial:
    """Raises QueryFileError for a broken contract, TargetError when the target refuses the query."""
    if metric.source == AGENT:
        raise TargetError(
            f"{metric.name} has no query: the agent makes its rows itself.", "`sbpgmon tenants events test` shows some."
        )
    if metric.source:
        raise TargetError(
            f"{metric.name} is not read on a target: it is made of the snapshots of {metric.source}, in the store.",
            "`sbpgmon init` and a poll show what it gives.",
        )
    with (
        Session(target, settings.agent.connect_timeout) as session,
        session.deadline(settings.agent.deadline),
    ):
        server = probe(session)
        refuse_unsafe(target.name, server, allow_superuser=settings.allow_superuser)
        if not is_for(metric, server):
            raise TargetError(
                f"Target {target.name} is not a {metric.role}, which {metric.name} is for.", "--target NAME"
            )
        variant, why_not = pick_variant(metric, server)
        if variant is None:
            raise TargetError(
                f"Target {target.name} cannot serve {metric.name}: {why_not}.", "Choose another --target."
            )
        try:
            if metric.uses:
                variant = _told(session, server, metric, variant, settings)
            description = describe(session, metric, variant, server)
            data, rows, _, seconds = read(
                session,
                metric,
                variant,
                server,
                description.columns,
                timeout_seconds=metric.timeout_seconds,
                max_bytes=settings.agent.max_snapshot_bytes,
            )
        except TargetError as error:
            raise TargetError(f"{variant.path}: {error.what}", error.way_out) from None
        sql = render_sql(variant, server)
        with session.transaction(metric.timeout_seconds) as (cursor, _):
            cursor.execute(f"SELECT * FROM (\n{sql}\n) AS metric LIMIT {_SHOWN_ROWS}".encode())
            names = [column.name for column in cursor.description or ()]
            first = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            checks = _contract(metric, variant, sql, cursor)
    if checks:
        raise QueryFileError(f"{variant.path}:1: {'; '.join(checks)}.", "Mend the query: COALESCE, GROUP BY, casts.")
    warnings = []
    if rows > _MANY_ROWS:
        warnings.append(f"{rows} rows at each reading are many: fewer keys, or a longer interval")
    if seconds > metric.timeout_seconds / 2:
        warnings.append(f"took {seconds:.1f} s of the {metric.timeout_seconds:g} s that it may take")
    return Trial(metric.name, target.name, server.version, rows, len(data), seconds, first, warnings)


def _told(session: Session, server: Server, metric: Metric, variant: Variant, settings: Settings) -> Variant:
    """The variant below the parts that it uses. Raises TargetError where no tenancy is known."""
    tenancy = settings.tenancy_of(session.target.name)
    known = know(session, server, tenancy)
    if not known.models:
        raise TargetError(
            f"{metric.name} asks how tenants are kept apart, and that is not known.", "Declare [tenancy]."
        )
    return tell(session, metric, variant, known, tenancy, shipped_parts(), metric.timeout_seconds)


def _contract(metric: Metric, variant: Variant, sql: str, cursor: Any) -> list[str]:
    """What only rows can show: NULL keys, keys that stand twice, NULL counters."""
    keys = [c.name for c in metric.of_kind(Kind.KEY)]
    quoted = ", ".join(f'"{name}"' for name in keys)
    counted = [f'count(*) FILTER (WHERE "{name}" IS NULL)' for name in keys]
    known = [c.name for c in metric.counters if c.name not in variant.lacks]
    counters = known if metric.nulls == "unknown" else []
    counted += [f'count(*) FILTER (WHERE "{name}" IS NULL)' for name in counters]
    counted.append(f"count(*) - count(DISTINCT row({quoted}))" if keys else "greatest(count(*) - 1, 0)")
    cursor.execute(f"SELECT {', '.join(counted)} FROM (\n{sql}\n) AS metric".encode())
    *nulls, doubles = cursor.fetchone()
    problems = []
    for name, count in zip([*keys, *counters], nulls, strict=True):
        if count:
            kind = "key" if name in keys else "counter"
            problems.append(f"the {kind} {name} is NULL in {count} rows")
    if doubles:
        problems.append(f"{doubles} rows have the key of another row" if keys else "without keys there is one row only")
    return problems
