"""Tables that only grow: who may change them, what guards them, and whether they were changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbpgmon.findings import Outcome
from tests.integration.support import wait_for
from tests.isolation.world import NearMiss, Plant, World, assert_found

TRAIL = """
CREATE TABLE app.trail (
  id bigint GENERATED ALWAYS AS IDENTITY, tenant_id uuid NOT NULL REFERENCES app.tenants, at timestamptz, what text);
ALTER TABLE app.trail OWNER TO {owner};
INSERT INTO app.trail (tenant_id, what) VALUES ('{acme}', 'login'), ('{beta}', 'login');
GRANT SELECT, INSERT ON app.trail TO {app};
"""
MAY_CHANGE = TRAIL + "GRANT UPDATE, DELETE ON app.trail TO {app};"
REFUSE = """
CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- It only grows.
  RAISE EXCEPTION 'the audit trail only grows' USING ERRCODE = '42501';
END $$;
"""
GUARD = REFUSE + (
    "CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON app.trail FOR EACH ROW EXECUTE FUNCTION app.refuse();"
)
DECLARED: dict[str, Any] = {"audit_tables": ["app.trail"]}
UPDATED = "UPDATE app.trail SET what = 'nothing'"
DELETED = "DELETE FROM app.trail"
UNGUARDED, CHANGED = "audit_table_unguarded", "audit_table_changed"
PLANTS = [
    Plant(UNGUARDED, "no guard at all", MAY_CHANGE, "app.trail", "{app}", "P2", proof=UPDATED, tenancy=DECLARED),
    Plant(
        UNGUARDED, "one column", TRAIL + "GRANT UPDATE (what) ON app.trail TO {app}", "app.trail", "{app}",
        proof=UPDATED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "PUBLIC may delete", TRAIL + "GRANT DELETE ON app.trail TO PUBLIC", "app.trail", "{app}",
        proof=DELETED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "a role that the application can become",
        TRAIL + "CREATE ROLE team_{suffix}; GRANT DELETE ON app.trail TO team_{suffix}; GRANT team_{suffix} TO {app}",
        "app.trail", "{app}", proof=DELETED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "TRUNCATE is not guarded", MAY_CHANGE + GUARD + "GRANT TRUNCATE ON app.trail TO {app}", "app.trail",
        "{app}", proof="TRUNCATE app.trail; SELECT 1", tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "the guard is for updates alone",
        MAY_CHANGE + REFUSE + "CREATE TRIGGER g BEFORE UPDATE ON app.trail EXECUTE FUNCTION app.refuse()",
        "app.trail", "{app}", proof=DELETED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "the guard is for one column",
        MAY_CHANGE + REFUSE
        + "CREATE TRIGGER g BEFORE DELETE OR UPDATE OF id ON app.trail EXECUTE FUNCTION app.refuse()",
        "app.trail", "{app}", proof=UPDATED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "a trigger that refuses nothing",
        MAY_CHANGE + """
            CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.at := now(); RAISE NOTICE 'touched'; RETURN NEW; END $$;
            CREATE TRIGGER touch BEFORE UPDATE ON app.trail FOR EACH ROW EXECUTE FUNCTION app.touch()""",
        "app.trail", "{app}", proof=UPDATED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "the guard is switched off", MAY_CHANGE + GUARD + "ALTER TABLE app.trail DISABLE TRIGGER only_grows",
        "app.trail", severity="P1", proof=UPDATED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "all triggers are switched off", TRAIL + GUARD + "ALTER TABLE app.trail DISABLE TRIGGER ALL",
        "app.trail", severity="P1", tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "the guard is for replicas", MAY_CHANGE + GUARD
        + "ALTER TABLE app.trail ENABLE REPLICA TRIGGER only_grows",
        "app.trail", severity="P1", proof=UPDATED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "row level security with a policy for all commands",
        MAY_CHANGE + """
            ALTER TABLE app.trail ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON app.trail USING (tenant_id = current_setting('app.tenant_id')::uuid)""",
        "app.trail", "{app}", proof="SET app.tenant_id = '{acme}';" + UPDATED, tenancy=DECLARED,
    ),
    Plant(
        UNGUARDED, "a partition of its own", "GRANT DELETE ON app.audit_log_2026 TO {app}", "app.audit_log_2026",
        "{app}", proof="SET app.tenant_id = '{acme}'; DELETE FROM app.audit_log_2026",
        tenancy={"audit_tables": ["app.audit_log"]},
    ),
    Plant(CHANGED, "rows were updated", TRAIL + UPDATED, "app.trail", severity="P1", tenancy=DECLARED),
    Plant(CHANGED, "rows were deleted", TRAIL + DELETED, "app.trail", tenancy=DECLARED),
    Plant(
        CHANGED, "of a partition", "UPDATE app.audit_log_2026 SET what = 'nothing'", "app.audit_log",
        tenancy={"audit_tables": ["app.audit_log"]},
    ),
]  # fmt: skip
NEAR_MISSES = [
    NearMiss(UNGUARDED, "the application may only add and read", TRAIL, tenancy=DECLARED),
    NearMiss(UNGUARDED, "a trigger by row", MAY_CHANGE + GUARD, tenancy=DECLARED),
    NearMiss(
        UNGUARDED, "triggers by statement, for each command",
        MAY_CHANGE + REFUSE + """
            GRANT TRUNCATE ON app.trail TO {app};
            CREATE TRIGGER u BEFORE UPDATE ON app.trail EXECUTE FUNCTION app.refuse();
            CREATE TRIGGER d BEFORE DELETE ON app.trail EXECUTE FUNCTION app.refuse();
            CREATE TRIGGER t BEFORE TRUNCATE ON app.trail EXECUTE FUNCTION app.refuse()""",
        tenancy=DECLARED,
    ),
    NearMiss(
        UNGUARDED, "a trigger that drops the change",
        MAY_CHANGE + """
            CREATE FUNCTION app.ignore() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
            CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON app.trail FOR EACH ROW
              EXECUTE FUNCTION app.ignore()""",
        tenancy=DECLARED,
    ),
    NearMiss(
        UNGUARDED, "rules that do nothing instead",
        MAY_CHANGE + """
            CREATE RULE u AS ON UPDATE TO app.trail DO INSTEAD NOTHING;
            CREATE RULE d AS ON DELETE TO app.trail DO INSTEAD NOTHING""",
        tenancy=DECLARED,
    ),
    NearMiss(
        UNGUARDED, "row level security without a policy for changes",
        MAY_CHANGE + """
            ALTER TABLE app.trail ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON app.trail FOR SELECT USING (tenant_id = current_setting('app.tenant_id')::uuid);
            CREATE POLICY add ON app.trail FOR INSERT
              WITH CHECK (tenant_id = current_setting('app.tenant_id')::uuid)""",
        tenancy=DECLARED,
    ),
    NearMiss(
        UNGUARDED, "a guard that is switched off beside one that is not",
        MAY_CHANGE + GUARD + """
            CREATE TRIGGER old BEFORE DELETE ON app.trail FOR EACH ROW EXECUTE FUNCTION app.refuse();
            ALTER TABLE app.trail DISABLE TRIGGER old""",
        tenancy=DECLARED,
    ),
    NearMiss(UNGUARDED, "a guard that always fires", MAY_CHANGE + GUARD
             + "ALTER TABLE app.trail ENABLE ALWAYS TRIGGER only_grows", tenancy=DECLARED),
    NearMiss(UNGUARDED, "operators may", TRAIL + "GRANT UPDATE, DELETE, TRUNCATE ON app.trail TO {admin}",
             tenancy=DECLARED),
    NearMiss(UNGUARDED, "a table that is not declared", MAY_CHANGE),
    NearMiss(
        UNGUARDED, "the trigger of a partitioned table guards its partitions",
        REFUSE + "CREATE TRIGGER g BEFORE UPDATE OR DELETE ON app.audit_log FOR EACH ROW EXECUTE FUNCTION app.refuse();"
        "GRANT DELETE ON app.audit_log_2026 TO {app}",
        tenancy={"audit_tables": ["app.audit_log"]},
    ),
    NearMiss(CHANGED, "rows were added", TRAIL, tenancy=DECLARED),
    NearMiss(CHANGED, "a guard refused", TRAIL + GUARD + "DO $$ BEGIN DELETE FROM app.trail; "
             "EXCEPTION WHEN others THEN END $$", tenancy=DECLARED),
    NearMiss(CHANGED, "another table was changed", TRAIL + "UPDATE app.bets SET stake = 2", tenancy=DECLARED),
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    if plant.check == CHANGED:
        # What a session did is told a moment later; once it is, the finding is the same each time.
        pool.run(plant.sql)
        wait_for(lambda: pool.findings(plant.check, plant.tenancy))
        plant = replace(plant, sql="SELECT 1")
    assert_found(pool, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    if pool.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)


def test_the_finding_closes_when_somebody_says_so(pool: World) -> None:
    pool.run(TRAIL + UPDATED)
    wait_for(lambda: pool.findings(CHANGED, DECLARED))
    [finding] = pool.findings(CHANGED, DECLARED)
    pool.run(finding.remedy.partition("Then ")[2])
    wait_for(lambda: not pool.findings(CHANGED, DECLARED))


def test_a_table_that_is_not_there_is_unknown(pool: World) -> None:
    found = pool.findings("tenancy_declaration", {"audit_tables": ["app.audit_log", "app.trial", "trial"]})
    assert [(f.object, f.outcome) for f in found] == [("app.trial", Outcome.UNKNOWN), ("trial", Outcome.UNKNOWN)]


def test_a_name_without_a_schema_is_every_tenants(schemas: World) -> None:
    schemas.run("ALTER TABLE t_beta.payslips ENABLE ROW LEVEL SECURITY")
    found = schemas.findings(UNGUARDED, {"audit_tables": ["payslips"]})
    assert [(f.object, f.role) for f in found] == [
        (f"t_{tenant}.payslips", schemas.names[f"t_{tenant}_app"]) for tenant in ("acme", "gamma")
    ]


@pytest.mark.parametrize("statement", ["UPDATE", "DELETE"])
def test_the_remedy_mends(pool: World, statement: str) -> None:
    pool.run(TRAIL + f"GRANT {statement} ON app.trail TO PUBLIC")
    [finding] = pool.findings(UNGUARDED, DECLARED)
    assert finding.remedy == f"REVOKE {statement} ON app.trail FROM PUBLIC;"
    pool.run(finding.remedy)
    assert not pool.findings(UNGUARDED, DECLARED)
