"""Whom row level security holds to one tenant: policies are judged as the condition of a statement would be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sbpgmon.identifiers import quote
from sbpgmon.judge.facts import Relation, TenantFacts

_COMMANDS = "rwd"  # of pg_policy: what rows can be read, changed or deleted
_WHO = re.compile(r"\b(?:CURRENT_USER|SESSION_USER|CURRENT_ROLE)\b")
_CALL = re.compile(r'((?:"[^"]*"|\w+)\.(?:"[^"]*"|\w+))\(\)')
_SETTING = re.compile(r"\bcurrent_setting\('[^']*\.[^']*'::text(?:, (?:true|false))?\)")
_VALUE = "'one'"
_BOUND = ("scoped", "derived")
_Row = Mapping[str, Any]
_Signature = tuple[Any, ...]


class Bounds:
    """Of the roles of one target. Tables with the same policies are judged once."""

    def __init__(self, facts: TenantFacts, roles: Sequence[_Row], functions: Iterable[str]) -> None:
        self.facts = facts
        self.functions = frozenset(functions)
        # Who can be bound at all, with the roles whose privileges each has.
        self.roles = {row["name"]: frozenset(row["has"]) for row in roles if not row["is_exempt"]}
        self._by_table: dict[_Signature, frozenset[str]] = {}
        self._by_text: dict[tuple[str | None, str], bool] = {}

    def of_table(self, table: Relation, row: _Row) -> frozenset[str]:
        """The roles that see, change and delete rows of one tenant alone; who may do nothing is one."""
        if not table.is_tenant or table.tenant is not None:
            return frozenset()
        # Without USING a policy lets no rows through to be read, changed or deleted.
        policies = [policy for policy in row.get("policies", ()) if "using" in policy]
        texts = tuple((p["command"], p["is_permissive"], tuple(p.get("roles") or ()), self._text(p)) for p in policies)
        owner = None if row["is_forced"] else row["owner"]
        # What a subquery says depends on the table as well.
        own = (table.schema, table.name) if any("select" in text.lower() for *_, text in texts) else table.key
        signature = (owner, own, texts)
        if signature not in self._by_table:
            bound: dict[frozenset[int], bool] = {}
            self._by_table[signature] = frozenset(
                name
                for name, has in self.roles.items()
                if owner not in has and self._is_bound(table, texts, has, bound)
            )
        return self._by_table[signature]

    def of_view(self, read: Iterable[Relation], row: _Row) -> frozenset[str]:
        """The roles for which it shows rows of one tenant alone: what it reads is asked for by its owner, or, with
        security_invoker, by who reads it."""
        protected = [relation.rls for relation in read if self.facts.is_watched(relation)]
        bound = frozenset(self.roles).intersection(*protected)
        if row["is_invoker"]:
            return bound
        return frozenset(self.roles) if row["owner"] in bound else frozenset()

    def _is_bound(
        self,
        table: Relation,
        texts: Sequence[tuple[str, bool, tuple[str, ...], str]],
        has: frozenset[str],
        bound: dict[frozenset[int], bool],
    ) -> bool:
        mine = frozenset(place for place, (_, _, roles, _) in enumerate(texts) if not roles or has.intersection(roles))
        if mine not in bound:
            chosen = [texts[place] for place in sorted(mine)]
            bound[mine] = all(
                self._holds(
                    table,
                    [(is_permissive, text) for command, is_permissive, _, text in chosen if command in ("*", each)],
                )
                for each in _COMMANDS
            )
        return bound[mine]

    def _holds(self, table: Relation, policies: Sequence[tuple[bool, str]]) -> bool:
        """Whether what these let through together is one tenant's: any permissive one, and all restrictive ones."""
        permissive = [f"({text})" for is_permissive, text in policies if is_permissive]
        if not permissive:
            return True
        restrictive = [f"({text})" for is_permissive, text in policies if not is_permissive]
        condition = " AND ".join([f"({' OR '.join(permissive)})", *restrictive])
        place = f"{table.schema}.{table.name}" if "select" in condition.lower() else table.key
        if (place, condition) not in self._by_text:
            text = f"SELECT 1 FROM {quote(table.schema)}.{quote(table.name)} WHERE {condition}"
            self._by_text[place, condition] = _is_bound(text, self.facts)
        return self._by_text[place, condition]

    def is_bound_view(self, row: _Row) -> bool:
        """Whether a view shows rows of one tenant alone by its own conditions, whoever reads it: a tenant that the
        context tells, not one that is written there."""
        text = self._with_values(row["definition"].rstrip().rstrip(";"))
        return text is not None and _is_bound(text, self.facts)

    def _text(self, policy: _Row) -> str:
        """The policy's USING. One for all roles that does not look at the context holds nobody to one tenant."""
        text = self._with_values(policy["using"])
        return "true" if text is None and not policy.get("roles") else text or policy["using"]

    def _with_values(self, text: str) -> str | None:
        """The text with a value in place of who asks, of settings that are no server's own, and of functions that give
        one; None: none of these is in it."""
        found = _CALL.sub(lambda call: _VALUE if call[1] in self.functions else call[0], text)
        found = _SETTING.sub(_VALUE, _WHO.sub(_VALUE, found))
        return found if found != text else None


def _is_bound(text: str, facts: TenantFacts) -> bool:
    from sbpgmon.judge.statement import judge  # with its parser, for which the start of a poll must not pay

    return judge(text, facts, ignore_rls=True).verdict in _BOUND
