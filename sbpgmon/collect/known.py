"""What the checks of a target are told of how it keeps tenants apart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

_COLUMNS = (
    "models text[], confirmed boolean, key_columns text[], tenants_table text, tenants_pk text, pool_schemas text[], "
    "shared_schemas text[], shared_tables text[], setting text, scope text, app_roles text[], admin_roles text[], "
    "tenant_schemas jsonb, schema_pattern text, tenant_databases jsonb, database_pattern text, tenant text, "
    "relations jsonb, audit_tables text[], own_role text, application_name text"
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
    application_name: str | None = None  # pattern of it, whose group is the tenant
    detected: tuple[str, ...] = ()  # what of it is not declared: key.columns, roles.app, …

    def has(self, models: tuple[str, ...]) -> bool:
        """Whether checks for these models are for this target. Row level security guards shared tables: it has
        their checks as well."""
        mine = {*self.models, *(("column",) if "rls" in self.models else ())}
        return bool(mine.intersection(models)) or (bool(mine) and "all" in models)

    def sql(self) -> str:
        """The SELECT of the part `tenancy`."""
        value = json.dumps(asdict(self), ensure_ascii=True).replace("\\", "\\\\").replace("'", "''")
        return f"select * from jsonb_to_record(E'{value}'::jsonb) as t({_COLUMNS})"
