"""A database for each tenant: who gets into it, and what leads out of it."""

from __future__ import annotations

from typing import Any

import pytest

from sbpgmon.findings import Outcome
from tests.isolation.world import NearMiss, Plant, World, assert_found

CONNECT = "database_connect_crosses_tenants"
REACHES = "database_reaches_other_tenant"
# A server named `other`, by the socket of this one, to the database that stands for %s.
SERVER = """
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
DO $$ BEGIN EXECUTE format(
  'CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)',
  split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), '%s'); END $$;
"""
TO_BETA = SERVER.replace("'%s'", "'{d_beta}'")
AS_BETA = "OPTIONS (user '{d_beta_app}', password_required 'false');"
TABLE = """
CREATE FOREIGN TABLE app.others (id bigint, name text) SERVER other OPTIONS (schema_name 'app', table_name 'patients');
"""
DIALLED = """
CREATE EXTENSION IF NOT EXISTS dblink;
DO $$ BEGIN EXECUTE format($body$
  CREATE FUNCTION app.neighbours() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS
  'SELECT name FROM public.dblink(''host=%s port=%s dbname={d_beta} user={d_beta_app}'',
    ''SELECT name FROM app.patients'') AS t (name text)' $body$,
  split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port')); END $$;
"""

PLANTS = [
    Plant(
        check=CONNECT,
        name="everybody is let in",
        sql="GRANT CONNECT ON DATABASE {d_acme} TO PUBLIC; GRANT USAGE ON SCHEMA app TO PUBLIC; "
        "GRANT SELECT ON app.patients TO PUBLIC",
        object="{d_acme}",
        role="",
        severity="P1",
        proof="SELECT * FROM app.patients",
        as_role="{d_beta_app}",
    ),
    Plant(
        check=CONNECT,
        name="a database as it is made",
        sql="CREATE DATABASE d_delta_{suffix}",
        object="d_delta_{suffix}",
        role="",
    ),
    Plant(
        check=CONNECT,
        name="everybody is let in, where no tenant's role is named",
        sql="GRANT CONNECT ON DATABASE {d_beta} TO PUBLIC",
        object="{d_beta}",
        role="",
        tenancy={"databases": {"pattern": "^d_(?P<tenant>.+)_{suffix}$"}},
    ),
    Plant(
        check=CONNECT,
        name="another tenant's role is let in",
        sql="GRANT CONNECT ON DATABASE {d_acme} TO {d_beta_app}",
        object="{d_acme}",
        role="{d_beta_app}",
        severity="P1",
        proof="SELECT current_database()",
        as_role="{d_beta_app}",
    ),
    Plant(
        check=CONNECT,
        name="another tenant's role that can become this one's",
        sql="GRANT {d_acme_app} TO {d_beta_app}",
        object="{d_acme}",
        role="{d_beta_app}",
        proof="SET ROLE {d_acme_app}; SELECT * FROM app.patients",
        as_role="{d_beta_app}",
    ),
    Plant(
        check=CONNECT,
        name="a group of all tenants",
        sql="CREATE ROLE tenants_{suffix}; GRANT tenants_{suffix} TO {d_acme_app}, {d_beta_app}, {d_gamma_app}; "
        "GRANT CONNECT ON DATABASE {d_gamma} TO tenants_{suffix}",
        object="{d_gamma}",
        role="tenants_{suffix}",
    ),
    Plant(
        check=CONNECT,
        name="a database of another tenant's",
        sql="ALTER DATABASE {d_acme} OWNER TO {d_beta_app}",
        object="{d_acme}",
        role="{d_beta_app}",
        proof="SELECT current_database()",
        as_role="{d_beta_app}",
    ),
    Plant(
        check=CONNECT,
        name="a tenant who is a superuser",
        sql="ALTER ROLE {d_beta_app} SUPERUSER",
        object="{d_beta_app}",
        role="{d_beta_app}",
        proof="SELECT * FROM app.patients",
        as_role="{d_beta_app}",
    ),
    Plant(
        check=REACHES,
        name="a foreign table of another tenant's rows",
        sql=TO_BETA
        + "CREATE USER MAPPING FOR {d_acme_app} SERVER other "
        + AS_BETA
        + TABLE
        + "GRANT SELECT ON app.others TO {d_acme_app}",
        object="other",
        role="{d_acme_app}",
        severity="P0",
        proof="SELECT * FROM app.others WHERE name = 'Ann of {d_beta}'",
        as_role="{d_acme_app}",
    ),
    Plant(
        check=REACHES,
        name="a user mapping for everybody",
        sql=TO_BETA
        + "CREATE USER MAPPING FOR PUBLIC SERVER other "
        + AS_BETA
        + TABLE
        + "GRANT SELECT ON app.others TO {d_acme_app}",
        object="other",
        role="",
        severity="P0",
        proof="SELECT * FROM app.others WHERE name = 'Ann of {d_beta}'",
        as_role="{d_acme_app}",
    ),
    Plant(
        check=REACHES,
        name="an operator's view that is handed on",
        sql=TO_BETA
        + "CREATE USER MAPPING FOR postgres SERVER other "
        + AS_BETA
        + TABLE
        + "CREATE VIEW app.all_others AS SELECT * FROM app.others; GRANT SELECT ON app.all_others TO {d_acme_app}",
        object="app.all_others",
        severity="P0",
        proof="SELECT * FROM app.all_others WHERE name = 'Ann of {d_beta}'",
        as_role="{d_acme_app}",
    ),
    Plant(
        check=REACHES,
        name="the same through the table's owner, by a server of another kind",
        sql="CREATE EXTENSION dblink; "
        "CREATE SERVER other FOREIGN DATA WRAPPER dblink_fdw OPTIONS (dbname '{d_gamma}'); "
        "CREATE USER MAPPING FOR {owner} SERVER other OPTIONS (user 'x', password 'y')",
        object="other",
        role="{owner}",
        severity="P0",
    ),
    Plant(
        check=REACHES,
        name="a server for which everybody can make a user mapping",
        sql=TO_BETA + "GRANT USAGE ON FOREIGN SERVER other TO PUBLIC",
        object="other",
        severity="P1",
    ),
    Plant(
        check=REACHES,
        name="a tenant's database of another host",
        sql="CREATE EXTENSION postgres_fdw; "
        "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'far', dbname 'd_omega_{suffix}'); "
        "CREATE USER MAPPING FOR {d_acme_app} SERVER other OPTIONS (user 'x', password 'y')",
        object="other",
        severity="P0",
    ),
    Plant(
        check=REACHES,
        name="a server that names a service",
        sql="CREATE EXTENSION postgres_fdw; "
        "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (service 'somewhere'); "
        "CREATE USER MAPPING FOR {d_acme_app} SERVER other",
        object="other",
        status="unknown",
        severity="P0",
    ),
    Plant(
        check=REACHES,
        name="a function that dials",
        sql=DIALLED,
        object="app.neighbours()",
        severity="P0",
        proof="SELECT * FROM app.neighbours() AS name WHERE name = 'Ann of {d_beta}'",
        as_role="{d_acme_app}",
    ),
    Plant(
        check=REACHES,
        name="a view that dials",
        sql="CREATE EXTENSION dblink; CREATE VIEW app.neighbours AS "
        "SELECT * FROM public.dblink('dbname={d_beta} user=x', 'SELECT name FROM app.patients') AS t (name text); "
        "GRANT SELECT ON app.neighbours TO {d_acme_app}",
        object="app.neighbours",
        severity="P0",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check=CONNECT,
        name="operators, temporary tables, and databases of nobody",
        sql="GRANT CONNECT ON DATABASE {d_acme} TO {report}; GRANT TEMPORARY ON DATABASE {d_acme} TO PUBLIC; "
        "GRANT CONNECT ON DATABASE {database} TO {d_acme_app}, {d_beta_app}",
    ),
    NearMiss(
        check=CONNECT,
        name="the tenant who owns the database",
        sql="ALTER DATABASE {d_acme} OWNER TO {d_acme_app}; GRANT {d_acme_app} TO {admin}",
    ),
    NearMiss(
        check=REACHES,
        name="a server to this database, and to one that is nobody's",
        sql=SERVER.replace("'%s'", "current_database()") + "CREATE USER MAPPING FOR PUBLIC SERVER other; "
        "CREATE SERVER hub FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname '{database}'); "
        "CREATE USER MAPPING FOR {d_acme_app} SERVER hub",
    ),
    NearMiss(
        check=REACHES,
        name="a user mapping of operators alone",
        sql=TO_BETA
        + "CREATE USER MAPPING FOR {admin} SERVER other; CREATE USER MAPPING FOR postgres SERVER other; "
        + TABLE
        + "CREATE VIEW app.all_others AS SELECT * FROM app.others; GRANT SELECT ON app.all_others TO {admin}",
    ),
    NearMiss(
        check=REACHES,
        name="an operator's view that reads as who asks",
        sql=TO_BETA
        + "CREATE USER MAPPING FOR postgres SERVER other; "
        + TABLE
        + "CREATE VIEW app.all_others WITH (security_invoker = true) AS SELECT * FROM app.others; "
        "GRANT SELECT ON app.all_others TO {d_acme_app}",
        min_major=15,
    ),
    NearMiss(
        check=REACHES,
        name="a function that nobody may run, and one that dials home",
        sql=DIALLED + "REVOKE EXECUTE ON FUNCTION app.neighbours() FROM PUBLIC; "
        "CREATE FUNCTION app.home() RETURNS void LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM dblink_exec('dbname={d_acme}', 'SELECT 1'); END $$",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(databases: World, plant: Plant) -> None:
    assert_found(databases, plant)
    assert len(databases.findings(plant.check, plant.tenancy)) == 1


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(databases: World, near: NearMiss) -> None:
    if databases.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    databases.run(near.sql)
    assert not databases.findings(near.check, near.tenancy)


def test_a_subscription_is_unknown_until_its_connection_may_be_read(databases: World) -> None:
    """And then it fails or passes by the database that it names."""

    def outcomes() -> list[tuple[str, Any]]:
        return [(finding.object, finding.outcome) for finding in databases.findings(REACHES)]

    sql = "CREATE SUBSCRIPTION {name} CONNECTION 'host=far dbname={d}' PUBLICATION p WITH (connect = false)"
    try:
        databases.run(sql.replace("{name}", "feed_{suffix}").replace("{d}", "{d_beta}"))
        databases.run(sql.replace("{name}", "news_{suffix}").replace("{d}", "{database}"))
        feed, news = databases.text("feed_{suffix}"), databases.text("news_{suffix}")
        assert sorted(outcomes()) == [(feed, Outcome.UNKNOWN), (news, Outcome.UNKNOWN)]
        databases.run("GRANT SELECT (subconninfo) ON pg_subscription TO {reader}")
        assert outcomes() == [(feed, Outcome.FAIL)]
    finally:
        for name in ("feed_{suffix}", "news_{suffix}"):
            databases.run(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
            databases.run(f"DROP SUBSCRIPTION {name}")


def test_a_tenant_without_its_role_is_unknown(databases: World) -> None:
    databases.run("CREATE DATABASE d_delta_{suffix}")
    databases.run("REVOKE ALL ON DATABASE d_delta_{suffix} FROM PUBLIC")
    (found,) = databases.findings("tenancy_declaration")
    assert (found.outcome, found.role) == (Outcome.UNKNOWN, databases.text("d_delta_app_{suffix}"))
