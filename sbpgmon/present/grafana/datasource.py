"""Grafana's data source for a store: where it is, who reads, how the line is secured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.present.grafana.dashboard import DATASOURCE_TYPE
from sbpgmon.sources.session import parse_dsn
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.version import check

UID = "sbpgmon"
NAME = "sbpgmon"
PASSWORD_VARIABLE = "SBPGMON_GRAFANA_PASSWORD"  # in the environment of the Grafana server
_DEFAULT_PORT = 5432
# Grafana knows no `prefer`: it is what the agent's own connection came to.
_MODES = ("disable", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class DataSource:
    """What Grafana has to know of a store."""

    host: str  # a name, an address, or the folder of a Unix socket
    port: int
    database: str
    user: str
    sslmode: str
    major: int  # of PostgreSQL

    @property
    def url(self) -> str:
        if self.host.startswith("/"):
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def json(self) -> dict[str, Any]:
        """The data source as Grafana's API and its provisioning have it, without the password."""
        return {
            "name": NAME,
            "uid": UID,
            "type": DATASOURCE_TYPE,
            "access": "proxy",
            "url": self.url,
            "user": self.user,
            "jsonData": {
                "database": self.database,
                "sslmode": self.sslmode,
                "postgresVersion": self.major * 100,
                "timeInterval": "15s",
                "maxOpenConns": 10,
                "maxIdleConns": 2,
                "connMaxLifetime": 14400,
                "timescaledb": False,
            },
        }


def datasource_of(store: StoreConnection, dsn: str, *, user: str, host: str | None, port: int | None) -> DataSource:
    """The data source of a store that answers and has our schema; `host` and `port` as Grafana sees them.

    Raises StoreError and its kin, and ConfigError for a role that is not there or an address that Grafana cannot use.
    """
    host = _host(host) if host else None
    with store.transaction() as conn:
        check(conn)
        row = conn.execute(
            "SELECT current_database(), current_setting('server_version_num')::integer / 10000, "
            "coalesce((SELECT s.ssl FROM pg_stat_ssl AS s WHERE s.pid = pg_backend_pid()), false), "
            "(SELECT has_schema_privilege(r.oid, 'monitoring', 'USAGE') FROM pg_roles AS r WHERE r.rolname = %s)",
            (user,),
        ).fetchone()
        own_host, own_port = conn.info.host, conn.info.port
    assert row is not None
    database, major, is_encrypted, may_read = row
    if may_read is None:
        raise ConfigError(f"There is no role {user} in the store.", "`sbpgmon grants` prints the SQL that makes it.")
    if not may_read:
        raise ConfigError(
            f"The role {user} may not read the schema monitoring.",
            f"GRANT USAGE ON SCHEMA monitoring TO {user}; or `sbpgmon grants`, then `sbpgmon init`.",
        )
    mode = str(parse_dsn(dsn, "the store").get("sslmode") or "")
    if host is not None or mode not in _MODES:
        mode = mode if mode in _MODES else "require" if is_encrypted else "disable"
    found = DataSource(host or own_host, port or own_port, database, user, mode, major)
    if found.host.startswith("/") and found.port != _DEFAULT_PORT:
        raise ConfigError(
            f"Grafana knows a Unix socket ({found.host}) at port {_DEFAULT_PORT} alone; the store's is {found.port}.",
            "Name the address at which Grafana reaches it: --host HOST.",
        )
    return found


def _host(text: str) -> str:
    """A name, an address with or without brackets, or a socket's folder; raises ConfigError."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    is_address = re.fullmatch(r"[0-9a-fA-F:.]+(%\w+)?", host) and host.count(":") > 1
    if host.startswith("/") or is_address or re.fullmatch(r"[\w.-]+", host):
        return host
    raise ConfigError(f"--host {text} is neither a name nor an address.", "The port is an option of its own: --port.")
