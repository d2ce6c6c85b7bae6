"""Runs the migrations on a connection that `sbpgmon.store.upgrade` passes in; offline mode prints the DDL."""

from alembic import context

from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.statement_tables import metadata

_FIXED = {table.name for table in metadata.tables.values()}


def include_name(name: str | None, type_: str, parent_names: object) -> bool:  # noqa: ARG001
    """The fixed tables of our schema alone: metric tables follow the catalog, partitions the calendar."""
    if type_ == "schema":
        return name == SCHEMA
    return name in _FIXED if type_ == "table" else True


options = {
    "target_metadata": metadata,
    "version_table_schema": SCHEMA,
    "include_schemas": True,
    "include_name": include_name,
    "compare_server_default": True,
}

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, **options)
    context.run_migrations()
else:
    context.configure(connection=context.config.attributes["connection"], **options)
    context.run_migrations()
