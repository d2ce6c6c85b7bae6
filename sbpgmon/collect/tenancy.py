"""How a target keeps tenants apart, as its checks are told: what is declared, with the names that there are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sbpgmon.model import Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import MODELS, Named, Tenancy

_TIMEOUT_SECONDS = 5.0
_NAMES = """
select /* sbpgmon:tenancy */
  array(select nspname::text from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1),
  array(select datname::text from pg_database where datallowconn and not datistemplate order by 1),
  current_database()::text
"""
_COLUMNS = (
    "models text[], confirmed boolean, key_columns text[], tenants_table text, tenants_pk text, pool_schemas text[], "
    "shared_schemas text[], shared_tables text[], setting text, scope text, app_roles text[], admin_roles text[], "
    "tenant_schemas jsonb, schema_pattern text, tenant_databases jsonb, database_pattern text, tenant text, "
    "relations jsonb, audit_tables text[], own_role text"
)


@dataclass(frozen=True, slots=True)
class Member:
    """A tenant by the name of its schema or database; `role` is empty where no role is named."""

    name: str
    tenant: str
    role: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the part `tenancy` of a check holds, in one row; the names of the fields are its columns."""

    models: tuple[str, ...]
    confirmed: bool
    key_columns: tuple[str, ...]
    tenants_table: str | None
    tenants_pk: str
    pool_schemas: tuple[str, ...]  # empty: all that are nobody else's
    shared_schemas: tuple[str, ...]
    shared_tables: tuple[str, ...]
    setting: str | None
    scope: str
    app_roles: tuple[str, ...]
    admin_roles: tuple[str, ...]
    tenant_schemas: tuple[Member, ...]
    schema_pattern: str | None
    tenant_databases: tuple[Member, ...]
    database_pattern: str | None
    tenant: str | None  # whose database this is
    relations: tuple[dict[str, object], ...]
    audit_tables: tuple[str, ...]
    own_role: str

    def has(self, models: tuple[str, ...]) -> bool:
        """Whether checks for these models are for this target. Row level security guards shared tables: it has
        their checks as well."""
        mine = {*self.models, *(("column",) if "rls" in self.models else ())}
        return bool(mine.intersection(models)) or (bool(mine) and "all" in models)

    def sql(self) -> str:
        """The SELECT of the part `tenancy`."""
        value = json.dumps(asdict(self), ensure_ascii=True).replace("\\", "\\\\").replace("'", "''")
        return f"select * from jsonb_to_record(E'{value}'::jsonb) as t({_COLUMNS})"


def know(session: Session, server: Server, tenancy: Tenancy) -> Known:
    """What is declared, on this target. Raises TargetError."""
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        row = cursor.execute(_NAMES).fetchone()
    assert row is not None
    schemas, databases, database = row
    return Known(
        models=tuple(model for model in MODELS if model in tenancy.model),
        confirmed=tenancy.confirmed,
        key_columns=tuple(tenancy.key.columns),
        tenants_table=tenancy.key.tenants_table,
        tenants_pk=tenancy.key.tenants_pk,
        pool_schemas=tuple(tenancy.pool_schemas),
        shared_schemas=tuple(tenancy.shared.schemas),
        shared_tables=tuple(tenancy.shared.tables),
        setting=tenancy.context.setting,
        scope=tenancy.context.scope,
        app_roles=tuple(tenancy.roles.app),
        admin_roles=tuple(tenancy.roles.admin),
        tenant_schemas=_members(tenancy.schemas, schemas),
        schema_pattern=tenancy.schemas.pattern,
        tenant_databases=_members(tenancy.databases, databases),
        database_pattern=tenancy.databases.pattern,
        tenant=tenancy.databases.tenant_of(database),
        relations=tuple(relation.model_dump() for relation in tenancy.relations),
        audit_tables=tuple(tenancy.audit_tables),
        own_role=server.role,
    )


def _members(named: Named, names: list[str]) -> tuple[Member, ...]:
    found = ((name, named.tenant_of(name)) for name in names)
    return tuple(Member(name, tenant, named.role_of(tenant) or "") for name, tenant in found if tenant is not None)
