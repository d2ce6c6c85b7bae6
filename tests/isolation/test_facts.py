"""What the judge of statements is told of a database."""

from __future__ import annotations

from typing import Any

import pytest

from sbpgmon.collect.facts import parse_path, read_facts
from sbpgmon.collect.tenancy import know
from sbpgmon.judge.facts import ForeignKey, Relation, TenantFacts
from sbpgmon.judge.statement import judge
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import CATALOG, World

BETS = ("app", "bets")


def _facts(world: World, changes: dict[str, Any] | None = None) -> TenantFacts:
    with Session(world.target, 5.0) as session:
        server = probe(session)
        return read_facts(session, server, CATALOG, know(session, server, world.tenancy(changes)))


def _bound(world: World, *names: str, table: tuple[str, str] = BETS) -> set[str]:
    """Which of the world's roles row level security binds on this table."""
    found = _facts(world).relations[table].rls
    return {name for name in names or ("app", "owner", "admin", "report") if world.names[name] in found}


def _key(columns: str, schema: str, table: str, referenced: str) -> ForeignKey:
    return ForeignKey(tuple(columns.split()), schema, table, tuple(referenced.split()))


def test_shared_tables(pool: World) -> None:
    facts = _facts(pool)
    rls = facts.relations[BETS].rls
    names = {name for name in rls if name.endswith(pool.suffix)}
    assert names == {pool.names[name] for name in ("owner", "app", "report", "reader")}

    def table(name: str, columns: str, unique: tuple[str, ...], *keys: ForeignKey, **more: Any) -> Relation:
        return Relation(
            schema="app",
            name=name,
            columns=tuple(columns.split()),
            unique=tuple(tuple(each.split()) for each in unique),
            has_primary_key=bool(unique),
            foreign_keys=keys,
            **more,
        )

    def tenants(name: str, columns: str, unique: tuple[str, ...], *keys: ForeignKey, kind: str = "r") -> Relation:
        own = _key("tenant_id", "app", "tenants", "id")
        more: dict[str, Any] = {"kind": kind, "key": "tenant_id", "is_tenant": True, "rls": rls}
        return table(name, f"tenant_id {columns}", unique, own, *keys, **more)

    logs = ("tenant_id id ts",)
    wanted = [
        tenants(
            "accounts",
            "id user_id balance",
            ("tenant_id id",),
            _key("tenant_id user_id", "app", "users", "tenant_id id"),
        ),
        tenants("audit_log", "id ts what", logs, kind="p"),
        tenants("audit_log_2026", "id ts what", logs),
        tenants("audit_log_2027", "id ts what", logs),
        tenants(
            "bets",
            "id account_id event_id stake",
            ("tenant_id id",),
            _key("event_id", "app", "events", "id"),
            _key("tenant_id account_id", "app", "accounts", "tenant_id id"),
        ),
        table("event_names", "id name", (), kind="v"),
        table("events", "id starts_at market_id", ("id",), _key("market_id", "ref", "markets", "id")),
        tenants(
            "payouts", "id bet_id amount", ("tenant_id id",), _key("tenant_id bet_id", "app", "bets", "tenant_id id")
        ),
        table("tenants", "id name", ("id", "name")),
        tenants("users", "id email", ("tenant_id id", "tenant_id email")),
    ]
    markets = Relation("ref", "markets", columns=("id", "name"), unique=(("id",),), has_primary_key=True)
    assert facts == TenantFacts.of(
        [*wanted, markets], search_path=("$user", "public", "app", "ref"), setting="app.tenant_id"
    )
    assert TenantFacts.from_json(facts.to_json()) == facts


def test_schemas(schemas: World) -> None:
    facts = _facts(schemas)
    assert {place for place, relation in facts.relations.items() if relation.tenant is None} == {
        ("common", "countries")
    }
    assert facts.relations["t_beta", "payslips"] == Relation(
        schema="t_beta",
        name="payslips",
        columns=("id", "employee_id", "amount"),
        is_tenant=True,
        tenant="beta",
        unique=(("id",),),
        has_primary_key=True,
        foreign_keys=(_key("employee_id", "t_beta", "employees", "id"),),
    )
    assert facts.relations["t_beta", "totals"].tenant == "beta"
    assert facts.search_paths[schemas.names["t_beta_app"]] == ("t_beta", "common")
    assert facts.search_path == ("$user", "public", "common")


