"""Clean databases of many tenants, each with roles of its own, and what is planted in them.

A plant is a hole: SQL that makes it, the finding that it must lead to, and a statement that proves it, by which the
application's role reads or changes what is another tenant's. A near miss looks like one, and must lead to nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.collect.checks import run_check
from sbpgmon.collect.data import run_data_check
from sbpgmon.collect.isolation import chosen_checks, is_for
from sbpgmon.collect.tenancy import know
from sbpgmon.config import Target
from sbpgmon.findings import CheckRun, Finding, Outcome
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy
from tests.conftest import Database

CATALOG = load_catalog()
HERE = Path(__file__).parent
# Two tenants of the clean database of shared tables.
ACME = "11111111-1111-1111-1111-111111111111"
BETA = "22222222-2222-2222-2222-222222222222"
TENANTS = ("acme", "beta", "gamma")
# `{owner}` in SQL is that role's name in this world. None can do more than its clean database gives it.
ROLES = {"owner": "NOLOGIN", "app": "LOGIN", "admin": "LOGIN BYPASSRLS", "report": "LOGIN", "reader": "LOGIN"}


@dataclass(frozen=True)
class Plant:
    """A hole. `sql` runs as superuser in a clean database, `proof` then as the application's role `as_role`."""

    check: str
    name: str
    sql: str
    object: str  # of the finding; roles and databases may be in braces
    role: str | None = None  # of the finding, in braces; None: whichever
    severity: str | None = None
    status: str = "fail"
    # A statement that gives at least one row, or does what it must not; None where the hole is a risk and no leak.
    proof: str | None = None
    as_role: str = "{app}"
    tenancy: dict[str, Any] = field(default_factory=dict)  # changes of the declaration
    min_major: int = 14


@dataclass(frozen=True)
class NearMiss:
    """What looks like a hole and is none: the check is silent."""

    check: str
    name: str
    sql: str
    tenancy: dict[str, Any] = field(default_factory=dict)
    min_major: int = 14


