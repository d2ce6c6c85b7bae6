"""What `doctor` looks at: every precondition, each with ok, warn or fail and the way to mend it."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sbpgmon.catalog.catalog import Catalog, is_for, pick_variant
from sbpgmon.catalog.retention import check_retention
from sbpgmon.config import Settings, Target
from sbpgmon.durations import in_words
from sbpgmon.errors import RefusedError, SbpgmonError, SchemaGoneError
from sbpgmon.model import Server
from sbpgmon.sources.probe import other_server, probe, refuse_unsafe
from sbpgmon.sources.session import Session, parse_dsn, transport_of
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.preflight import publications, refuse_unsuitable
from sbpgmon.store.spool import state_folder
from sbpgmon.store.targets import known_identifiers
from sbpgmon.store.version import check

_MAX_SKEW_SECONDS = 5.0
_MIN_FREE_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One precondition: where it was looked at, `ok`, `warn` or `fail`, and what to do."""

    where: str
    check: str
    status: str
    detail: str
    remedy: str = ""


def examine(settings: Settings, catalog: Catalog) -> Iterator[Check]:
    """All checks, as they are made. Raises nothing: what goes wrong is a check that fails."""
    for problem in catalog.problems:
        yield Check("catalog", "SQL files", "fail", problem.what, problem.way_out)
    if not catalog.problems:
        yield Check("catalog", "SQL files", "ok", f"{len(catalog.metrics)} metrics, {len(catalog.views)} views")
    try:
        check_retention(settings, catalog)
        yield Check("agent", "retention", "ok", _ages(settings))
        yield _free_disk(settings)
    except SbpgmonError as error:
        yield _failed("agent", "configuration", error)
        return
    yield from _store(settings)
    known = _known_identifiers(settings)
    for target in settings.targets:
        yield from _target(settings, catalog, target, known.get(target.name))


def _failed(where: str, check_: str, error: SbpgmonError, status: str = "fail") -> Check:
    return Check(where, check_, status, error.what, error.way_out)


def _ages(settings: Settings) -> str:
    kept = ", ".join(f"{tier} {in_words(seconds)}" for tier, seconds in settings.retention.items())
    return f"{settings.environment.profile}: {kept}; a tick every {in_words(settings.tick_seconds)}"


def _free_disk(settings: Settings) -> Check:
    state_dir = folder = state_folder(settings)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free for the state folder {state_dir}"
    if free < max(_MIN_FREE_BYTES, settings.agent.spool_bytes):
        return Check("agent", "free disk", "warn", detail, "Make room, or point state_dir elsewhere.")
    return Check("agent", "free disk", "ok", detail)


def _store(settings: Settings) -> Iterator[Check]:
    where = "store"
    try:
        dsn = settings.store_dsn
        store = StoreConnection(dsn, settings.agent.connect_timeout)
        with store.transaction() as conn:
            version = conn.info.server_version
            is_pooled = conn.execute("SELECT pg_backend_pid()").fetchone() != (conn.info.backend_pid,)
            transport = transport_of(conn)
            encoding = conn.info.parameter_status("server_encoding")
            settings_row = conn.execute(
                "SELECT current_setting('max_locks_per_transaction')::int, rolsuper FROM pg_roles "
                "WHERE rolname = current_user"
            ).fetchone()
    except SbpgmonError as error:
        yield _failed(where, "connection", error)
        return
    yield Check(where, "connection", "ok", f"PostgreSQL {version // 10000}.{version % 10000}")
    yield _tls(where, transport)
    yield _password(where, dsn)
    if is_pooled:
        yield Check(
            where,
            "pooler",
            "warn",
            "a pooler stands between the agent and the store",
            "Works (no session state is used), but connect directly: COPY and DDL do not gain by it.",
        )
    if encoding == "SQL_ASCII":
        remedy = "Create the store's database with ENCODING 'UTF8' TEMPLATE template0."
        yield Check(where, "encoding", "warn", "the store's database is SQL_ASCII: it checks no text", remedy)
    assert settings_row is not None
    if settings_row[1]:
        yield Check(
            where,
            "role",
            "warn",
            "the store's role is a superuser",
            "Use a role that owns the schema alone: `sbpgmon grants`.",
        )
    try:
        refuse_unsuitable(store.raw)
        yield Check(where, "suitable", "ok", "primary, writable, no publication carries the schema away")
    except SbpgmonError as error:
        yield _failed(where, "suitable", error)
    try:
        with store.transaction() as conn:
            check(conn)
            carriers = publications(conn)
        yield Check(where, "schema", "ok", "monitoring is there, of this program's revision")
        if carriers:
            yield Check(where, "publications", "fail", ", ".join(carriers), "Use a separate store: [store] dsn.")
    except SchemaGoneError as error:
        yield Check(where, "schema", "warn", error.what, "Run `sbpgmon init`.")
    except SbpgmonError as error:
        yield _failed(where, "schema", error)
    finally:
        store.close()


def _known_identifiers(settings: Settings) -> dict[str, int]:
    """Target -> server that its history is of; empty where the store does not say."""
    try:
        with (
            contextlib.closing(StoreConnection(settings.store_dsn, settings.agent.connect_timeout)) as store,
            store.transaction() as conn,
        ):
            check(conn)
            return known_identifiers(conn, [target.name for target in settings.targets])
    except SbpgmonError:
        return {}


def _target(settings: Settings, catalog: Catalog, target: Target, identifier: int | None) -> Iterator[Check]:
    where = target.name
    try:
        with (
            Session(target, settings.agent.connect_timeout) as session,
            session.deadline(settings.agent.deadline),
        ):
            server = probe(session)
            transport = session.transport
            with session.transaction(5.0) as (_, now):
                skew = (now - datetime.now(UTC)).total_seconds()
    except SbpgmonError as error:
        yield _failed(where, "connection", error)
        return
    yield Check(where, "connection", "ok", f"PostgreSQL {server.version}, database {server.database}")
    if identifier is not None:
        other = other_server(where, server, identifier)
        is_known = Check(where, "identity", "ok", "the server that the history is of")
        yield is_known if other is None else _failed(where, "identity", other)
    yield _tls(where, transport)
    yield _password(where, target.dsn)
    try:
        refuse_unsafe(where, server, allow_superuser=False)
        yield Check(where, "role", "ok", f"{server.role} may read and not write")
    except SbpgmonError as error:
        is_told = settings.allow_superuser and isinstance(error, RefusedError)
        yield _failed(where, "role", error, "warn" if is_told else "fail")
    if settings.store_dsn == target.dsn:
        yield Check(
            where,
            "roles apart",
            "warn",
            f"{server.role} both reads the target and owns the schema: the first wall is thinner",
            "Two roles: [store] dsn for the owner, [[targets]] dsn for the reader. `sbpgmon grants` prints them.",
        )
    if server.is_standby:
        yield Check(where, "standby", "ok", "a standby: read like a primary; its store must be elsewhere")
    yield from _statements(where, server)
    yield _skew(where, skew)
    if server.pooled:
        yield Check(
            where,
            "pooler",
            "warn",
            "a pooler stands in between",
            "It works, but names one server of several and counts the pooler's connections: connect directly.",
        )
    if server.encoding == "SQL_ASCII":
        yield Check(
            where,
            "encoding",
            "warn",
            "the database is SQL_ASCII: bytes that are not ASCII are stored as '?' in names",
            "Nothing is lost but the names; a database with ENCODING 'UTF8' shows them.",
        )
    for metric in (m for m in catalog.metrics.values() if is_for(m, server) and not (m.source or m.uses)):
        variant, why_not = pick_variant(metric, server)
        if variant is None and not any(r.extension for r in metric.requires):
            yield Check(where, f"metric {metric.name}", "warn", why_not)


def _statements(where: str, server: Server) -> Iterator[Check]:
    name = "pg_stat_statements"
    if name not in server.extensions:
        yield Check(
            where,
            name,
            "fail",
            f"the extension is not in database {server.database}",
            f"shared_preload_libraries = '{name}', restart, then CREATE EXTENSION {name} (not in monitoring).",
        )
        return
    if not server.is_statements_loaded:
        yield Check(
            where,
            name,
            "fail",
            "the extension is created, but its library is not loaded",
            "shared_preload_libraries = 'pg_stat_statements' in postgresql.conf, then restart the server.",
        )
        return
    _, version = server.extensions[name]
    text = ".".join(map(str, version))
    if version < (1, 9):
        yield Check(where, name, "fail", f"version {text} is too old", f"ALTER EXTENSION {name} UPDATE;")
    else:
        yield Check(where, name, "ok", f"version {text}")


def _skew(where: str, seconds: float) -> Check:
    detail = f"the target's clock is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} the agent's"
    if abs(seconds) > _MAX_SKEW_SECONDS:
        return Check(where, "clock", "warn", detail, "Let both follow NTP; the agent's clock is used until then.")
    return Check(where, "clock", "ok", detail)


def _tls(where: str, transport: tuple[str, str]) -> Check:
    host, mode = transport
    if _is_local(host):
        return Check(where, "TLS", "ok", "not over a network")
    if mode != "verify-full":
        return Check(
            where,
            "TLS",
            "warn",
            f"sslmode={mode} over a network: who answers is not verified",
            "sslmode=verify-full and sslrootcert=… in the DSN.",
        )
    return Check(where, "TLS", "ok", "sslmode=verify-full")


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _password(where: str, dsn: str) -> Check:
    if parse_dsn(dsn, where).get("password"):
        return Check(
            where,
            "password",
            "warn",
            "the password stands in the DSN, where others may read it",
            "Take it out: ~/.pgpass, a service file or PGPASSWORD.",
        )
    return Check(where, "password", "ok", "not in the DSN")
