"""Rows that are a tenant's own no longer: found once the reader has what `sbpgmon grants --tenancy` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbpgmon.findings import Outcome
from sbpgmon.present.tenancy_grants import tenancy_grants_sql
from sbpgmon.sources.probe import probe, refuse_unsafe
from sbpgmon.sources.session import Session
from tests.isolation.world import CATALOG, NearMiss, Plant, World, assert_found

CHECKS = ("fk_tenant_mismatch", "indirect_tenant_mismatch", "orphan_tenant", "tenant_key_null")
DATA: dict[str, Any] = {"data": {"enabled": True}}
COLUMN = {**DATA, "model": ["column"]}
# Keys alone point at the parent: nothing says that its tenant is the child's.
PLAIN = """
CREATE TABLE app.slips (
  id bigint PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES app.tenants, note text
);
CREATE TABLE app.legs (
  id bigint PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES app.tenants, slip_id bigint REFERENCES app.slips
);
INSERT INTO app.slips VALUES (1, '{acme}'), (2, '{beta}');
INSERT INTO app.legs VALUES (1, '{acme}', 1), (2, '{beta}', 2), (3, '{beta}', NULL);
GRANT SELECT ON app.slips, app.legs TO {app};
"""
# Tables without the key, that belong to a tenant by what they point at.
INDIRECT = """
CREATE TABLE app.slips (id bigint PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES app.tenants);
CREATE TABLE app.wallets (id bigint PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES app.tenants);
CREATE TABLE app.legs (
  slip_id bigint NOT NULL REFERENCES app.slips, place int, wallet_id bigint REFERENCES app.wallets,
  PRIMARY KEY (slip_id, place)
);
CREATE TABLE app.leg_notes (
  id bigint PRIMARY KEY, slip_id bigint, place int, wallet_id bigint REFERENCES app.wallets,
  reply_to bigint REFERENCES app.leg_notes, FOREIGN KEY (slip_id, place) REFERENCES app.legs
);
INSERT INTO app.slips VALUES (1, '{acme}'), (2, '{beta}');
INSERT INTO app.wallets VALUES (11, '{acme}'), (12, '{beta}');
INSERT INTO app.legs VALUES (1, 1, 11), (2, 1, 12), (2, 2, NULL);
INSERT INTO app.leg_notes VALUES (1, 1, 1, 11, NULL), (2, 2, 1, 12, NULL), (3, 2, 2, 12, 2), (4, NULL, NULL, 11, 1);
GRANT SELECT ON app.slips, app.wallets, app.legs, app.leg_notes TO {app};
"""
CARRIED = "ALTER TABLE app.slips ADD UNIQUE (tenant_id, id); "

PLANTS = [
    Plant(
        check="fk_tenant_mismatch",
        name="a leg that points at another tenant's slip",
        sql=PLAIN + "UPDATE app.legs SET slip_id = 2 WHERE id = 1",
        object="app.legs",
        severity="P0",
        proof="SELECT s.* FROM app.legs AS l JOIN app.slips AS s ON s.id = l.slip_id "
        "WHERE l.tenant_id = '{acme}' AND s.tenant_id = '{beta}'",
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="a foreign key with the tenant key that was never validated",
        sql=PLAIN + CARRIED + "ALTER TABLE app.legs DROP CONSTRAINT legs_slip_id_fkey; "
        "UPDATE app.legs SET slip_id = 1 WHERE id = 2; "
        "ALTER TABLE app.legs ADD FOREIGN KEY (tenant_id, slip_id) REFERENCES app.slips (tenant_id, id) NOT VALID",
        object="app.legs",
        severity="P0",
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="both keys, and the one with the tenant key switched off",
        sql=PLAIN + CARRIED + "ALTER TABLE app.legs ADD FOREIGN KEY (tenant_id, slip_id) "
        "REFERENCES app.slips (tenant_id, id); ALTER TABLE app.legs DISABLE TRIGGER ALL; "
        "UPDATE app.legs SET slip_id = 1 WHERE id = 2",
        object="app.legs",
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="a relation that is only declared",
        sql=PLAIN
        + "ALTER TABLE app.legs DROP CONSTRAINT legs_slip_id_fkey; UPDATE app.legs SET slip_id = 2 WHERE id = 1",
        object="app.legs",
        tenancy={
            **COLUMN,
            "relations": [
                {"child": "app.legs", "columns": ["slip_id"], "parent": "app.slips", "parent_columns": ["id"]}
            ],
        },
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="a partitioned table, in a row of one of its partitions",
        sql=PLAIN + "CREATE TABLE app.moves (tenant_id uuid NOT NULL, id bigint, slip_id bigint REFERENCES app.slips) "
        "PARTITION BY RANGE (id); CREATE TABLE app.moves_1 PARTITION OF app.moves FOR VALUES FROM (0) TO (10); "
        "CREATE TABLE app.moves_2 PARTITION OF app.moves FOR VALUES FROM (10) TO (20); "
        "INSERT INTO app.moves VALUES ('{acme}', 1, 1), ('{beta}', 11, 1)",
        object="app.moves",
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="a row that points at another of its own table, with keys of text and names that need quotes",
        sql='CREATE TABLE app."Tree %s" ("Id" int PRIMARY KEY, tenant_id text NOT NULL, '
        '"Parent ""of""" int REFERENCES app."Tree %s"); '
        """INSERT INTO app."Tree %s" VALUES (1, 'a', NULL), (2, 'b', 1)""",
        object='app."Tree %s"',
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="keys of two types",
        sql=PLAIN + "ALTER TABLE app.legs DROP CONSTRAINT legs_tenant_id_fkey, ALTER COLUMN tenant_id TYPE text; "
        "UPDATE app.legs SET slip_id = 2 WHERE id = 1",
        object="app.legs",
        tenancy=COLUMN,
    ),
    Plant(
        check="fk_tenant_mismatch",
        name="under row level security",
        sql=PLAIN + "UPDATE app.legs SET slip_id = 2 WHERE id = 1; ALTER TABLE app.legs OWNER TO {owner}; "
        "ALTER TABLE app.legs ENABLE ROW LEVEL SECURITY; ALTER TABLE app.legs FORCE ROW LEVEL SECURITY; "
        "CREATE POLICY own ON app.legs USING (tenant_id = current_setting('app.tenant_id')::uuid)",
        object="app.legs",
        tenancy=DATA,
    ),
    Plant(
        check="orphan_tenant",
        name="rows of a tenant that was removed",
        sql="ALTER TABLE app.audit_log DROP CONSTRAINT audit_log_tenant_id_fkey; INSERT INTO app.audit_log "
        "(tenant_id, ts, what) VALUES ('33333333-3333-3333-3333-333333333333', '2027-06-01', 'login')",
        object="app.audit_log",
        severity="P1",
        tenancy=DATA,
    ),
    Plant(
        check="orphan_tenant",
        name="a foreign key to the tenants that was never validated",
        sql="CREATE TABLE app.notes (id int PRIMARY KEY, tenant_id uuid); "
        "INSERT INTO app.notes VALUES (1, '{acme}'), (2, '33333333-3333-3333-3333-333333333333'); "
        "ALTER TABLE app.notes ADD FOREIGN KEY (tenant_id) REFERENCES app.tenants NOT VALID",
        object="app.notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="orphan_tenant",
        name="a key of text",
        sql="CREATE TABLE app.notes (tenant_id text NOT NULL, note text); "
        "INSERT INTO app.notes VALUES ('{acme}'), ('acme')",
        object="app.notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="orphan_tenant",
        name="tenants that are not declared: most keys point at them",
        sql="CREATE TABLE app.notes (tenant_id uuid); "
        "INSERT INTO app.notes VALUES ('33333333-3333-3333-3333-333333333333')",
        object="app.notes",
        tenancy={**COLUMN, "key": {"columns": ["tenant_id"]}},
    ),
    Plant(
        check="tenant_key_null",
        name="rows without a key",
        sql="CREATE TABLE app.notes (id int PRIMARY KEY, tenant_id uuid REFERENCES app.tenants); "
        "INSERT INTO app.notes VALUES (1, '{acme}'), (2, NULL)",
        object="app.notes",
        severity="P1",
        tenancy=COLUMN,
    ),
    Plant(
        check="tenant_key_null",
        name="NOT NULL that was never validated",
        sql="CREATE TABLE app.notes (id int PRIMARY KEY, tenant_id uuid); INSERT INTO app.notes VALUES (2, NULL); "
        "ALTER TABLE app.notes ADD CONSTRAINT keyed NOT NULL tenant_id NOT VALID",
        object="app.notes",
        tenancy=COLUMN,
        min_major=18,
    ),
    Plant(
        check="indirect_tenant_mismatch",
        name="a leg of one tenant's slip, paid from another's wallet",
        sql=INDIRECT + "UPDATE app.legs SET wallet_id = 12 WHERE slip_id = 1",
        object="app.legs",
        severity="P0",
        proof="SELECT w.* FROM app.legs JOIN app.slips AS s ON s.id = slip_id "
        "JOIN app.wallets AS w ON w.id = wallet_id WHERE s.tenant_id <> w.tenant_id",
        tenancy=COLUMN,
    ),
    Plant(
        check="indirect_tenant_mismatch",
        name="over two tables without the key",
        sql=INDIRECT + "UPDATE app.leg_notes SET wallet_id = 11 WHERE id = 2",
        object="app.leg_notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="indirect_tenant_mismatch",
        name="a reply to another tenant's note",
        sql=INDIRECT + "UPDATE app.leg_notes SET reply_to = 2 WHERE id = 1",
        object="app.leg_notes",
        tenancy=COLUMN,
    ),
    Plant(
        check="indirect_tenant_mismatch",
        name="a transfer between two tenants' wallets",
        sql=INDIRECT + "CREATE TABLE app.transfers (from_wallet bigint REFERENCES app.wallets, "
        "to_wallet bigint REFERENCES app.wallets); INSERT INTO app.transfers VALUES (11, 12)",
        object="app.transfers",
        tenancy=COLUMN,
    ),
]
NEAR_MISSES = [
    NearMiss("fk_tenant_mismatch", "all rows point at their own tenant's", PLAIN, COLUMN),
    NearMiss(
        "fk_tenant_mismatch",
        "a row without a key: tenant_key_null says so",
        PLAIN + "ALTER TABLE app.legs ALTER tenant_id DROP NOT NULL; UPDATE app.legs SET tenant_id = NULL WHERE id = 1",
        COLUMN,
    ),
    NearMiss(
        "fk_tenant_mismatch",
        "ids that are counted for each tenant, by a key that was never validated",
        "CREATE TABLE app.slips (tenant_id uuid, id int, PRIMARY KEY (tenant_id, id)); "
        "CREATE TABLE app.legs (tenant_id uuid, id int, slip_id int); "
        "INSERT INTO app.slips VALUES ('{acme}', 1), ('{beta}', 1), ('{beta}', 2); "
        "INSERT INTO app.legs VALUES ('{acme}', 1, 1), ('{beta}', 1, 1), ('{beta}', 2, 2); "
        "ALTER TABLE app.legs ADD FOREIGN KEY (tenant_id, slip_id) REFERENCES app.slips NOT VALID",
        COLUMN,
    ),
    NearMiss(
        "fk_tenant_mismatch",
        "a table that is shared",
        PLAIN + "UPDATE app.legs SET slip_id = 2 WHERE id = 1",
        {**COLUMN, "shared": {"schemas": ["ref"], "tables": ["app.events", "app.slips"]}},
    ),
    NearMiss(
        "fk_tenant_mismatch",
        "a tenant that a row names besides its own",
        "CREATE TABLE app.notes (tenant_id uuid REFERENCES app.tenants, partner uuid REFERENCES app.tenants); "
        "INSERT INTO app.notes VALUES ('{acme}', '{beta}')",
        COLUMN,
    ),
    NearMiss(
        "orphan_tenant",
        "all rows are of a tenant, and none says so",
        "CREATE TABLE app.notes (tenant_id uuid); INSERT INTO app.notes VALUES ('{acme}'), (NULL)",
        COLUMN,
    ),
    NearMiss(
        "orphan_tenant",
        "a key in capital letters, as text",
        "CREATE TABLE app.notes (tenant_id varchar(36)); INSERT INTO app.notes VALUES ('{acme}')",
        COLUMN,
    ),
    NearMiss(
        "tenant_key_null",
        "a key that may be NULL and is not",
        "CREATE TABLE app.notes (tenant_id uuid); INSERT INTO app.notes VALUES ('{acme}')",
        COLUMN,
    ),
    NearMiss(
        "tenant_key_null",
        "NULL in a shared table",
        "CREATE TABLE ref.notes (tenant_id uuid); INSERT INTO ref.notes VALUES (NULL)",
        COLUMN,
    ),
    NearMiss("indirect_tenant_mismatch", "all ways lead to one tenant", INDIRECT, COLUMN),
    NearMiss(
        "indirect_tenant_mismatch",
        "one way ends at nothing",
        INDIRECT + "UPDATE app.legs SET wallet_id = NULL; UPDATE app.leg_notes SET wallet_id = NULL, reply_to = NULL",
        COLUMN,
    ),
]


def grants(world: World, changes: dict[str, Any]) -> str:
    with Session(world.target, 5.0) as session:
        return tenancy_grants_sql(
            session, probe(session), CATALOG, world.tenancy(changes), probe=f"probe_{world.suffix}"
        )


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    if pool.major < plant.min_major:
        pytest.skip(f"new in {plant.min_major}")
    pool.run(plant.sql)
    pool.run(grants(pool, plant.tenancy))
    assert_found(pool, replace(plant, sql="SELECT"))
    found = pool.check(CHECKS, plant.tenancy)
    assert not [f for run in found.values() for f in run.findings if f.outcome is not Outcome.FAIL]


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    pool.run(near.sql)
    pool.run(grants(pool, near.tenancy))
    assert not pool.findings(near.check, near.tenancy)


@pytest.mark.parametrize("model", ["rls", "column"])
def test_a_clean_database_is_clean(pool: World, model: str) -> None:
    changes = {**DATA, "model": [model]}
    for _ in range(2):
        pool.run(grants(pool, changes))
    runs = pool.check(CHECKS, changes)
    assert set(runs) == set(CHECKS)
    assert not [finding for run in runs.values() for finding in run.findings]
    with Session(pool.target, 5.0) as session:
        refuse_unsafe("app", probe(session), allow_superuser=False)


def test_tenants_that_cannot_be_listed_are_unknown(pool: World) -> None:
    changes = {**DATA, "key": {"columns": ["tenant_id"], "tenants_table": "app.tenants", "tenants_pk": "uid"}}
    pool.run("CREATE TABLE app.notes (tenant_id uuid)")
    [finding] = pool.findings("orphan_tenant", changes)
    assert (finding.outcome, finding.object) == (Outcome.UNKNOWN, "app.tenants")


def test_what_is_switched_off_does_not_run(pool: World) -> None:
    assert not set(pool.check()).intersection(CHECKS)


def test_one_pair_of_columns_is_one_finding(pool: World) -> None:
    both = "ALTER TABLE app.legs ADD FOREIGN KEY (tenant_id, slip_id) REFERENCES app.slips (tenant_id, id) NOT VALID"
    pool.run(PLAIN + CARRIED + "UPDATE app.legs SET slip_id = 2 WHERE id = 1; " + both)
    pool.run(grants(pool, COLUMN))
    [finding] = pool.findings("fk_tenant_mismatch", COLUMN)
    assert "VALIDATE CONSTRAINT legs_tenant_id_slip_id_fkey" in finding.remedy
