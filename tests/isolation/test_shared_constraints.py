"""Constraints and grants of shared tables that reach across tenants."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

COLUMN = {"model": ["column"]}
IDS = "".join(f"ALTER TABLE app.{table} ADD UNIQUE (id); " for table in ("users", "accounts", "bets"))
GUARD = (
    "GRANT SELECT, INSERT ON {table} TO {app}; ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; "
    "ALTER TABLE {table} FORCE ROW LEVEL SECURITY; CREATE POLICY own ON {table} TO {app} "
    "USING (tenant_id = current_setting('app.tenant_id')::uuid); "
)
SLIPS = (
    "CREATE TABLE app.slips (tenant_id uuid NOT NULL REFERENCES app.tenants, "
    "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bet_id bigint NOT NULL REFERENCES app.bets (id)); "
    "CREATE INDEX ON app.slips (tenant_id); " + GUARD.replace("{table}", "app.slips")
)
NAMED = "CREATE TABLE app.named (tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, "

PLANTS = [
    Plant(
        check="fk_without_tenant_key",
        name="a row that points at another tenant's bet",
        sql=IDS + SLIPS,
        object="app.slips",
        severity="P2",
        # Row level security is on for both tables, and the row is there.
        proof="SET app.tenant_id = '{acme}'; "
        "INSERT INTO app.slips (tenant_id, bet_id) SELECT '{acme}', id FROM generate_series(1, 2) AS id; "
        "SELECT * FROM app.slips WHERE bet_id NOT IN (SELECT id FROM app.bets)",
    ),
    Plant(
        check="fk_without_tenant_key",
        name="a second reference, of which only the other carries the key",
        sql=IDS + "ALTER TABLE app.bets ADD COLUMN paid_from bigint REFERENCES app.accounts (id)",
        object="app.bets",
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_without_tenant_key",
        name="rows of a tree",
        sql=IDS + "ALTER TABLE app.users ADD COLUMN invited_by bigint REFERENCES app.users (id)",
        object="app.users",
    ),
    Plant(
        check="fk_without_tenant_key",
        name="the key, held against another column",
        sql="ALTER TABLE app.accounts ADD COLUMN partner uuid DEFAULT gen_random_uuid(), ADD UNIQUE (partner, id); "
        "CREATE TABLE app.slips (tenant_id uuid NOT NULL, account_id bigint, "
        "FOREIGN KEY (tenant_id, account_id) REFERENCES app.accounts (partner, id))",
        object="app.slips",
    ),
    Plant(
        check="fk_without_tenant_key",
        name="of a partitioned table, found once",
        sql=IDS + "ALTER TABLE app.audit_log ADD COLUMN user_id bigint REFERENCES app.users (id)",
        object="app.audit_log",
    ),
    Plant(
        check="fk_without_tenant_key",
        name="beside one that is not enforced",
        sql=IDS + "ALTER TABLE app.bets DROP CONSTRAINT bets_tenant_id_account_id_fkey, "
        "ADD FOREIGN KEY (tenant_id, account_id) REFERENCES app.accounts (tenant_id, id) NOT ENFORCED, "
        "ADD FOREIGN KEY (account_id) REFERENCES app.accounts (id)",
        object="app.bets",
        min_major=18,
    ),
    Plant(
        check="unique_without_tenant_key",
        name="an address that only one tenant can have",
        sql="ALTER TABLE app.users ADD CONSTRAINT users_email UNIQUE (email)",
        object="app.users",
        severity="P3",
    ),
    Plant(
        check="unique_without_tenant_key",
        name="an index of an expression",
        sql="CREATE UNIQUE INDEX ON app.users (lower(email))",
        object="app.users",
        tenancy=COLUMN,
    ),
    Plant(
        check="unique_without_tenant_key",
        name="the key that is only carried along, and a part of the rows",
        sql="CREATE UNIQUE INDEX ON app.users (email) INCLUDE (tenant_id) WHERE tenant_id IS NOT NULL",
        object="app.users",
    ),
    Plant(
        check="unique_without_tenant_key",
        name="a natural primary key",
        sql="CREATE TABLE app.coupons (code text PRIMARY KEY, tenant_id uuid NOT NULL)",
        object="app.coupons",
    ),
    Plant(
        check="unique_without_tenant_key",
        name="a number",
        sql="CREATE TABLE app.invoices (tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "year integer, number integer NOT NULL, UNIQUE (year, number))",
        object="app.invoices",
    ),
    Plant(
        check="unique_without_tenant_key",
        name="of what is shared by all",
        sql=NAMED + "event_id bigint UNIQUE REFERENCES app.events)",
        object="app.named",
    ),
    Plant(
        check="unique_without_tenant_key",
        name="of a number that each tenant has",
        sql="CREATE TABLE app.profiles (tenant_id uuid NOT NULL, user_id bigint UNIQUE, "
        "FOREIGN KEY (tenant_id, user_id) REFERENCES app.users (tenant_id, id))",
        object="app.profiles",
    ),
    Plant(
        check="unique_without_tenant_key",
        name="of a partitioned table, found once",
        sql="CREATE TABLE app.ticks (tenant_id uuid NOT NULL, ts date, code text, UNIQUE (ts, code)) "
        "PARTITION BY RANGE (ts); CREATE TABLE app.ticks_1 PARTITION OF app.ticks DEFAULT",
        object="app.ticks",
    ),
    Plant(
        check="public_grant_on_tenant_table",
        name="the rows of all",
        sql="GRANT SELECT ON app.bets TO PUBLIC; GRANT USAGE ON SCHEMA app TO {report}; "
        "ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY",
        object="app.bets",
        severity="P1",
        proof="SELECT * FROM app.bets WHERE tenant_id = '{beta}'",
        as_role="{report}",
    ),
    Plant(
        check="public_grant_on_tenant_table",
        name="a column",
        sql="GRANT UPDATE (balance) ON app.accounts TO PUBLIC",
        object="app.accounts",
        tenancy=COLUMN,
    ),
    Plant(
        check="public_grant_on_tenant_table",
        name="a partition",
        sql="GRANT ALL ON app.audit_log_2026 TO PUBLIC",
        object="app.audit_log_2026",
    ),
    Plant(
        check="public_grant_on_tenant_table",
        name="rows that belong to bets",
        sql=IDS + "CREATE TABLE app.legs (bet_id bigint REFERENCES app.bets (id)); GRANT SELECT ON app.legs TO PUBLIC",
        object="app.legs",
    ),
    Plant(
        check="public_grant_on_tenant_table",
        name="tables that are made later in the schema",
        sql="ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC",
        object="app",
    ),
    Plant(
        check="public_grant_on_tenant_table",
        name="tables that are made later anywhere",
        sql="ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT INSERT ON TABLES TO PUBLIC",
        object="{database}",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="fk_without_tenant_key",
        name="at the tenants and at shared tables",
        sql="ALTER TABLE app.bets ADD COLUMN sold_to uuid REFERENCES app.tenants, "
        "ADD COLUMN market bigint REFERENCES ref.markets",
    ),
    NearMiss(
        check="fk_without_tenant_key",
        name="with the key in the second place",
        sql="ALTER TABLE app.accounts ADD UNIQUE (id, tenant_id); ALTER TABLE app.bets "
        "ADD FOREIGN KEY (account_id, tenant_id) REFERENCES app.accounts (id, tenant_id) ON DELETE CASCADE",
    ),
    NearMiss(
        check="fk_without_tenant_key",
        name="beside one of the same columns that carries the key",
        sql=IDS + "ALTER TABLE app.bets ADD FOREIGN KEY (account_id) REFERENCES app.accounts (id)",
    ),
    NearMiss(
        check="fk_without_tenant_key",
        name="keys of two names",
        sql="CREATE TABLE app.firms (org_id uuid, id bigint, PRIMARY KEY (org_id, id)); "
        "CREATE TABLE app.staff (tenant_id uuid NOT NULL, firm bigint, "
        "FOREIGN KEY (firm, tenant_id) REFERENCES app.firms (id, org_id))",
        tenancy={"key": {"columns": ["tenant_id", "org_id"], "tenants_table": "app.tenants", "tenants_pk": "id"}},
    ),
    NearMiss(
        check="fk_without_tenant_key",
        name="at the tenants, who have the key themselves",
        sql="CREATE TABLE app.orgs (tenant_id uuid PRIMARY KEY, parent uuid REFERENCES app.orgs, slug text UNIQUE); "
        "CREATE TABLE app.staff (tenant_id uuid NOT NULL REFERENCES app.orgs, borrowed_from uuid REFERENCES app.orgs)",
        tenancy={"key": {"columns": ["tenant_id"], "tenants_table": "app.orgs", "tenants_pk": "tenant_id"}},
    ),
    NearMiss(
        check="unique_without_tenant_key",
        name="the tenants, who have the key themselves",
        sql="CREATE TABLE app.orgs (tenant_id uuid PRIMARY KEY, slug text UNIQUE)",
        tenancy={"key": {"columns": ["tenant_id"], "tenants_table": "app.orgs", "tenants_pk": "tenant_id"}},
    ),
    NearMiss(
        check="unique_without_tenant_key",
        name="surrogates",
        sql="CREATE TABLE app.a (tenant_id uuid NOT NULL, id bigserial PRIMARY KEY, public_id uuid UNIQUE); "
        "CREATE TABLE app.b (tenant_id uuid NOT NULL, id uuid PRIMARY KEY DEFAULT gen_random_uuid()); "
        "CREATE TABLE app.c (tenant_id uuid NOT NULL, id text PRIMARY KEY, token_hash text UNIQUE, "
        "link text UNIQUE DEFAULT md5(random()::text), digest bytea UNIQUE); "
        "CREATE TABLE app.d (tenant_id uuid NOT NULL, d_id integer PRIMARY KEY); "
        "CREATE TABLE app.e (tenant_id uuid NOT NULL, id bigint, ts date, PRIMARY KEY (id, ts)) "
        "PARTITION BY RANGE (ts); " + NAMED + "UNIQUE (id), number bigint GENERATED BY DEFAULT AS IDENTITY UNIQUE)",
    ),
    NearMiss(
        check="unique_without_tenant_key",
        name="one row for each of a tenant table's",
        sql=IDS
        + "CREATE TABLE app.profiles (tenant_id uuid NOT NULL, user_id bigint PRIMARY KEY REFERENCES app.users (id))",
    ),
    NearMiss(
        check="unique_without_tenant_key",
        name="indexes that have the key",
        sql="CREATE UNIQUE INDEX ON app.users (lower(email), tenant_id); "
        "CREATE UNIQUE INDEX ON app.users ((tenant_id::text || '/' || email)); "
        "CREATE UNIQUE INDEX ON app.users (email) WHERE tenant_id = '{acme}'; CREATE INDEX ON app.users (email)",
    ),
    NearMiss(
        check="unique_without_tenant_key",
        name="an exclusion",
        sql="CREATE TABLE app.rooms (tenant_id uuid NOT NULL, during tsrange, EXCLUDE USING gist (during WITH &&))",
    ),
    NearMiss(
        check="public_grant_on_tenant_table",
        name="shared tables",
        sql="GRANT SELECT ON app.events, ref.markets TO PUBLIC; GRANT SELECT ON app.event_names TO PUBLIC; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA ref GRANT SELECT ON TABLES TO PUBLIC",
    ),
    NearMiss(
        check="public_grant_on_tenant_table",
        name="default privileges of another kind, or for somebody",
        sql="ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA app GRANT SELECT ON TABLES TO {app}; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA app GRANT USAGE ON SEQUENCES TO PUBLIC; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
    ),
    NearMiss(
        check="public_grant_on_tenant_table",
        name="a grant that was taken back",
        sql="GRANT SELECT, UPDATE (stake) ON app.bets TO PUBLIC; REVOKE ALL ON app.bets FROM PUBLIC",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    if pool.major < plant.min_major:
        pytest.skip(f"new in {plant.min_major}")
    assert_found(pool, plant)
    assert len(pool.findings(plant.check, plant.tenancy)) == 1


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    if pool.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)


def test_remedies_work(pool: World) -> None:
    """What each finding says is run, and nothing is found any more."""
    pool.run(
        "ALTER TABLE app.users ADD UNIQUE (email); CREATE UNIQUE INDEX ON app.users (lower(email)) WHERE email <> ''; "
        "GRANT SELECT, UPDATE (stake) ON app.bets TO PUBLIC; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT INSERT ON TABLES TO PUBLIC; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC; "
        + IDS
        + "ALTER TABLE app.users ADD COLUMN invited_by bigint REFERENCES app.users (id); "
        "CREATE TABLE app.notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id text DEFAULT 'x'); "
        "INSERT INTO app.notes (tenant_id) VALUES ('{acme}')"
    )
    names = [
        "unique_without_tenant_key",
        "public_grant_on_tenant_table",
        "fk_without_tenant_key",
        "tenant_key_nullable",
        "tenant_key_default",
        "tenant_key_type_mismatch",
        "tenant_key_not_indexed",
    ]
    for name in names:
        found = pool.findings(name)
        assert found, name
        for finding in found:
            for statement in finding.remedy.replace("CONCURRENTLY ", "").split(";"):
                if statement.strip():
                    pool.run(statement)
        assert not pool.findings(name), name
