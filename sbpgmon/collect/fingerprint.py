"""The fingerprint: one digest over all that keeps tenants apart, and, when it is another one, what it is made of."""

from __future__ import annotations

from sbpgmon.catalog.catalog import Catalog, render_check
from sbpgmon.checks import Check
from sbpgmon.collect.checks import failed
from sbpgmon.collect.tenancy import Known
from sbpgmon.errors import SbpgmonError
from sbpgmon.findings import CheckRun
from sbpgmon.model import Server
from sbpgmon.sources.session import Session

Elements = tuple[tuple[str, str, str], ...]  # kind, object, definition

_DIGEST = """
SELECT md5(coalesce(string_agg(
  concat_ws(E'\\x1f', f.kind, f.object, f.definition), E'\\x1e'
  ORDER BY f.kind COLLATE "C", f.object COLLATE "C", f.definition COLLATE "C"
), ''))
FROM ({query}) AS f
"""


def read_fingerprint(
    session: Session, server: Server, catalog: Catalog, check: Check, known: Known, before: str | None
) -> tuple[CheckRun, str | None, Elements]:
    """The check's run, the digest, and the elements where the digest is not the one of `before`.

    The digest is None where it could not be read: the run says why. Raises nothing.
    """
    try:
        query = render_check(check, catalog.parts, known.sql(), server)
        with session.transaction(check.timeout_seconds) as (cursor, _):
            row = cursor.execute(f"/* sbpgmon:{check.name} */ {_DIGEST.format(query=query)}".encode()).fetchone()
            assert row is not None
            if row[0] == before:
                return CheckRun(check.name), row[0], ()
            # The same snapshot of the catalog would need another isolation level: a digest that is a moment older
            # than its elements is only looked at once more.
            sql = f"SELECT /* sbpgmon:{check.name} */ f.kind, f.object, f.definition FROM ({query}) AS f"
            elements = tuple((kind, name, definition) for kind, name, definition in cursor.execute(sql.encode()))
    except SbpgmonError as error:
        return failed(check, error.what, error.way_out, known), None, ()
    return CheckRun(check.name), row[0], elements
