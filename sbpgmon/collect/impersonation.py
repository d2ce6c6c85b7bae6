"""The probe: what a tenant sees, tried as the application's role on a login of its own, in read-only transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sbpgmon.catalog.tenancy import render_question
from sbpgmon.collect.explain import plan_of
from sbpgmon.collect.known import Known
from sbpgmon.collect.login import MARK, become, login_of
from sbpgmon.collect.rounds import TIMEOUT_SECONDS, UNLIKE, Table, Trial
from sbpgmon.collect.switches import time_switch
from sbpgmon.collect.turns import tenants_of
from sbpgmon.errors import SbpgmonError, TargetError
from sbpgmon.findings import CheckRun
from sbpgmon.identifiers import quote
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Probe

CONTEXT, ROWS, KEY, SCHEMA = "probe_without_context", "probe_foreign_rows", "probe_foreign_key", "probe_foreign_schema"
_NOT_KNOWN = ("57014", "55P03", "53")  # too slow, locked, out of something: says nothing of tenants
_DIRECTLY = "Let [tenancy.probe] dsn lead to the server itself, not to a pooler, on a login that nobody else uses."
_DEARER = "Add an index that begins with the tenant key, or raise [tenancy.probe] max_cost."


def try_tenants(
    session: Session,
    known: Known,
    probe: Probe,
    connect_timeout_seconds: float,
    *,
    turn: int = 0,
    budget_seconds: float = 15.0,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[CheckRun], dict[str, float | None]]:
    """One round of the probe: its runs, and seconds that a switch of tenants takes (`switch_cold_seconds`, …).

    `session` is the agent's own, which knows the catalog; `turn` counts the rounds: tenants come in turn, and always
    the newest, the smallest and the largest. Raises nothing: what cannot be seen is unknown, and says why.
    """
    checks = [check for check, models in ((CONTEXT, "rls"), (KEY, "rls"), (ROWS, "rls"), (SCHEMA, "schema"))
              if models in known.models]  # fmt: skip
    role = probe.role or (known.app_roles[0] if known.app_roles else "")
    trial = Trial(
        login_of(session.target.name, probe), connect_timeout_seconds, known, probe, role, (), (),
        time.monotonic() + budget_seconds,
    )  # fmt: skip
    try:
        trial.tables = _tables(session, known)
        if "rls" in known.models:
            _try_pool(trial, session, turn, progress)
        if "schema" in known.models:
            _try_schemas(trial, turn, progress)
    except SbpgmonError as error:
        for check in checks:
            trial.miss(check, "", f"Not tried: {error.what.rstrip('.')}.", error.way_out or "See [tenancy.probe].")
    return trial.runs(checks), trial.figures


def _tables(session: Session, known: Known) -> list[Table]:
    with session.transaction(TIMEOUT_SECONDS * 5) as (cursor, _):
        rows = cursor.execute(render_question("probed", known.sql()).encode()).fetchall()
    return [Table(kind, name, key, tuple(pk), count, tenant) for kind, name, key, pk, count, tenant in rows]


def _try_pool(trial: Trial, own: Session, turn: int, progress: Callable[[str], None]) -> None:
    """Shared tables under row level security: without a context, then as one tenant and as another."""
    tables = [table for table in trial.tables if table.kind == "pool"]
    setting = trial.known.setting
    if not trial.role:
        for check in (CONTEXT, KEY, ROWS):
            trial.miss(check, "", "No application role is known.", "Name it: [tenancy] roles.app or probe.role.")
        return
    with trial.connected() as session:
        # On a fresh connection: once it was set, an unset setting reads '' and hides a policy that fails open.
        for table in trial.within(tables, CONTEXT):
            progress(f"{CONTEXT} {table.object}")
            _without_context(trial, session, table)
        if setting is None:
            for check in (KEY, ROWS):
                trial.miss(check, "", "The context setting is not known.", "Name it: [tenancy] context.setting.")
            return
        trial.tenants = tenants_of(trial, own, session, turn)
        if len(trial.tenants) < 2:
            for check in (KEY, ROWS):
                trial.miss(
                    check, trial.known.tenants_table or "", "Fewer than two tenants can be listed.",
                    "Let the application's role or the agent's read the key of the tenants' table: "
                    "sbpgmon grants --tenancy prints the grant.",
                )  # fmt: skip
            return
        for table in trial.within(tables, ROWS):
            progress(f"{ROWS} {table.object}")
            _as_tenants(trial, session, table, setting)
    if tables:
        time_switch(
            trial, tables[0], lambda tenant: [("SELECT pg_catalog.set_config(%s, %s, true)", (setting, tenant))]
        )


def _without_context(trial: Trial, session: Session, table: Table) -> None:
    try:
        with session.transaction(TIMEOUT_SECONDS) as (cursor, _):
            become(cursor, trial.role)
            is_used = _is_used(cursor, trial.known.setting)
            query = f"SELECT {MARK} EXISTS (SELECT FROM {table.object}), {UNLIKE}"
            if _cost(cursor, query, ()) > trial.probe.max_cost:
                trial.miss(CONTEXT, table.object, "Looking without a context would cost too much.", _DEARER)
                return
            row = cursor.execute(query.encode()).fetchone()
    except TargetError as error:
        _said_no(trial, CONTEXT, table, error)
        return
    if is_used and not (row is not None and row[0]):
        trial.miss(
            CONTEXT, "", f"On its connection {trial.known.setting} had been set before: it is not fresh.", _DIRECTLY
        )
    if row is not None and row[0]:
        trial.fail(
            CONTEXT,
            table,
            f"Without a context {trial.role} sees rows of {table.object}: whoever forgets to set it sees every tenant.",
            f"Let the policies of {table.object} compare the key with current_setting('{trial.known.setting}') alone.",
        )


def _as_tenants(trial: Trial, session: Session, table: Table, setting: str) -> None:
    """Each tenant sees a row of its own, and none of another's."""
    keys: dict[str, tuple[str, ...]] = {}
    for tenant in trial.tenants:
        row = _own_row(trial, session, table, setting, tenant)
        if row is None:
            return
        if row:
            keys[tenant] = row
    if len(keys) < 2:
        if table.rows > 0:
            why = f"As tenant {', '.join(trial.tenants)} not two of them see rows of their own in {table.object}."
            trial.miss(KEY, table.object, why, "Look whether the context is set as the application does it.")
        keys = keys or dict.fromkeys(trial.tenants[:1], ())
    others = list(keys)
    for place, tenant in enumerate(keys):
        foreign = others[(place + 1) % len(others)]
        tests: list[tuple[str, str, tuple[str, ...], str]] = [
            (ROWS, f"{_plain(table.key)} IS DISTINCT FROM %s", (tenant,), f"rows of tenants other than {tenant}")
        ]
        if table.primary_key and foreign != tenant:
            exact = " AND ".join(f"{_plain(name)} = %s" for name in table.primary_key)
            tests.append((KEY, exact, keys[foreign], f"a row of tenant {foreign} by its primary key"))
        for check, condition, values, what in tests:
            _foreign(trial, session, table, setting, tenant, check, condition, values, what)