@pytest.mark.parametrize(
    ("sql", "bound"),
    [
        ("SELECT", "app owner report"),
        ("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY", ""),
        ("ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY", "app report"),
        ("ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY; GRANT {owner} TO {app}", "report"),
        ("ALTER ROLE {app} BYPASSRLS", "owner report"),
        ("ALTER ROLE {app} SUPERUSER", "owner report"),
        ("CREATE POLICY open ON app.bets FOR SELECT USING (true)", ""),
        ("CREATE POLICY open ON app.bets FOR SELECT TO {app} USING (true)", "owner report"),
        ("CREATE POLICY open ON app.bets FOR UPDATE TO {app} USING (stake > 0)", "owner report"),
        ("GRANT {report} TO {app}; CREATE POLICY open ON app.bets TO {report} USING (true)", "owner"),
        ("CREATE POLICY safe ON app.bets AS RESTRICTIVE USING (true)", "app owner report"),
        (
            "CREATE POLICY open ON app.bets USING (true); CREATE POLICY safe ON app.bets AS RESTRICTIVE "
            "USING (tenant_id = app.current_tenant())",
            "app owner report",
        ),
        ("CREATE POLICY add ON app.bets FOR INSERT WITH CHECK (true)", "app owner report"),
        ("ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = tenant_id)", "owner report"),
        ("ALTER POLICY tenant_isolation ON app.bets USING (tenant_id IS NOT NULL)", "owner report"),
        ("ALTER POLICY tenant_isolation ON app.bets TO PUBLIC USING (tenant_id = '{acme}')", ""),
        ("ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = '{acme}')", "app owner report"),
        ("ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = app.current_tenant())", "app owner report"),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = (SELECT app.current_tenant()))",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING "
            "(tenant_id::text = current_setting('app.tenant_id', true))",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = current_setting('myapp.other')::uuid)",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id::text = current_setting('work_mem'))",
            "owner report",
        ),
        (
            "CREATE FUNCTION app.claims() RETURNS jsonb LANGUAGE sql STABLE "
            "AS $$ SELECT current_setting('request.jwt.claims', true)::jsonb $$;"
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = (app.claims() ->> 'tenant')::uuid)",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (current_setting('app.tenant_id', true) = '' "
            "OR tenant_id = app.current_tenant())",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (CASE WHEN current_setting('app.tenant_id', true) IS NULL "
            "THEN true ELSE tenant_id = app.current_tenant() END)",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id::text LIKE current_setting('app.tenant_id'))",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id <> app.current_tenant())",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (current_setting('app.is_admin', true) = 'on')",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = ANY "
            "(string_to_array(current_setting('app.tenant_id', true), ',')::uuid[]))",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = app.current_tenant() "
            "AND (stake > 0 OR event_id IS NULL))",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = app.current_tenant() "
            "OR current_setting('app.tenant_id', true) IS NULL)",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING "
            "(tenant_id = coalesce(nullif(current_setting('app.tenant_id', true), '')::uuid, tenant_id))",
            "owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING "
            "(EXISTS (SELECT FROM app.accounts AS a "
            "WHERE a.tenant_id = bets.tenant_id AND a.tenant_id = app.current_tenant()))",
            "app owner report",
        ),
        (
            "ALTER POLICY tenant_isolation ON app.bets USING (EXISTS (SELECT FROM app.tenants WHERE id = tenant_id))",
            "owner report",
        ),
    ],
)
def test_whom_policies_bind(pool: World, sql: str, bound: str) -> None:
    # Where no policy is for a role, it sees nothing.
    pool.run(sql)
    assert _bound(pool) == set(bound.split())


def test_a_table_that_belongs_to_a_tenant_by_what_it_points_at(pool: World) -> None:
    pool.run(
        "CREATE TABLE app.notes (id bigint PRIMARY KEY, tenant uuid, bet bigint NOT NULL, body text, "
        "FOREIGN KEY (tenant, bet) REFERENCES app.bets (tenant_id, id));"
        "ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON app.notes USING (EXISTS (SELECT FROM app.bets AS b "
        "WHERE b.id = bet AND b.tenant_id = tenant AND b.tenant_id = app.current_tenant()))"
    )
    notes = _facts(pool).relations["app", "notes"]
    assert notes.key is None
    assert notes.is_tenant
    assert pool.names["app"] in notes.rls
    pool.run("ALTER POLICY own ON app.notes USING (EXISTS (SELECT FROM app.bets AS b WHERE b.id = bet))")
    assert pool.names["app"] not in _facts(pool).relations["app", "notes"].rls


def test_a_declared_relation_is_a_foreign_key(pool: World) -> None:
    pool.run("CREATE TABLE app.slips (id bigint PRIMARY KEY, user_ref bigint)")
    declared = {"child": "app.slips", "columns": ["user_ref"], "parent": "app.users", "parent_columns": ["id"]}
    slips = _facts(pool, {"relations": [declared]}).relations["app", "slips"]
    assert slips.is_tenant
    assert slips.foreign_keys == (_key("user_ref", "app", "users", "id"),)


def test_what_a_shared_table_has_is_no_key(pool: World) -> None:
    facts = _facts(pool, {"shared": {"schemas": ["ref"], "tables": ["app.events", "app.payouts"]}})
    assert facts.relations["app", "payouts"].key is None
    assert not facts.relations["app", "payouts"].is_tenant


