"""On clean databases every check is silent."""

from __future__ import annotations

import pytest

from tests.isolation.world import CATALOG, World

# Not of the database: the server at hand may be older than a repair (test_rls_outside.py).
OF_THE_SERVER = {"server_rls_cve"}


def test_every_file_is_taken() -> None:
    assert not CATALOG.problems
    assert CATALOG.checks


@pytest.mark.parametrize("models", [["rls"], ["column"], ["rls", "column"]])
def test_shared_tables_are_clean(pool: World, models: list[str]) -> None:
    runs = pool.check(changes={"model": models})
    assert runs
    assert not [finding for run in runs.values() for finding in run.findings if finding.check not in OF_THE_SERVER]


@pytest.mark.parametrize("models", [["rls"], ["rls", "column"], ["auto"]])
def test_shared_tables_of_another_style_are_clean(payroll: World, models: list[str]) -> None:
    runs = payroll.check(changes={"model": models})
    assert runs
    assert not [finding for run in runs.values() for finding in run.findings if finding.check not in OF_THE_SERVER]


@pytest.mark.parametrize(
    ("table", "sql"),
    [
        ("employees", "SELECT * FROM pay.employees WHERE tenant_code = 'beta'"),
        ("slips", "SELECT * FROM pay.slips WHERE tenant_code = 'beta'"),
        ("ledger", "SELECT * FROM pay.ledger WHERE tenant_code = 'beta'"),
    ],
)
def test_no_row_of_another_tenant_is_read_there(payroll: World, table: str, sql: str) -> None:
    """It is clean indeed, and not empty."""
    assert not payroll.read_as("{app}", "SET pay.tenant = 'acme'; " + sql)
    assert payroll.read_as("{app}", f"SET pay.tenant = 'beta'; SELECT * FROM pay.{table}")


def test_schemas_are_clean(schemas: World) -> None:
    runs = schemas.check()
    assert runs
    assert not [finding for run in runs.values() for finding in run.findings]


def test_databases_are_clean(databases: World) -> None:
    runs = databases.check()
    assert runs
    assert not [finding for run in runs.values() for finding in run.findings]
