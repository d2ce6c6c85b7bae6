"""The [tenancy] that was found on a target, as TOML to read, to mend and to paste."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sbpgmon.collect.detection import Detection, Key
from sbpgmon.errors import TargetError
from sbpgmon.findings import LIMIT_UNCONFIRMED, CheckRun, Finding, IsolationReading, Outcome
from sbpgmon.tenancy import Tenancy

_LISTED = 12  # names in one remark


def is_found(found: Detection) -> bool:
    """Whether there is anything to propose."""
    return bool(found.known.models)


def toml(found: Detection, target: str) -> str:
    """The section, with remarks that say what each line rests on. Its own reader accepts it."""
    lines = [
        f"# Proposed by `sbpgmon tenants detect` from the catalogs of the target {target}.",
        "# Read it, mend it, and only then say confirmed = true: until then no finding is above P2.",
        "[tenancy]",
        "confirmed = false",
        f"model = {_value(found.known.models)}",
        *_pool(found),
        *_schemas(found),
        *_databases(found),
    ]
    text = "\n".join(lines) + "\n"
    Tenancy.model_validate(tomllib.loads(text)["tenancy"])
    return text


def _pool(found: Detection) -> Iterable[str]:
    known = found.known
    if known.key_columns:
        pool = [name for name in found.keys[0].pool_schemas if name not in known.shared_schemas]
        yield f"pool_schemas = {_value(pool)}  # schemas in which tenants share tables"
        yield ""
        yield "[tenancy.key]"
        yield from (f"# {key.name}: {_evidence(key)}." for key in found.keys)
        yield f"columns = {_value(known.key_columns)}"
        if known.tenants_table:
            first = found.keys[0]
            why = f"{_many(first.references, 'foreign key')} refer to it" if first.references else "by its name alone"
            yield f"tenants_table = {_value(known.tenants_table)}  # {why}"
            yield f"tenants_pk = {_value(known.tenants_pk)}"
        else:
            yield '# tenants_table = "app.tenants"  # none was found: no foreign key of the key leads to one'
    yield from _shared(found)
    if known.key_columns:
        yield from _context(found)
        yield from _roles(found)


def _evidence(key: Key) -> str:
    policies = f"policies of {_many(key.policy_tables, 'table')} read it" if key.policy_tables else "no policy reads it"
    longer = f"it is part of longer keys of {key.in_keys}" if key.in_keys else "it is part of no longer key"
    nullable = key.tables - key.not_null_tables
    null = f"; it may be NULL in {nullable}" if nullable else ""
    return f"{key.tables} of {_many(key.all_tables, 'table')} have it; {policies}; {longer}{null}"


def _shared(found: Detection) -> Iterable[str]:
    known = found.known
    lonely = [f"{row.schema}.{row.name}" for row in found.shared if not row.is_whole and not row.references]
    if not (known.shared_schemas or known.shared_tables or lonely):
        return
    yield ""
    yield "# What all tenants may read. A table that is here by mistake is never looked at: read these lines twice."
    yield "[tenancy.shared]"
    if known.shared_schemas:
        yield f"schemas = {_value(known.shared_schemas)}  # no table there is a tenant's, as far as keys tell"
    if known.shared_tables:
        yield "# Without the key and not a tenant's by a foreign key, but tenants' rows point at them:"
        yield f"tables = {_value(known.shared_tables)}"
    if lonely:
        yield "# Without the key, and no foreign key tells whose their rows are; add those that all tenants may read:"
        yield from (f"#   {name}" for name in _cut(lonely))


def _context(found: Detection) -> Iterable[str]:
    known = found.known
    others = [setting for setting in found.settings if setting != known.setting]
    yield ""
    yield "[tenancy.context]"
    if known.setting:
        yield f"setting = {_value(known.setting)}  # the policies read it"
        if others:
            yield f"# They read as well: {', '.join(_cut(others))}."
        yield 'scope = "transaction"  # SET LOCAL; "session" where the application sets it with SET'
    else:
        yield '# setting = "app.tenant_id"  # none was found: no policy reads a setting'


def _roles(found: Detection) -> Iterable[str]:
    known = found.known
    reasons = {role.name: role.reason for role in found.roles}
    yield ""
    yield "[tenancy.roles]"
    for kind, names in (("app", known.app_roles), ("admin", known.admin_roles)):
        yield from (f"# {name}: {reasons[name]}." for name in _cut(names) if name in reasons)
        if names:
            yield f"{kind} = {_value(names)}"
        else:
            yield f"{kind} = []  # none was found: no login but a superuser's may {_LACKS[kind]}"


_LACKS = {"app": "read tenants' tables", "admin": "see all tenants"}


def _schemas(found: Detection) -> Iterable[str]:
    known = found.known
    if "schema" not in known.models or not known.schema_pattern:
        return
    whole = sum(row.core_tables == row.all_core_tables for row in found.schemas)
    yield ""
    yield "[tenancy.schemas]"
    if found.schemas:
        core = _many(found.schemas[0].all_core_tables, "table")
        yield f"# {len(found.schemas)} schemas are alike: {whole} of them have all of the {core} that most have."
    yield f"pattern = {_value(known.schema_pattern)}  # takes {_many(len(known.tenant_schemas), 'schema')}"
    role = next((member for member in known.tenant_schemas if member.role), None)
    if role is not None and found.role_template:
        has_role = {name for row in found.schemas for name in row.roles}
        alone = sum(member.role in has_role for member in known.tenant_schemas)
        yield f"# {_many(alone, 'role')} of that name may use one of these schemas, and no other."
        yield f"role = {_value(found.role_template)}"
    else:
        yield '# role = "t_{tenant}_app"  # none was found: no role for each of them has a name with the tenant in it'


def _databases(found: Detection) -> Iterable[str]:
    if found.database_pattern and not found.known.database_pattern:
        yield ""
        yield '# Databases of this server have names alike. If each is a tenant\'s, add "database" to the model, and:'
        yield "# [tenancy.databases]"
        yield f"# pattern = {_value(found.database_pattern)}"


def _value(value: str | Sequence[str]) -> str:
    """As TOML writes it; a backslash is written as it is where the text has no quote."""
    if not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    if "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _many(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _cut(names: Sequence[str]) -> list[str]:
    return [*names[:_LISTED], *([f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else [])]


def nothing_found(target: str) -> str:
    """What was looked for in vain, and what to do."""
    return (
        f"Target {target}: no tenancy was found.\n"
        "Looked for: policies that read a setting; a column such as tenant_id or org_id that many tables share;\n"
        "three or more schemas with the same tables. If it has tenants, declare them: [tenancy] in docs/cli.md."
    )


def without_tenancy(reading: IsolationReading) -> IsolationReading:
    """The reading of a target of which nobody knows how its tenants are kept apart: it is not clean, but unknown."""
    finding = Finding(
        check="tenancy_declaration",
        outcome=Outcome.UNKNOWN,
        severity=LIMIT_UNCONFIRMED,
        object="",
        role="",
        detail="No tenancy is declared, and none was found: nothing was looked at.",
        remedy="Declare [tenancy]: `sbpgmon tenants detect` says what was looked for, docs/cli.md what there is.",
        part="model",
    )
    return replace(reading, runs=(CheckRun(finding.check, (finding,)),))


def without_target(target: str, error: TargetError) -> IsolationReading:
    """The reading of a target that could not be read: whether its tenants are kept apart is not known."""
    finding = Finding(
        check="tenancy_declaration",
        outcome=Outcome.UNKNOWN,
        severity=LIMIT_UNCONFIRMED,
        object="",
        role="",
        detail=f"Nothing was looked at. {error.what}",
        remedy=error.way_out,
        part="target",
    )
    return IsolationReading(target, datetime.now(UTC), (CheckRun(finding.check, (finding,)),))
