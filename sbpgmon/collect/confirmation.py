"""Whether the plan of a statement reads several tenants' rows: asked of the planner, on the probe's login, as the role
that runs the statement. Nothing is executed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from sbpgmon.collect.explain import nodes, plan_of
from sbpgmon.collect.login import MARK, become, login_of
from sbpgmon.errors import SbpgmonError, TargetError
from sbpgmon.identifiers import quote
from sbpgmon.judge.ground import Ground
from sbpgmon.judge.texts import BrokenTextError, cut
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Probe

_TIMEOUT_SECONDS = 2.0
_PARAMETER = re.compile(r"\$(\d+)")
_CONDITIONS = ("Index Cond", "Recheck Cond", "Filter", "TID Cond", "One-Time Filter", "Hash Cond", "Merge Cond",
               "Join Filter", "Order By")  # fmt: skip


class Planner:
    """Plans of statements on one target. Use it in a `with` block; it connects when it is first asked."""

    def __init__(self, target: str, probe: Probe, connect_timeout_seconds: float) -> None:
        """`probe` has a dsn."""
        self._login = login_of(target, probe)
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session: Session | None = None
        self._is_away = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()

    def confirm(self, ground: Ground, userid: int, text: str) -> bool | None:
        """Whether a tenants' table is read without any condition on its key; None where no plan can be had.

        The text is one of pg_stat_statements: `$n` stands for what is not known. Raises nothing.
        """
        role = ground.roles.get(userid)
        if role is None or self._is_away or not _is_one_statement(text):
            return None
        try:
            if self._session is None or self._session.is_broken:
                self._session = Session(self._login, self._connect_timeout_seconds)
        except SbpgmonError:
            self._is_away = True
            return None
        keys = {(r.schema, r.name): r.key for r in ground.facts.relations.values() if r.key is not None and r.is_tenant}
        try:
            plan = _plan(self._session, role.name, ",".join(quote(name) for name in ground.facts.path(role.name)), text)
        except TargetError:
            return None
        return reads_across(plan, keys)


def reads_across(plan: Mapping[str, Any], keys: Mapping[tuple[str, str], str]) -> bool:
    """Whether a plan (EXPLAIN's, VERBOSE) scans a table of `keys`, (schema, table) -> key, and no condition in it, of
    the scan or of a join, compares that table's key with anything. Partitions count by the alias of their root."""
    found = list(nodes(plan))
    conditions = [str(node[name]) for node in found for name in _CONDITIONS if name in node]
    for node in found:
        place = node.get("Schema"), node.get("Relation Name")
        key = keys.get((str(place[0]), str(place[1])))
        if key is None:
            continue
        alias = re.escape(_bare(str(node.get("Alias", ""))))
        own = re.compile(rf'(?:\b|"){alias}"?\."?{re.escape(key)}"?(?:\)|::[\w ]+)*\s*(?:=|IS NOT DISTINCT FROM)|'
                         rf'=\s*(?:ANY\s*)?\(*"?{alias}"?\."?{re.escape(key)}\b')  # fmt: skip
        if not any(own.search(condition) for condition in conditions):
            return True
    return False


def _plan(session: Session, role: str, path: str, text: str) -> dict[str, Any]:
    """The generic plan of a text with parameters. Raises TargetError, for a text that cannot be planned as well."""
    options = ("VERBOSE", "COSTS off")
    if session.server_version_num >= 160000:
        with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
            _become(cursor, role, path)
            return plan_of(cursor, f"{MARK} {text}", options=["GENERIC_PLAN", *options])
    name = "sbpgmon_plan"
    numbers = [int(number) for number in _PARAMETER.findall(text)]
    values = f"({', '.join(['NULL'] * max(numbers))})" if numbers else ""
    try:
        with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
            _become(cursor, role, path)
            # Partitions are left out by the parameters' values, which are none.
            cursor.execute(b"SET LOCAL plan_cache_mode = force_generic_plan")
            cursor.execute(b"SET LOCAL enable_partition_pruning = off")
            cursor.execute(f"PREPARE {name} AS {MARK} {text}".encode())
            return plan_of(cursor, f"{MARK} EXECUTE {name}{values}", options=options)
    finally:
        # It outlives the transaction, also one that failed.
        with contextlib.suppress(TargetError), session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
            cursor.execute(f"DEALLOCATE {name}".encode())


def _is_one_statement(text: str) -> bool:
    """A second one would be executed, and could end the read-only transaction."""
    try:
        return len(cut(text).statements()) == 1
    except BrokenTextError:
        return False


def _become(cursor: Any, role: str, path: str) -> None:
    # Where a string ends must be where we think it does.
    cursor.execute(b"SET LOCAL standard_conforming_strings = on")
    become(cursor, role)
    cursor.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (path or "pg_catalog",))


def _bare(alias: str) -> str:
    return alias.removeprefix('"').removesuffix('"')