class World:
    """A clean database with roles of its own; `kind` is a file of this folder: `pool.sql`, `payroll.sql`, …

    `databases` is one database for each tenant; what is run, read and checked is acme's.
    """

    def __init__(self, database: Database, kind: str) -> None:
        self.database = database
        self.kind = kind
        self.suffix = secrets.token_hex(4)
        roles = dict(ROLES)
        if kind == "schemas":
            roles |= {f"t_{tenant}_app": "LOGIN" for tenant in TENANTS}
        if kind == "databases":
            roles |= {f"d_{tenant}_app": "LOGIN" for tenant in TENANTS}
        self.names = {role: f"{role}_{self.suffix}" for role in roles} | {"database": database.name}
        with database.connect() as admin:
            for role, options in roles.items():
                admin.execute(f"CREATE ROLE {self.names[role]} {options}".encode())
            admin.execute(f"GRANT pg_monitor TO {self.names['reader']}".encode())
        made = [self._make_database(f"d_{tenant}") for tenant in TENANTS] if kind == "databases" else [database]
        for self.database in reversed(made):
            self.run((HERE / f"{kind}.sql").read_text())

    def _make_database(self, name: str) -> Database:
        """One more; `{name}` in SQL is its name in this world, and `{name_app}` its tenant's role."""
        self.names[name] = f"{name}_{self.suffix}"
        with self.database.connect() as admin:
            admin.execute(f"CREATE DATABASE {self.names[name]} OWNER {self.names['owner']}".encode())
            admin.execute(f"REVOKE ALL ON DATABASE {self.names[name]} FROM PUBLIC".encode())
            allowed = ", ".join(self.names[role] for role in (f"{name}_app", "admin", "reader"))
            admin.execute(f"GRANT CONNECT ON DATABASE {self.names[name]} TO {allowed}".encode())
        return Database(self.database.server, self.names[name])

    def drop_roles(self) -> None:
        """Once the database is gone."""
        with psycopg.connect(self.database.server.dsn(), autocommit=True) as admin:
            names = admin.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"%{self.suffix}",)
            ).fetchall()
            for (name,) in names:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
            rows = admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", (f"%{self.suffix}",)).fetchall()
            for (name,) in rows:
                admin.execute(f'DROP OWNED BY "{name}"'.encode())
            for (name,) in rows:
                admin.execute(f'DROP ROLE "{name}"'.encode())

    def text(self, template: str) -> str:
        """The template with the names of this world's roles; `{suffix}` makes other names of one's own."""
        for name, value in {**self.names, "suffix": self.suffix, "acme": ACME, "beta": BETA}.items():
            template = template.replace("{" + name + "}", value)
        return template

    def run(self, sql: str) -> None:
        with self.database.connect() as admin:
            admin.execute(self.text(sql).encode())

    def read_as(self, role: str, sql: str) -> list[tuple[Any, ...]]:
        """The rows of the last statement, as that role; of a statement without rows the number it changed."""
        with self.database.connect(self.text(role)) as connection:
            cursor = connection.execute(self.text(sql).encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else [(cursor.rowcount,)] * max(0, cursor.rowcount)

    @property
    def target(self) -> Target:
        return Target(name="app", dsn=self.database.dsn(self.names["reader"]))

    @property
    def major(self) -> int:
        with self.database.connect() as connection:
            return connection.info.server_version // 10000

    def tenancy(self, changes: dict[str, Any] | None = None) -> Tenancy:
        """What is declared of this world."""
        declared: dict[str, Any] = {
            "confirmed": True,
            "roles": {"app": ["{app}"], "admin": ["{admin}"]},
        }
        if self.kind == "pool":
            declared |= {
                "model": ["rls"],
                "key": {"columns": ["tenant_id"], "tenants_table": "app.tenants", "tenants_pk": "id"},
                "pool_schemas": ["app"],
                "shared": {"schemas": ["ref"], "tables": ["app.events"]},
                "context": {"setting": "app.tenant_id", "scope": "transaction"},
            }
        elif self.kind == "payroll":
            declared |= {
                "model": ["rls"],
                "key": {"columns": ["tenant_code"], "tenants_table": "pay.tenants", "tenants_pk": "code"},
                "pool_schemas": ["pay"],
                "shared": {"tables": ["pay.currencies"]},
                "context": {"setting": "pay.tenant"},
                "roles": {"app": ["{app}"], "admin": ["{admin}", "{report}"]},
            }
        elif self.kind == "databases":
            declared |= {
                "model": ["database"],
                "roles": {"app": [], "admin": ["{admin}"]},
                "databases": {
                    "pattern": f"^d_(?P<tenant>.+)_{self.suffix}$",
                    "role": f"d_{{tenant}}_app_{self.suffix}",
                },
            }
        else:
            declared |= {
                "model": ["schema"],
                "roles": {"app": [], "admin": ["{admin}"]},
                "shared": {"schemas": ["common"]},
                "schemas": {"pattern": "^t_(?P<tenant>.+)$", "role": f"t_{{tenant}}_app_{self.suffix}"},
            }
        return Tenancy.model_validate(self._filled({**declared, **(changes or {})}))

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def check(self, names: Sequence[str] = (), changes: dict[str, Any] | None = None) -> dict[str, CheckRun]:
        """Check -> what it says, of those that are for this world; `names`: only these."""
        with Session(self.target, 5.0) as session:
            server = probe(session)
            tenancy = self.tenancy(changes)
            known = know(session, server, tenancy)
            runs = [run_check(session, server, CATALOG, check, known) for check in chosen_checks(CATALOG, known, names)]
            runs += [
                run_data_check(session, server, CATALOG, check, known, tenancy.data)
                for name, check in sorted(CATALOG.checks.items())
                if check.kind == "data" and is_for(check, known, tenancy) and (not names or name in names)
            ]
        return {run.check: replace(run, seconds=0.0) for run in runs}

    def findings(self, check: str, changes: dict[str, Any] | None = None) -> list[Finding]:
        runs = self.check([check], changes)
        assert check in runs, f"{check} is not for this world"
        return list(runs[check].findings)


def assert_found(world: World, plant: Plant) -> None:
    """The hole is real, and is found; the same finding has the same key the next time."""
    world.run(plant.sql)
    if plant.proof is not None:
        assert world.read_as(plant.as_role, plant.proof), f"{plant.name}: no hole: {plant.proof} gives nothing"
    found = world.findings(plant.check, plant.tenancy)
    wanted = [
        f
        for f in found
        if f.outcome is Outcome(plant.status)
        and f.object == world.text(plant.object)
        and (plant.role is None or f.role == world.text(plant.role))
    ]
    assert wanted, f"{plant.check} does not find {plant.name}; it says {found}"
    assert len({f.key for f in found}) == len(found), f"two findings of one key: {found}"
    assert all(f.detail.endswith((".", "?")) and f.remedy for f in found)
    if plant.severity:
        assert wanted[0].severity == plant.severity
    again = world.findings(plant.check, plant.tenancy)
    assert {f.key for f in again} == {f.key for f in found}
