"""The judge on texts as pg_stat_statements has them: what of a judgement is kept. This loads the parser."""

from __future__ import annotations

import re

from sbpgmon.judge.ground import Ground, Judged
from sbpgmon.judge.statement import judge

# Whether it is for the transaction went with the constants.
_SCOPE_UNKNOWN = re.compile(r"(\bset_config\s*\((?:[^()']|'[^']*'|\([^()]*\))*,)\s*\$\d+(?:::\w+)?\s*\)", re.IGNORECASE)


def judge_text(text: str, ground: Ground, user: str | None) -> Judged:
    """The judgement on a text alone, whoever row level security binds; `user`: whose search_path holds.

    `set_config($1, $2, $3)` may be for the transaction: the benefit of the doubt, or each application that sets its
    context so would be told that it is wrong.
    """
    found = judge(text, ground.facts, user=user, ignore_rls=True)
    sets = found.sets_session_context
    if sets and (known := _SCOPE_UNKNOWN.sub(r"\1 true)", text)) != text:
        sets = judge(known, ground.facts, user=user, ignore_rls=True).sets_session_context
    return Judged(
        found.verdict.value,
        found.table,
        found.reason,
        found.tables,
        found.tenants,
        sets,
        found.tags,
        found.is_beyond_rls,
    )
