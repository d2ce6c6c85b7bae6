"""How a target keeps tenants apart, as its checks are told: what is declared, and what its catalogs tell otherwise."""

from __future__ import annotations

from sbpgmon.collect.detection import Detection, detect, members
from sbpgmon.collect.known import Known, Member
from sbpgmon.model import Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import MODELS, Tenancy

__all__ = ["Detection", "Known", "Member", "detect_tenancy", "know"]

_TIMEOUT_SECONDS = 5.0
_NAMES = """
select /* sbpgmon:tenancy */
  array(select nspname::text from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1),
  array(select datname::text from pg_database where datallowconn and not datistemplate order by 1),
  current_database()::text
"""


def know(session: Session, server: Server, tenancy: Tenancy) -> Known:
    """What is declared on this target; what is left open there is filled with what is found. Raises TargetError."""
    known, schemas, databases = _declared(session, server, tenancy)
    return detect(session, known, schemas, databases).known if _is_open(known) else known


def detect_tenancy(session: Session, server: Server, tenancy: Tenancy | None = None) -> Detection:
    """All that is found on this target; what is declared holds. Raises TargetError."""
    known, schemas, databases = _declared(session, server, tenancy or Tenancy())
    return detect(session, known, schemas, databases)


def _is_open(known: Known) -> bool:
    """Whether a part that a model needs is not declared."""
    if not known.models or ("schema" in known.models and known.schema_pattern is None):
        return True
    needed = [known.key_columns, known.app_roles, known.tenants_table]
    return ("rls" in known.models and not all((*needed, known.setting))) or (
        "column" in known.models and not all(needed)
    )


def _declared(session: Session, server: Server, tenancy: Tenancy) -> tuple[Known, list[str], list[str]]:
    """What is declared, and the names of all schemas and databases."""
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        row = cursor.execute(_NAMES).fetchone()
    assert row is not None
    schemas, databases, database = row
    known = Known(
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
        tenant_schemas=members(tenancy.schemas, schemas),
        schema_pattern=tenancy.schemas.pattern,
        tenant_databases=members(tenancy.databases, databases),
        database_pattern=tenancy.databases.pattern,
        tenant=tenancy.databases.tenant_of(database),
        relations=tuple(relation.model_dump() for relation in tenancy.relations),
        audit_tables=tuple(tenancy.audit_tables),
        own_role=server.role,
        application_name=tenancy.activity.pattern,
    )
    return known, schemas, databases
