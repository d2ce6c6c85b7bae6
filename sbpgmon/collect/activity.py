"""Metrics that ask about tenants: below their parts, with what the user's own SQL says of each tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sbpgmon.catalog.checks import FIGURES, TENANCY, below_parts
from sbpgmon.checks import Part
from sbpgmon.collect.known import Known
from sbpgmon.collect.plans import denied
from sbpgmon.errors import TargetError
from sbpgmon.model import Metric, Variant
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Activity, Tenancy

# Column of the user's SQL -> name and type of the part's column.
_COLUMNS = {
    "reads": ("tup_read", "bigint"),
    "writes": ("tup_written", "bigint"),
    "rows": ("row_count", "bigint"),
    "bytes": ("size_bytes", "bigint"),
    "sessions": ("sessions", "integer"),
    "active_sessions": ("active_sessions", "integer"),
}
_WAY_OUT = f"[tenancy.activity] sql returns tenant, and any of {', '.join(_COLUMNS)}."


def tell(
    session: Session,
    metric: Metric,
    variant: Variant,
    known: Known,
    tenancy: Tenancy,
    parts: Mapping[str, Part],
    timeout_seconds: float,
) -> Variant:
    """The variant of a metric that asks about tenants, below the parts that it uses. Raises TargetError."""
    brought = {TENANCY: known.sql()}
    if FIGURES in metric.uses:
        try:
            brought[FIGURES] = figures_sql(session, tenancy.activity, timeout_seconds)
        except TargetError as error:
            raise denied(error, tenancy.activity.sql or "", known.own_role) from None
    return replace(variant, sql=below_parts(metric, variant.sql, parts, brought))


def figures_sql(session: Session, activity: Activity, timeout_seconds: float) -> str:
    """The SELECT of the part: tenant text, once each, and all columns; NULL where the user's SQL does not return one.

    Raises TargetError when the server refuses that SQL, or when it returns something else.
    """
    if activity.sql is None:
        nulls = ", ".join(f"null::{type_} as {name}" for name, type_ in _COLUMNS.values())
        return f"select null::text as tenant, {nulls} where false"
    sql = activity.sql.strip().rstrip(";")
    with session.transaction(timeout_seconds) as (cursor, _):
        cursor.execute(f"SELECT /* sbpgmon:describe */ * FROM (\n{sql}\n) AS own LIMIT 0".encode())
        returned = [column.name for column in cursor.description or ()]
    if "tenant" not in returned:
        raise TargetError("The SQL of [tenancy.activity] does not return tenant.", _WAY_OUT)
    if more := [name for name in returned if name not in ("tenant", *_COLUMNS)]:
        raise TargetError(f"The SQL of [tenancy.activity] returns {', '.join(more)}.", _WAY_OUT)
    picked = ", ".join(
        f"{f'sum({column})' if column in returned else 'null'}::{type_} as {name}"
        for column, (name, type_) in _COLUMNS.items()
    )
    return f"select coalesce(tenant::text, '') as tenant, {picked} from (\n{sql}\n) as own group by 1"