def _own_row(trial: Trial, session: Session, table: Table, setting: str, tenant: str) -> tuple[str, ...] | None:
    """The primary key of one row that the tenant sees of its own; empty: it sees none; None: nobody can tell."""
    picked = ", ".join(f"{name}::text" for name in table.primary_key) or "'1'::text"
    try:
        with session.transaction(TIMEOUT_SECONDS) as (cursor, _):
            become(cursor, trial.role)
            cursor.execute("SELECT pg_catalog.set_config(%s, %s, true)", (setting, tenant))
            query = f"SELECT {MARK} {_plain(picked)} FROM {_plain(table.object)} WHERE {_plain(table.key)} = %s LIMIT 1"
            if _cost(cursor, query, (tenant,)) > trial.probe.max_cost:
                trial.miss(KEY, table.object, "Looking for a tenant's own row would cost too much.", _DEARER)
                return None
            row = cursor.execute(query.encode(), (tenant,)).fetchone()
    except TargetError as error:
        _said_no(trial, KEY, table, error, is_refusal_fine=error.sqlstate == "42501")
        return None
    return tuple(row) if row is not None else ()


def _foreign(
    trial: Trial, session: Session, table: Table, setting: str, tenant: str, check: str, condition: str,
    values: tuple[str, ...], what: str,
) -> None:  # fmt: skip
    try:
        with session.transaction(TIMEOUT_SECONDS) as (cursor, _):
            become(cursor, trial.role)
            cursor.execute("SELECT pg_catalog.set_config(%s, %s, true)", (setting, tenant))
            query = f"SELECT {MARK} EXISTS (SELECT FROM {_plain(table.object)} WHERE {condition}), {UNLIKE}"
            if _cost(cursor, query, values) > trial.probe.max_cost:
                trial.miss(check, table.object, "Looking for others' rows would cost too much.", _DEARER)
                return
            row = cursor.execute(query.encode(), values).fetchone()
    except TargetError as error:
        _said_no(trial, check, table, error)
        return
    if row is not None and row[0] and not any(f.object == table.object for f in trial.found.get(check, [])):
        trial.fail(
            check,
            table,
            f"As tenant {tenant} the role {trial.role} sees {what} in {table.object}.",
            f"See what the checks rls_… say of {table.object}; first of all: "
            f"ALTER TABLE {table.object} ENABLE ROW LEVEL SECURITY;",
        )


