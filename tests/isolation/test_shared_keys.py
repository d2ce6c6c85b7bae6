"""The tenant key of shared tables: missing, nullable, with a default, of another type, without an index."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

COLUMN = {"model": ["column"]}
NO_TENANTS_TABLE = {"key": {"columns": ["tenant_id"]}}
GUARD = (
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY; "
    "CREATE POLICY own ON {table} USING ({using});"
)
LEGS = (
    "ALTER TABLE app.bets ADD UNIQUE (id); "
    "CREATE TABLE app.legs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "bet_id bigint NOT NULL REFERENCES app.bets (id), odds numeric); "
    "GRANT SELECT, INSERT ON app.legs TO {app}; INSERT INTO app.legs (bet_id, odds) SELECT id, 2 FROM app.bets; "
)
NOTES = "CREATE TABLE app.notes (tenant_id uuid NOT NULL PRIMARY KEY, body text); "
PARTED = (
    "CREATE TABLE app.ticks (tenant_id uuid NOT NULL, id bigint, ts timestamptz) PARTITION BY RANGE (ts); "
    "CREATE TABLE app.ticks_1 PARTITION OF app.ticks FOR VALUES FROM ('2026-01-01') TO ('2026-07-01'); "
    "CREATE TABLE app.ticks_2 PARTITION OF app.ticks FOR VALUES FROM ('2026-07-01') TO ('2027-01-01'); "
)

PLANTS = [
    Plant(
        check="tenant_table_without_key",
        name="a table of everybody's notes",
        sql="CREATE TABLE app.notes (id bigint PRIMARY KEY, body text); GRANT SELECT, INSERT ON app.notes TO {app}; "
        "INSERT INTO app.notes VALUES (1, 'of beta')",
        object="app.notes",
        severity="P2",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.notes WHERE body = 'of beta'",
    ),
    Plant(
        check="tenant_table_without_key",
        name="the same under the column model, granted through a group",
        sql="CREATE ROLE staff_{suffix}; GRANT staff_{suffix} TO {app}; CREATE TABLE app.notes (body text); "
        "GRANT SELECT ON app.notes TO staff_{suffix}; INSERT INTO app.notes VALUES ('of beta')",
        object="app.notes",
        severity="P2",
        proof="SELECT * FROM app.notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_table_without_key",
        name="rows that belong to bets",
        sql=LEGS,
        object="app.legs",
        severity="P1",
        proof="SET app.tenant_id = '{acme}'; SELECT count(*) FROM app.legs HAVING count(*) > 1",
    ),
    Plant(
        check="tenant_table_without_key",
        name="rows two steps away, with row level security that lets all through",
        sql=LEGS + "CREATE TABLE app.leg_prices (leg_id bigint REFERENCES app.legs, price numeric); "
        "GRANT SELECT ON app.leg_prices TO {app}; INSERT INTO app.leg_prices SELECT id, 1 FROM app.legs; "
        + GUARD.replace("{table}", "app.leg_prices").replace("{using}", "true"),
        object="app.leg_prices",
        severity="P1",
        proof="SET app.tenant_id = '{acme}'; SELECT count(*) FROM app.leg_prices HAVING count(*) > 1",
    ),
    Plant(
        check="tenant_table_without_key",
        name="rows that belong to bets as it is declared",
        sql="CREATE TABLE app.legs (bet bigint, odds numeric); GRANT SELECT ON app.legs TO {app}; "
        "INSERT INTO app.legs SELECT id, 2 FROM app.bets",
        object="app.legs",
        severity="P1",
        proof="SET app.tenant_id = '{acme}'; SELECT count(*) FROM app.legs HAVING count(*) > 1",
        tenancy={"relations": [{"child": "app.legs", "columns": ["bet"], "parent": "app.bets"}]},
    ),
    Plant(
        check="tenant_table_without_key",
        name="a key of another name",
        sql="CREATE TABLE app.invites (id uuid PRIMARY KEY, org uuid REFERENCES app.tenants); "
        "GRANT SELECT ON app.invites TO {app}; INSERT INTO app.invites VALUES (gen_random_uuid(), '{beta}')",
        object="app.invites",
        severity="P1",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.invites WHERE org = '{beta}'",
    ),
    Plant(
        check="tenant_table_without_key",
        name="a partitioned table",
        sql="CREATE TABLE app.ticks (ts timestamptz) PARTITION BY RANGE (ts); GRANT SELECT ON app.ticks TO {app}; "
        "CREATE TABLE app.ticks_1 PARTITION OF app.ticks DEFAULT; GRANT SELECT ON app.ticks_1 TO {app}",
        object="app.ticks",
    ),
    Plant(
        check="tenant_key_nullable",
        name="NOT NULL that was dropped",
        sql="CREATE TABLE app.notes (id bigint PRIMARY KEY, tenant_id uuid REFERENCES app.tenants, body text)",
        object="app.notes",
        severity="P2",
    ),
    Plant(
        check="tenant_key_nullable",
        name="a partitioned table, found once",
        sql=PARTED + "ALTER TABLE app.ticks ALTER tenant_id DROP NOT NULL",
        object="app.ticks",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_key_nullable",
        name="a constraint that has not been validated",
        sql="CREATE TABLE app.notes (tenant_id uuid, body text); "
        "ALTER TABLE app.notes ADD CHECK (tenant_id IS NOT NULL) NOT VALID",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_nullable",
        name="NOT NULL that has not been validated",
        sql="CREATE TABLE app.notes (tenant_id uuid, body text); "
        "ALTER TABLE app.notes ADD CONSTRAINT has_tenant NOT NULL tenant_id NOT VALID",
        object="app.notes",
        min_major=18,
    ),
    Plant(
        check="tenant_key_nullable",
        name="a constraint that says something else",
        sql="CREATE TABLE app.notes (tenant_id uuid, body text, "
        "CHECK ((tenant_id IS NOT NULL AND body <> '') OR body IS NULL))",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_default",
        name="a tenant as default",
        sql="ALTER TABLE app.users ALTER tenant_id SET DEFAULT '{acme}', DISABLE ROW LEVEL SECURITY",
        object="app.users",
        severity="P2",
        proof="INSERT INTO app.users (email) VALUES ('eve@beta'); "
        "SELECT * FROM app.users WHERE tenant_id = '{acme}' AND email = 'eve@beta'",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_key_default",
        name="an integer of 0",
        sql="CREATE TABLE app.notes (tenant_id integer NOT NULL DEFAULT 0, body text)",
        object="app.notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_key_default",
        name="a random one",
        sql="CREATE TABLE app.notes (tenant_id uuid NOT NULL DEFAULT gen_random_uuid(), body text)",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_default",
        name="a number of its own",
        sql="CREATE TABLE app.notes (tenant_id bigint GENERATED BY DEFAULT AS IDENTITY, body text)",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_default",
        name="a serial one",
        sql="CREATE TABLE app.notes (tenant_id bigserial, body text)",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_default",
        name="the context, and a tenant where there is none",
        sql="ALTER TABLE app.bets ALTER tenant_id "
        "SET DEFAULT coalesce(nullif(current_setting('app.tenant_id', true), ''), '{acme}')::uuid",
        object="app.bets",
    ),
    Plant(
        check="tenant_key_default",
        name="a domain's default",
        sql="CREATE DOMAIN app.tenant AS uuid DEFAULT '{acme}'; CREATE TABLE app.notes (tenant_id app.tenant NOT NULL)",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_type_mismatch",
        name="text where the tenants have a uuid",
        sql="CREATE TABLE app.notes (tenant_id text NOT NULL PRIMARY KEY, body text)",
        object="app.notes",
        severity="P2",
    ),
    Plant(
        check="tenant_key_type_mismatch",
        name="a domain of another type, on a partitioned table",
        sql="CREATE DOMAIN app.tenant AS bigint; "
        "CREATE TABLE app.ticks (tenant_id app.tenant NOT NULL, ts date) PARTITION BY RANGE (ts)",
        object="app.ticks",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_key_type_mismatch",
        name="against most tables, where none is the tenants'",
        sql="ALTER TABLE app.users DROP CONSTRAINT users_tenant_id_fkey; "
        "ALTER TABLE app.accounts DROP CONSTRAINT accounts_tenant_id_fkey; "
        "ALTER TABLE app.bets DROP CONSTRAINT bets_tenant_id_fkey; "
        "ALTER TABLE app.payouts DROP CONSTRAINT payouts_tenant_id_fkey; "
        "ALTER TABLE app.audit_log DROP CONSTRAINT audit_log_tenant_id_fkey; "
        "CREATE TABLE app.notes (tenant_id text NOT NULL PRIMARY KEY, body text)",
        object="app.notes",
        tenancy=NO_TENANTS_TABLE,
    ),
    Plant(
        check="tenant_key_type_mismatch",
        name="against what most keys point at, where no tenants table is declared",
        sql="CREATE TABLE app.notes (tenant_id character(36) NOT NULL PRIMARY KEY, body text)",
        object="app.notes",
        tenancy=NO_TENANTS_TABLE,
    ),
    Plant(
        check="tenant_key_not_indexed",
        name="a table without an index",
        sql="CREATE TABLE app.notes (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, body text)",
        object="app.notes",
        severity="P3",
    ),
    Plant(
        check="tenant_key_not_indexed",
        name="the key in the second place",
        sql="CREATE TABLE app.notes (id bigint, tenant_id uuid NOT NULL, PRIMARY KEY (id, tenant_id))",
        object="app.notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_key_not_indexed",
        name="an index of a part of the rows",
        sql="CREATE TABLE app.notes (id bigint PRIMARY KEY, tenant_id uuid NOT NULL, is_open boolean); "
        "CREATE INDEX ON app.notes (tenant_id) WHERE is_open",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_not_indexed",
        name="an index that is not valid",
        sql="CREATE TABLE app.notes (id bigint PRIMARY KEY, tenant_id uuid NOT NULL); "
        "CREATE INDEX by_tenant ON app.notes (tenant_id); "
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.by_tenant'::regclass",
        object="app.notes",
    ),
    Plant(
        check="tenant_key_not_indexed",
        name="a partitioned table of which one partition has an index",
        sql=PARTED + "CREATE INDEX ON app.ticks_1 (tenant_id)",
        object="app.ticks",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="tenant_table_without_key",
        name="one that the application cannot touch",
        sql="CREATE TABLE app.jobs (id bigint PRIMARY KEY, what text); GRANT SELECT ON app.jobs TO {admin}",
    ),
    NearMiss(
        check="tenant_table_without_key",
        name="one that is declared as shared",
        sql="CREATE TABLE app.currencies (code text PRIMARY KEY); GRANT SELECT ON app.currencies TO {app}",
        tenancy={"shared": {"schemas": ["ref"], "tables": ["app.events", "app.currencies"]}},
    ),
    NearMiss(
        check="tenant_table_without_key",
        name="rows that are guarded by the bets that they belong to",
        sql=LEGS
        + GUARD.replace("{table}", "app.legs").replace(
            "{using}", "EXISTS (SELECT FROM app.bets AS b WHERE b.id = legs.bet_id)"
        ),
    ),
    NearMiss(
        check="tenant_table_without_key",
        name="rows that a function guards",
        sql="CREATE FUNCTION app.is_own(bet bigint) RETURNS boolean LANGUAGE sql STABLE AS "
        "$$ SELECT EXISTS (SELECT FROM app.bets WHERE id = bet) $$; "
        + LEGS
        + GUARD.replace("{table}", "app.legs").replace("{using}", "app.is_own(bet_id)"),
    ),
    NearMiss(
        check="tenant_table_without_key",
        name="what migrations count",
        sql="CREATE TABLE app.schema_migrations (version text PRIMARY KEY); "
        "GRANT SELECT ON app.schema_migrations TO {app}",
    ),
    NearMiss(
        check="tenant_table_without_key",
        name="the table of the tenants, undeclared",
        sql="",
        tenancy=NO_TENANTS_TABLE,
    ),
    NearMiss(
        check="tenant_key_nullable",
        name="a constraint that refuses NULL",
        sql="CREATE TABLE app.notes (tenant_id uuid, body text, CHECK (tenant_id IS NOT NULL)); "
        "CREATE TABLE app.more (tenant_id uuid, body text, CHECK (tenant_id IS NOT NULL AND body <> '')); "
        "CREATE TABLE app.most (tenant_id uuid, body text, CHECK (body <> '' AND tenant_id IS NOT NULL))",
    ),
    NearMiss(
        check="tenant_key_nullable",
        name="a domain that refuses NULL",
        sql="CREATE DOMAIN app.tenant AS uuid NOT NULL; CREATE TABLE app.notes (tenant_id app.tenant, body text)",
    ),
    NearMiss(
        check="tenant_key_nullable",
        name="a shared table and a view with such a column",
        sql="CREATE TABLE ref.names (tenant_id uuid, name text); "
        "CREATE VIEW app.bet_ids WITH (check_option = local) AS SELECT tenant_id, id FROM app.bets",
    ),
    NearMiss(
        check="tenant_key_default",
        name="the context",
        sql="ALTER TABLE app.bets ALTER tenant_id SET DEFAULT current_setting('app.tenant_id')::uuid; "
        "ALTER TABLE app.users ALTER tenant_id "
        "SET DEFAULT nullif(current_setting('app.tenant_id', true), '')::uuid",
    ),
    NearMiss(
        check="tenant_key_default",
        name="a function that reads the context",
        sql="ALTER TABLE app.bets ALTER tenant_id SET DEFAULT app.current_tenant()",
    ),
    NearMiss(
        check="tenant_key_default",
        name="the role, and a key that is computed",
        sql="CREATE TABLE app.notes (tenant_id text NOT NULL DEFAULT current_user, body text); "
        "CREATE TABLE app.more (path text, tenant_id text GENERATED ALWAYS AS (split_part(path, '/', 1)) STORED)",
    ),
    NearMiss(
        check="tenant_key_default",
        name="the id of the tenants",
        sql="ALTER TABLE app.tenants ALTER id SET DEFAULT gen_random_uuid()",
    ),
    NearMiss(
        check="tenant_key_type_mismatch",
        name="a domain of the same type",
        sql="CREATE DOMAIN app.id AS uuid; CREATE DOMAIN app.tenant AS app.id NOT NULL; "
        "CREATE TABLE app.notes (tenant_id app.tenant, body text)",
    ),
    NearMiss(
        check="tenant_key_type_mismatch",
        name="varchar and text",
        sql="CREATE TABLE app.firms (code varchar(20) PRIMARY KEY); CREATE SCHEMA other; "
        "CREATE TABLE other.a (tenant_id text NOT NULL); CREATE TABLE other.b (tenant_id varchar(9) NOT NULL)",
        tenancy={
            "pool_schemas": ["other", "app"],
            "key": {"columns": ["tenant_id"], "tenants_table": "app.firms", "tenants_pk": "code"},
            "shared": {
                "schemas": ["ref"],
                "tables": [f"app.{t}" for t in ("users", "accounts", "bets", "payouts", "audit_log")],
            },
        },
    ),
    NearMiss(
        check="tenant_key_not_indexed",
        name="the primary key, a hash, a covering and a harmless partial index",
        sql=NOTES + "CREATE TABLE app.a (tenant_id uuid NOT NULL); CREATE INDEX ON app.a USING hash (tenant_id); "
        "CREATE TABLE app.b (tenant_id uuid NOT NULL, id int); CREATE INDEX ON app.b (tenant_id) INCLUDE (id); "
        "CREATE TABLE app.c (tenant_id uuid NOT NULL); "
        "CREATE INDEX ON app.c (tenant_id) WHERE tenant_id IS NOT NULL",
    ),
    NearMiss(
        check="tenant_key_not_indexed",
        name="partitions by tenant",
        sql="CREATE TABLE app.ticks (tenant_id uuid NOT NULL, ts date) PARTITION BY LIST (tenant_id); "
        "CREATE TABLE app.ticks_acme PARTITION OF app.ticks FOR VALUES IN ('{acme}')",
    ),
    NearMiss(
        check="tenant_key_not_indexed",
        name="an index on each partition",
        sql=PARTED + "CREATE INDEX ON app.ticks_1 (tenant_id); CREATE INDEX ON app.ticks_2 (tenant_id, id)",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    if pool.major < plant.min_major:
        pytest.skip(f"new in {plant.min_major}")
    assert_found(pool, plant)
    assert len(pool.findings(plant.check, plant.tenancy)) == (2 if "two steps" in plant.name else 1)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    if pool.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)
