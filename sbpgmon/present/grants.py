"""The SQL that makes the three roles, for the DBA to read and to run: `sbpgmon grants | psql`."""

from __future__ import annotations

from sbpgmon.errors import ConfigError
from sbpgmon.identifiers import quote

# What `rollback --roles` knows our roles by.
ROLE_MARK = "sbpgmon:"

_SCRIPT = """\
-- Roles for sbpgmon. Read it, then run it: sbpgmon grants | psql -d {plain_database}
--
-- Safe to run again: a role that is there is left as it is, and so is its comment. `sbpgmon rollback --roles`
-- drops only roles whose comment begins with '{mark}'.
-- Run it as a superuser. As a role with CREATEROLE it works where that role also owns the databases, and,
-- from PostgreSQL 16 on, was granted {monitor} WITH ADMIN OPTION; a statement that it may not run is reported
-- by psql, and the others still count.
-- No passwords here: set them in psql with \\password ROLE, or let pg_hba.conf identify the roles otherwise.


-- 1. On the target (the database server that is monitored) -------------------------------------------------
--
-- The reader reads statistics and writes nothing: it gets {monitor} and no privilege on any table.
{reader_create}
GRANT {monitor} TO {reader};
-- PUBLIC usually has CONNECT already; this holds where it was revoked.
GRANT CONNECT ON DATABASE {database} TO {reader};


-- 2. On the store (the same server, unless [store] dsn names another) ---------------------------------------
--
-- The owner creates the schema `monitoring` and all that is in it, and needs nothing outside of it. CREATE on
-- the database is used by `sbpgmon init` alone: afterwards it can be revoked.
{owner_create}
GRANT CONNECT, CREATE ON DATABASE {store} TO {owner};

-- Grafana's reader only connects: `sbpgmon init` grants it USAGE on the schema and SELECT on the views.
-- Its settings: a panel over too long a range must end by itself, and a session left in a transaction must
-- not hold up vacuum, new partitions or the rollback; and compiling a panel's query would take longer than running
-- it. They hold off accidents: the role may change them itself.
{grafana_create}
GRANT CONNECT ON DATABASE {store} TO {grafana};
"""

_CREATE = """\
DO {tag}
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal}) THEN
        CREATE ROLE {role} LOGIN;
        COMMENT ON ROLE {role} IS {comment};{settings}
    END IF;
END
{tag};"""


def grants_sql(
    database: str,
    *,
    store_database: str | None = None,
    reader: str = "sbpgmon_reader",
    owner: str = "sbpgmon_owner",
    grafana: str = "grafana_reader",
) -> str:
    """SQL text that creates the roles and grants them what they need; runs in psql on 14 to 18, and again.

    `database` is the target's, `store_database` the store's (the same by default). Raises ConfigError for a
    name that PostgreSQL could not hold.
    """
    store = database if store_database is None else store_database
    return _SCRIPT.format(
        mark=ROLE_MARK,
        monitor="pg_monitor",
        plain_database=identifier(store),
        database=identifier(database),
        store=identifier(store),
        reader=identifier(reader),
        owner=identifier(owner),
        grafana=identifier(grafana),
        reader_create=create_role(reader, "reads statistics on the target; no write privilege"),
        owner_create=create_role(owner, "owns the schema monitoring in the store"),
        grafana_create=create_role(
            grafana,
            "reads the views of the schema monitoring, for Grafana",
            statement_timeout="30s",
            idle_in_transaction_session_timeout="60s",
            default_transaction_read_only="on",
            jit="off",
        ),
    )


def create_role(role: str, purpose: str, **settings: str) -> str:
    """SQL that makes a login where there is none of that name, with a comment that says whose it is and `settings`."""
    tag = "$sbpgmon$"
    while tag in role:
        tag = f"{tag[:-1]}_$"
    return _CREATE.format(
        tag=tag,
        role=identifier(role),
        literal=_literal(role),
        comment=_literal(f"{ROLE_MARK} {purpose}"),
        settings="".join(
            f"\n        ALTER ROLE {identifier(role)} SET {name} = {_literal(value)};"
            for name, value in settings.items()
        ),
    )


def _checked(name: str) -> str:
    if not name or len(name.encode()) > 63 or any(ord(character) < 32 for character in name):
        raise ConfigError(
            f"{name!r} cannot be the name of a role or database.",
            "A name has 1 to 63 bytes and no control characters.",
        )
    return name


def identifier(name: str) -> str:
    """The name as SQL has it. Raises ConfigError for one that PostgreSQL could not hold."""
    return quote(_checked(name))


def _literal(text: str) -> str:
    # E'' where there is a backslash: right whatever standard_conforming_strings says.
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted
