"""What lies outside the database and goes around row level security: foreign tables, and the server's version."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg.conninfo import conninfo_to_dict

from sbpgmon.collect.checks import run_check
from sbpgmon.collect.tenancy import know
from sbpgmon.findings import Finding
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import CATALOG, NearMiss, Plant, World, assert_found

REMOTE = "(tenant_id uuid, id bigint, stake numeric) SERVER elsewhere OPTIONS (schema_name 'app', table_name 'bets')"

PLANTS = [
    Plant(
        check="rls_foreign_table",
        name="a foreign table with the key",
        sql=f"CREATE FOREIGN TABLE app.old_bets {REMOTE}; GRANT SELECT ON app.old_bets TO {{app}}",
        object="app.old_bets",
        role="{app}",
        severity="P1",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.old_bets WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_foreign_table",
        name="in a schema of its own, and some columns of it",
        sql=f"""
            CREATE SCHEMA remote;
            CREATE FOREIGN TABLE remote.bets {REMOTE};
            GRANT USAGE ON SCHEMA remote TO PUBLIC;
            GRANT SELECT (tenant_id) ON remote.bets TO PUBLIC
        """,
        object="remote.bets",
        role="{app}",
        proof="SET app.tenant_id = '{acme}'; SELECT tenant_id FROM remote.bets WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_foreign_table",
        name="a partition that is granted by itself",
        sql="""
            CREATE TABLE app.entries (tenant_id uuid, id bigint, stake numeric) PARTITION BY RANGE (id);
            ALTER TABLE app.entries ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON app.entries USING (tenant_id = current_setting('app.tenant_id')::uuid);
            CREATE FOREIGN TABLE app.entries_old PARTITION OF app.entries FOR VALUES FROM (0) TO (1000)
              SERVER elsewhere OPTIONS (schema_name 'app', table_name 'bets');
            GRANT SELECT ON app.entries, app.entries_old TO {app}
        """,
        object="app.entries_old",
        role="{app}",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.entries_old WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_view_bypass",
        name="a view of a foreign table that is not granted itself",
        sql=f"""
            CREATE FOREIGN TABLE app.old_bets {REMOTE};
            CREATE VIEW app.all_old AS SELECT * FROM app.old_bets;
            GRANT SELECT ON app.all_old TO {{app}}
        """,
        object="app.all_old",
        role="{app}",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.all_old WHERE tenant_id = '{beta}'",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="rls_foreign_table",
        name="a foreign table that the application cannot touch",
        sql=f"CREATE FOREIGN TABLE app.old_bets {REMOTE}; GRANT SELECT ON app.old_bets TO {{admin}}",
    ),
    NearMiss(
        check="rls_foreign_table",
        name="foreign tables without the key, and in a shared schema",
        sql=f"""
            CREATE FOREIGN TABLE app.rates (currency text, rate numeric) SERVER elsewhere;
            CREATE FOREIGN TABLE ref.bets {REMOTE};
            GRANT SELECT ON app.rates, ref.bets TO {{app}}
        """,
    ),
    NearMiss(
        check="rls_foreign_table",
        name="a partition that is read through its table alone",
        sql="""
            CREATE TABLE app.entries (tenant_id uuid, id bigint) PARTITION BY RANGE (id);
            ALTER TABLE app.entries ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON app.entries USING (tenant_id = current_setting('app.tenant_id')::uuid);
            CREATE FOREIGN TABLE app.entries_old PARTITION OF app.entries FOR VALUES FROM (0) TO (1000)
              SERVER elsewhere OPTIONS (schema_name 'app', table_name 'bets');
            GRANT SELECT ON app.entries TO {app}
        """,
    ),
]


@pytest.fixture
def linked(pool: World) -> World:
    """A clean database with a foreign server, which is this one, read as superuser."""
    given = conninfo_to_dict(pool.database.dsn())
    options = ", ".join(f"{key} '{given[key]}'" for key in ("host", "port", "dbname"))
    login = ", ".join(f"{key} '{given[key]}'" for key in ("user", "password") if key in given)
    pool.run(f"""
        CREATE EXTENSION postgres_fdw;
        CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options});
        CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS ({login}, password_required 'false')
    """)
    return pool


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(linked: World, plant: Plant) -> None:
    assert_found(linked, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(linked: World, near: NearMiss) -> None:
    linked.run(near.sql)
    assert not linked.findings(near.check, near.tenancy)


def _findings_of_version(world: World, version: int) -> list[Finding]:
    """What the check says of a server of that number."""
    check = CATALOG.checks["server_rls_cve"]
    sql = check.sql.replace("current_setting('server_version_num')", f"'{version}'")
    assert sql != check.sql
    with Session(world.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, world.tenancy())
        return list(run_check(session, server, CATALOG, replace(check, sql=sql), known).findings)


# Number of the version, what is published of it, and the first version that repairs all of it.
@pytest.mark.parametrize(
    ("version", "numbers", "repaired"),
    [
        (140007, {"2023-2455", "2024-10976", "2025-8713", "2026-120154"}, "14.25"),
        (140008, {"2024-10976", "2025-8713", "2026-120154"}, "14.25"),
        (150003, {"2023-39418", "2024-10976", "2025-8713", "2026-120154"}, "15.20"),
        (150009, {"2025-8713", "2026-120154"}, "15.20"),
        (160000, {"2024-10976", "2025-8713", "2026-120154"}, "16.16"),
        (170001, {"2025-8713", "2026-120154"}, "17.12"),
        (170006, {"2026-120154"}, "17.12"),
        (180000, {"2026-120154"}, "18.7"),
        (140025, set(), ""),
        (150020, set(), ""),
        (160016, set(), ""),
        (170012, set(), ""),
        (180007, set(), ""),
        (190000, set(), ""),
    ],
)
def test_an_old_server_is_found(pool: World, version: int, numbers: set[str], repaired: str) -> None:
    found = _findings_of_version(pool, version)
    assert [f.object for f in found] == ["server"] * bool(numbers)
    for finding in found:
        every = ("2023-2455", "2023-39418", "2024-10976", "2025-8713", "2026-120154")
        assert {n for n in every if f"CVE-{n} " in finding.detail} == numbers
        assert finding.remedy == f"Update the server to {repaired} or newer."
        assert finding.severity == "P2"


def test_a_server_without_row_level_security_is_none(pool: World) -> None:
    for table in ("users", "accounts", "bets", "payouts", "audit_log", "audit_log_2026", "audit_log_2027"):
        pool.run(f"ALTER TABLE app.{table} DISABLE ROW LEVEL SECURITY")
    assert not _findings_of_version(pool, 140000)