def test_keys_that_the_context_fills(pool: World) -> None:
    pool.run(
        "ALTER TABLE app.bets ALTER tenant_id SET DEFAULT current_setting('app.tenant_id')::uuid;"
        "ALTER TABLE app.payouts ALTER tenant_id SET DEFAULT app.current_tenant();"
        "ALTER TABLE app.users ALTER tenant_id SET DEFAULT gen_random_uuid();"
        "ALTER TABLE app.accounts ALTER tenant_id SET DEFAULT current_setting('app.other')::uuid"
    )
    relations = _facts(pool).relations
    assert {name for (_, name), relation in relations.items() if relation.key_has_default} == {"bets", "payouts"}


def test_unique_keys_that_hold_for_some_rows_are_none(pool: World) -> None:
    pool.run(
        "CREATE UNIQUE INDEX ON app.bets (id) WHERE stake > 0; CREATE UNIQUE INDEX ON app.bets ((id + 1));"
        "CREATE UNIQUE INDEX ON app.bets (account_id) INCLUDE (stake); ALTER TABLE app.bets DROP COLUMN event_id"
    )
    bets = _facts(pool).relations[BETS]
    assert bets.columns == ("tenant_id", "id", "account_id", "stake")
    assert bets.unique == (("tenant_id", "id"), ("account_id",))


def test_views(pool: World) -> None:
    pool.run(
        "SET ROLE {owner};"
        "CREATE VIEW app.slips AS SELECT tenant_id, stake FROM app.bets;"
        "CREATE VIEW app.stakes AS SELECT s.stake FROM app.slips AS s JOIN app.events AS e ON true;"
        "CREATE VIEW app.own AS SELECT id, stake FROM app.bets WHERE tenant_id = app.current_tenant();"
        "CREATE VIEW app.own_stakes AS SELECT stake FROM app.own;"
        "CREATE VIEW app.acme AS SELECT id, stake FROM app.bets WHERE tenant_id = '{acme}';"
        "CREATE MATERIALIZED VIEW app.totals AS SELECT tenant_id, sum(stake) AS stake FROM app.bets GROUP BY 1;"
        "RESET ROLE;"
        "CREATE VIEW app.everything AS SELECT tenant_id, stake FROM app.bets;"
        "GRANT SELECT ON app.slips, app.stakes, app.own, app.own_stakes, app.acme, app.totals, app.everything TO {app}"
    )
    facts = _facts(pool)

    def seen(name: str) -> tuple[str | None, bool, tuple[tuple[str, str], ...], bool]:
        view = facts.relations["app", name]
        return view.key, facts.is_watched(view), view.sources, pool.names["app"] in view.rls

    assert seen("slips") == ("tenant_id", True, (BETS,), True)
    assert seen("stakes") == (None, True, (BETS,), True)
    assert seen("own") == (None, False, (), False)
    assert seen("own_stakes") == (None, False, (), False)
    assert seen("acme") == (None, True, (BETS,), True)
    assert seen("totals") == ("tenant_id", True, (BETS,), False)
    assert seen("everything") == ("tenant_id", True, (BETS,), False)
    assert judge("SELECT * FROM app.everything", facts, user=pool.names["app"]).verdict == "unscoped"


def test_a_view_of_who_reads_it(pool: World) -> None:
    if pool.major < 15:
        pytest.skip("new in 15")
    pool.run(
        "CREATE VIEW app.slips WITH (security_invoker) AS SELECT tenant_id, stake FROM app.bets;"
        "CREATE VIEW app.stakes AS SELECT stake FROM app.slips; GRANT SELECT ON app.slips, app.stakes TO {app}"
    )
    facts = _facts(pool)
    assert pool.names["app"] in facts.relations["app", "slips"].rls
    assert pool.names["admin"] not in facts.relations["app", "slips"].rls
    assert pool.names["app"] not in facts.relations["app", "stakes"].rls


def test_where_names_are_looked_up(pool: World) -> None:
    pool.run(
        'ALTER DATABASE {database} SET search_path = app, "$user"; ALTER ROLE {app} SET search_path = ref;'
        'ALTER ROLE {app} IN DATABASE {database} SET search_path TO "My, ""App""", app;'
        "ALTER ROLE {report} SET search_path = app"
    )
    facts = _facts(pool)
    assert facts.search_path == ("app", "$user", "ref")
    assert facts.search_paths[pool.names["app"]] == ('My, "App"', "app", "ref")
    assert facts.search_paths[pool.names["report"]] == ("app", "ref")


def test_a_path_is_cut_into_names() -> None:
    assert parse_path('"$user", Public, "My, ""App""",app ') == ("$user", "public", 'My, "App"', "app")
    assert parse_path('""') == ()
