"""What the agent's role may read of the rows that checks of data look at, and the grants that it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sbpgmon.sources.session import Session

_TIMEOUT_SECONDS = 5.0
# A policy of the reader's own that lets all rows through is as good as no policy.
_ACCESS = """
select /* sbpgmon:reach */
  c.oid::bigint,
  quote_ident(n.nspname) || '.' || quote_ident(c.relname),
  quote_ident(n.nspname),
  quote_ident(current_user),
  has_schema_privilege(n.oid, 'USAGE'),
  array(select quote_ident(w.name) from jsonb_array_elements_text(x.columns) as w (name)),
  array(
    select quote_ident(w.name)
    from jsonb_array_elements_text(x.columns) as w (name)
    where not exists (
      select from pg_attribute as a
      where a.attrelid = c.oid and a.attname = w.name and has_column_privilege(c.oid, a.attnum, 'SELECT')
    )
  ),
  c.relrowsecurity,
  row_security_active(c.oid) and not (
    exists (
      select from pg_policy as p
      where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('*', 'r')
        and pg_get_expr(p.polqual, p.polrelid) = 'true'
        and exists (select from unnest(p.polroles) as r (oid) where r.oid = 0 or pg_has_role(r.oid, 'USAGE'))
    )
    and not exists (
      select from pg_policy as p
      where p.polrelid = c.oid and not p.polpermissive and p.polcmd in ('*', 'r')
        and exists (select from unnest(p.polroles) as r (oid) where r.oid = 0 or pg_has_role(r.oid, 'USAGE'))
    )
  )
from jsonb_to_recordset(%s::jsonb) as x (relation oid, columns jsonb)
join pg_class as c on c.oid = x.relation
join pg_namespace as n on n.oid = c.relnamespace
order by 2
"""


@dataclass(frozen=True, slots=True)
class Access:
    """What the role may read of one table. Names are quoted as SQL has them."""

    object: str
    schema: str
    reader: str
    has_usage: bool
    columns: tuple[str, ...]  # that are needed
    missing: tuple[str, ...]  # of these, what it may not read
    has_row_security: bool
    is_filtered: bool  # row level security hides rows from it

    @property
    def problem(self) -> str:
        """Why not all rows can be seen; empty when they can."""
        if not self.has_usage:
            return f"{self.reader} may not use the schema {self.schema}"
        if self.missing:
            return f"{self.reader} may not read {', '.join(self.missing)} of {self.object}"
        return f"row level security hides rows of {self.object} from {self.reader}" if self.is_filtered else ""

    def grants(self, *, is_all: bool = False) -> list[str]:
        """The statements for what is missing; `is_all`: for what is there already, too.

        BYPASSRLS, and no policy for the reader: it locks no table, is in no dump of the database and goes with the
        role. What the role may read with it are the granted columns.
        """
        statements = []
        if is_all or not self.has_usage:
            statements.append(f"GRANT USAGE ON SCHEMA {self.schema} TO {self.reader};")
        if columns := self.columns if is_all else self.missing:
            statements.append(f"GRANT SELECT ({', '.join(columns)}) ON {self.object} TO {self.reader};")
        if self.is_filtered or (is_all and self.has_row_security):
            statements.append(f"ALTER ROLE {self.reader} BYPASSRLS;")
        return statements


def read_access(session: Session, needs: Mapping[int, Iterable[str]]) -> dict[int, Access]:
    """Table -> what the session's role may read of its columns; tables that are gone have none. Raises TargetError."""
    wanted = json.dumps([{"relation": oid, "columns": sorted(columns)} for oid, columns in sorted(needs.items())])
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        rows = cursor.execute(_ACCESS, (wanted,)).fetchall()
    return {
        oid: Access(
            name, schema, reader, has_usage, tuple(sorted(columns)), tuple(sorted(missing)), has_security, is_filtered
        )
        for oid, name, schema, reader, has_usage, columns, missing, has_security, is_filtered in rows
    }
