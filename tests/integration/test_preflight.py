"""What `init` refuses, and which grants it takes back, on a real server."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from sbpgmon.errors import SchemaMismatchError, StoreRefusedError
from sbpgmon.store.preflight import own_schema, publications, refuse_unsuitable, revoke_default_privileges
from tests.conftest import Database

pytestmark = pytest.mark.matrix

OURS = """
    CREATE SCHEMA monitoring;
    COMMENT ON SCHEMA monitoring IS 'sbpgmon: history of PostgreSQL';
    CREATE TABLE monitoring.alembic_version (version_num text);
"""


def test_an_empty_database_suits_its_owner_and_whoever_may_create(
    database: Database, make_role: Callable[..., str]
) -> None:
    role = make_role("owner")
    with database.connect() as admin:
        refuse_unsuitable(admin)
        assert own_schema(admin) is None
        admin.execute(f"GRANT CREATE ON DATABASE {database.name} TO {role}".encode())
    with database.connect(role) as connection:
        refuse_unsuitable(connection)
        connection.execute(OURS)
        assert own_schema(connection) is not None
        refuse_unsuitable(connection)
    with database.connect() as admin:
        # An upgrade needs no CREATE on the database.
        admin.execute(f"REVOKE CREATE ON DATABASE {database.name} FROM {role}".encode())
    with database.connect(role) as connection:
        refuse_unsuitable(connection)


def test_a_role_without_create_is_refused(database: Database, make_role: Callable[..., str]) -> None:
    role = make_role("Weird Name")
    with database.connect(role) as connection, pytest.raises(StoreRefusedError) as refused:
        refuse_unsuitable(connection)
    assert f'GRANT CREATE ON DATABASE {database.name} TO "{role}"' in refused.value.way_out


def test_a_schema_of_ours_that_another_role_owns_is_refused(database: Database, make_role: Callable[..., str]) -> None:
    role = make_role()
    with database.connect() as admin:
        admin.execute(OURS)
        admin.execute(f"GRANT CREATE ON DATABASE {database.name} TO {role}".encode())
    with database.connect(role) as connection, pytest.raises(StoreRefusedError, match="belongs to"):
        refuse_unsuitable(connection)


@pytest.mark.parametrize(
    "made",
    [
        "CREATE SCHEMA monitoring",
        "CREATE SCHEMA monitoring; COMMENT ON SCHEMA monitoring IS 'sbpgmon'",
        "CREATE SCHEMA monitoring; CREATE TABLE monitoring.alembic_version (version_num text)",
        OURS + "COMMENT ON SCHEMA monitoring IS 'our own, was sbpgmon'",
    ],
)
def test_a_schema_that_somebody_else_made_is_refused(database: Database, made: str) -> None:
    with database.connect() as connection:
        connection.execute(made.encode())
        with pytest.raises(SchemaMismatchError, match="not made by sbpgmon"):
            refuse_unsuitable(connection)


def test_a_read_only_store_is_refused(database: Database, make_role: Callable[..., str]) -> None:
    role = make_role(options="LOGIN SUPERUSER")
    with database.connect() as admin:
        admin.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on".encode())
    with database.connect(role) as connection, pytest.raises(StoreRefusedError, match="read-only") as refused:
        refuse_unsuitable(connection)
    assert f"ALTER ROLE {role} SET default_transaction_read_only = off" in refused.value.way_out


def test_publications_that_would_carry_our_tables_away(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE public.bets (id int); CREATE PUBLICATION named FOR TABLE public.bets")
        assert publications(connection) == []
        refuse_unsuitable(connection)
        connection.execute('CREATE PUBLICATION "All of it" FOR ALL TABLES')
        expected = ["All of it (FOR ALL TABLES)"]
        if connection.info.server_version >= 150000:
            connection.execute(OURS)
            connection.execute("CREATE PUBLICATION neighbour FOR TABLES IN SCHEMA public")
            connection.execute("CREATE PUBLICATION ours FOR TABLES IN SCHEMA monitoring")
            expected.append("ours (FOR TABLES IN SCHEMA)")
        assert publications(connection) == expected
        with pytest.raises(StoreRefusedError) as refused:
            refuse_unsuitable(connection)
        assert all(carrier in refused.value.what for carrier in expected)
        assert "[store] dsn" in refused.value.way_out


def _grants(connection: psycopg.Connection[tuple[object, ...]]) -> set[tuple[object, ...]]:
    """(object, grantee, privilege) of all that is granted to others than the owner."""
    query = """
        WITH ours AS (SELECT oid, nspacl, nspowner FROM pg_namespace WHERE nspname = 'monitoring'),
        object(name, acl, owner) AS (
            SELECT 'schema', nspacl, nspowner FROM ours
            UNION ALL SELECT relname, relacl, relowner FROM pg_class JOIN ours ON relnamespace = ours.oid
            UNION ALL SELECT proname, proacl, proowner FROM pg_proc JOIN ours ON pronamespace = ours.oid
            UNION ALL SELECT typname, typacl, typowner FROM pg_type JOIN ours ON typnamespace = ours.oid)
        SELECT name, grantee::regrole::text, privilege_type
        FROM object, aclexplode(acl) WHERE grantee <> owner
    """
    return set(connection.execute(query.encode()).fetchall())


def test_default_privileges_are_taken_back_and_readers_keep_to_reading(
    database: Database, make_role: Callable[..., str]
) -> None:
    owner, stranger, reader = make_role("owner"), make_role("Stranger"), make_role("reader")
    both = f'"{stranger}", {reader}'
    with database.connect() as admin:
        admin.execute(f"GRANT CREATE ON DATABASE {database.name} TO {owner}".encode())
    with database.connect(owner) as connection:
        for objects in ("SCHEMAS", "TABLES", "SEQUENCES", "FUNCTIONS", "TYPES"):
            connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {objects} TO {both}".encode())
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
        connection.execute(OURS)
        connection.execute("""
            CREATE TABLE monitoring.facts (ts timestamptz, n serial) PARTITION BY RANGE (ts);
            CREATE TABLE monitoring."Odd ""part" PARTITION OF monitoring.facts DEFAULT;
            CREATE VIEW monitoring.seen AS SELECT * FROM monitoring.facts;
            CREATE TYPE monitoring.tier AS ENUM ('raw');
            CREATE FUNCTION monitoring.f(monitoring.tier, text DEFAULT 'x') RETURNS int
                LANGUAGE sql AS 'SELECT 1';
            CREATE PROCEDURE monitoring.p() LANGUAGE sql AS 'SELECT 1';
        """)
        assert ("facts", stranger, "TRUNCATE") in {
            (name, str(grantee).strip('"'), privilege) for name, grantee, privilege in _grants(connection)
        }
        revokes = revoke_default_privileges(connection, keep=[reader, "no_such_role"])
        assert revokes
        left = _grants(connection)
        assert {grantee for _, grantee, _ in left} <= {reader, "-"}
        # PUBLIC keeps what the server gives it by itself: EXECUTE on functions and USAGE on types.
        assert {(name, privilege) for name, grantee, privilege in left if grantee == "-"} == {
            ("f", "EXECUTE"),
            ("p", "EXECUTE"),
            ("tier", "USAGE"),
        }
        assert {privilege for _, grantee, privilege in left if grantee == reader} == {
            "USAGE",
            "SELECT",
            "EXECUTE",
        }
        assert ("schema", reader, "USAGE") in left
        assert revoke_default_privileges(connection, keep=[reader]) == []
        # What is made later in other schemas is as the user wanted it.
        assert connection.execute("SELECT count(*) FROM pg_default_acl").fetchone() == (5,)
        assert revoke_default_privileges(connection) != []
        assert {grantee for _, grantee, _ in _grants(connection)} == {"-"}
        connection.execute(f"DROP OWNED BY {owner}".encode())


def test_revoking_without_a_schema_does_nothing(database: Database) -> None:
    with database.connect() as connection:
        assert revoke_default_privileges(connection) == []
