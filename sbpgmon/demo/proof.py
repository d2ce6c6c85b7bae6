"""Everything about a database that somebody could leave traces in, as one text to compare byte for byte."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

import psycopg

from sbpgmon.demo.binaries import ClusterError, clean_environment

# What no dump holds, or only in part.
_QUESTIONS = {
    "settings of roles and databases": """
        select coalesce(r.rolname, ''), coalesce(d.datname, ''), unnest(s.setconfig)
        from pg_db_role_setting as s
        left join pg_roles as r on r.oid = s.setrole
        left join pg_database as d on d.oid = s.setdatabase""",
    "memberships": """
        select r.rolname, m.rolname from pg_auth_members as a
        join pg_roles as r on r.oid = a.roleid join pg_roles as m on m.oid = a.member""",
    "databases": "select datname, datacl::text from pg_database",
    "schemas": "select nspname, nspacl::text from pg_namespace where nspname !~ '^pg_(toast_)?temp'",
    "default privileges": """
        select defaclrole::regrole::text, defaclnamespace, defaclobjtype::text, defaclacl::text
        from pg_default_acl""",
    "extensions": "select extname, extversion, extnamespace::regnamespace::text from pg_extension",
    "publications": "select pubname, puballtables from pg_publication",
    "comments of roles": """
        select r.rolname, s.description from pg_shdescription as s
        join pg_roles as r on r.oid = s.objoid and s.classoid = 'pg_authid'::regclass""",
    "changed settings": "select name, setting from pg_settings where source not in ('client', 'session')",
}


def take_picture(superuser_dsn: str, bin_dir: Path) -> str:
    """The DSN's database as text: `pg_dump --schema-only`, roles, settings, privileges, extensions.

    Raises ClusterError when a program fails. About 1 s.
    """
    parts = [
        _dump(bin_dir / "pg_dump", "--schema-only", "--create", f"--dbname={superuser_dsn}"),
        _dump(bin_dir / "pg_dumpall", "--roles-only", f"--dbname={superuser_dsn}"),
    ]
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        for title, question in _QUESTIONS.items():
            rows = sorted(repr(row) for row in connection.execute(question.encode()))
            parts.append("\n".join([f"-- {title}", *rows, ""]))
    return "\n".join(parts)


def show_difference(before: str, after: str, *, lines: int = 20) -> str:
    """The first lines in which two pictures differ; empty when they are the same."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=0)
    return "\n".join(line for line, _ in zip(found, range(lines), strict=False))


def _dump(program: Path, *arguments: str) -> str:
    options = list(arguments)
    # Since 2025 a dump holds a random key, unless one is given; older programs do not know the option.
    if "--restrict-key" in _run(str(program), "--help"):
        options.append("--restrict-key=x")
    return _run(str(program), *options)


def _run(*command: str) -> str:
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, start_new_session=True)
    if done.returncode != 0:
        raise ClusterError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
    return done.stdout