def _try_schemas(trial: Trial, turn: int, progress: Callable[[str], None]) -> None:
    """A schema for each tenant: one tenant's role is refused at every table of another."""
    members = [member for member in trial.known.tenant_schemas if member.role]
    if len(members) < 2:
        why = "Fewer than two tenants have a role that is named."
        trial.miss(SCHEMA, "", why, "Name them: [tenancy] schemas.role.")
        return
    count = min(len(members), trial.probe.tenants)
    chosen = [members[(turn * count + place) % len(members)] for place in range(count)]
    with trial.connected() as session:
        for place, member in enumerate(chosen):
            foreign = chosen[(place + 1) % len(chosen)].tenant
            tables = [table for table in trial.tables if table.kind == "schema" and table.tenant == foreign]
            for table in trial.within(tables, SCHEMA):
                progress(f"{SCHEMA} {table.object}")
                _foreign_table(trial, session, table, member.role, member.tenant)
    own = [table for table in trial.tables if table.kind == "schema" and table.tenant == chosen[0].tenant]
    if own:
        time_switch(trial, own[0], lambda _: [], role=chosen[0].role)


def _foreign_table(trial: Trial, session: Session, table: Table, role: str, tenant: str) -> None:
    try:
        with session.transaction(TIMEOUT_SECONDS) as (cursor, _):
            become(cursor, role)
            cursor.execute(f"SELECT {MARK} EXISTS (SELECT FROM {table.object}), {UNLIKE}".encode())
    except TargetError as error:
        if error.sqlstate != "42501":
            _said_no(trial, SCHEMA, table, error)
        elif "set role" in error.what:
            remedy = f"GRANT {quote(role)} TO the login of [tenancy.probe];"
            trial.miss(SCHEMA, table.object, f"The login may not become {role}.", remedy)
        return
    trial.fail(
        SCHEMA,
        table,
        f"The role of tenant {tenant} reads {table.object}, which is tenant {table.tenant}'s.",
        f"REVOKE ALL ON {table.object} FROM {quote(role)}; and from every role that it is a member of.",
        role=role,
    )


def _said_no(trial: Trial, check: str, table: Table, error: TargetError, *, is_refusal_fine: bool = True) -> None:
    """An error is what a tenant should meet, unless it says nothing of tenants."""
    if error.sqlstate.startswith(_NOT_KNOWN) or not error.sqlstate:
        trial.miss(check, table.object, f"Not seen: {error.what.rstrip('.')}.", error.way_out or "Look again later.")
    elif error.sqlstate == "42501" and "set role" in error.what:
        raise TargetError(
            f"The login of the probe may not become {trial.role}",
            f"GRANT {quote(trial.role)} TO that login: sbpgmon grants --tenancy prints it.",
        )
    elif not is_refusal_fine:
        trial.miss(check, table.object, f"Not seen: {error.what.rstrip('.')}.", error.way_out)


def _plain(name: str) -> str:
    """A name in a statement with parameters, of which none begins in it."""
    return name.replace("%", "%%")


def _is_used(cursor: Any, setting: str | None) -> bool:
    """Whether a transaction on this server connection has set the context before: it reads '' then, which no default
    of the database or of the login gives it. A pooler hands such connections on."""
    row = cursor.execute(
        "SELECT current_setting(%s, true) = '' AND NOT EXISTS (SELECT FROM pg_db_role_setting AS s "
        "CROSS JOIN unnest(s.setconfig) AS c (text) WHERE lower(split_part(c.text, '=', 1)) = lower(%s))",
        (setting, setting),
    ).fetchone()
    return bool(row[0])


def _cost(cursor: Any, query: str, values: Sequence[str]) -> float:
    return float(plan_of(cursor, query, values)["Total Cost"])
