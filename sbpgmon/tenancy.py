"""`[tenancy]`: how tenants are kept apart, as the user declares it."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, field_validator

from sbpgmon.durations import Seconds
from sbpgmon.environment import Section

MODELS = ("rls", "column", "schema", "database")


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groupindex
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    if "tenant" not in groups:
        raise ValueError(f"{value!r} has no group (?P<tenant>…), which says what the tenant is called")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class Key(Section):
    """The column that says whose a row is."""

    columns: list[str] = Field(default=[], description="Its names; a table's key is the first that it has.")
    tenants_table: str | None = Field(default=None, description="The table of the tenants, as `schema.table`.")
    tenants_pk: str = Field(default="id", description="The column of that table which the key holds.")


class Shared(Section):
    """What all tenants may read: no tenant's own."""

    schemas: list[str] = Field(default=[], description="Schemas of which every table is shared.")
    tables: list[str] = Field(default=[], description="Tables, as `schema.table`.")


class ContextSetting(Section):
    """The setting that tells the policies who asks."""

    setting: str | None = Field(default=None, description="Its name, for example `app.tenant_id`.")
    scope: Literal["transaction", "session"] = Field(
        default="transaction", description="How the application sets it: with SET LOCAL, or for the session."
    )


class Roles(Section):
    """Who reads tenants' data."""

    app: list[str] = Field(default=[], description="Roles that the application connects as, or becomes.")
    admin: list[str] = Field(default=[], description="Roles that may see all tenants: operators, migrations.")


class Named(Section):
    """Tenants by the names of their schemas, or of their databases."""

    pattern: Pattern | None = Field(
        default=None, description="Regular expression of the names, with a group `(?P<tenant>…)`."
    )
    role: str | None = Field(
        default=None, description="Name of a tenant's role, with `{tenant}` in it, for example `t_{tenant}_app`."
    )

    def tenant_of(self, name: str) -> str | None:
        """The tenant that a schema or database of this name belongs to; None: it is no tenant's."""
        match = re.search(self.pattern, name) if self.pattern else None
        return match["tenant"] if match else None

    def role_of(self, tenant: str) -> str | None:
        return self.role.replace("{tenant}", tenant) if self.role else None


class Relation(Section):
    """Rows that point at others, where no foreign key says so."""

    child: str = Field(description="The table that points, as `schema.table`.")
    columns: list[str] = Field(min_length=1, description="Its columns.")
    parent: str = Field(description="The table that is pointed at.")
    parent_columns: list[str] = Field(default=["id"], min_length=1, description="The columns that they hold.")


class Allow(Section):
    """A finding that is accepted, for a reason and until a day."""

    check: str = Field(description="The check.")
    object: str | None = Field(default=None, description="Its object, as the finding has it; without it, any.")
    role: str | None = Field(default=None, description="Its role; without it, any.")
    queryid: int | None = Field(default=None, description="Of a statement.")
    tag: str | None = Field(default=None, description="Words in a comment of the statement.")
    reason: str = Field(min_length=1, description="Why.")
    expires: date = Field(
        validation_alias=AliasChoices("expires", "until", "expiry"),
        description="The last day on which it holds; afterwards it is a finding itself.",
    )


class Data(Section):
    """Looking at the rows themselves, which needs SELECT on some columns: `sbpgmon grants --tenancy`."""

    enabled: bool = Field(default=False, description="Whether rows are looked at.")
    window_blocks: int = Field(default=2048, ge=16, description="Pages of a big table that are read at a time.")
    timeout: Seconds = Field(default=5.0, description="Limit of one window's query.")
    max_cost: float = Field(default=100_000.0, gt=0, description="Largest cost of one window, by EXPLAIN.")


class Probe(Section):
    """Trying what a tenant could see: on a login of its own that may become the application's role."""

    dsn: str | None = Field(default=None, description="How to connect as that login; without it nothing is tried.")
    role: str | None = Field(
        default=None, description="The role that it becomes.  By default the first of `roles.app`."
    )
    interval: Seconds = Field(default=900.0, ge=1, description="How often it tries.")
    tenants: int = Field(default=3, ge=2, description="Tenants that are looked at in one round.")
    max_cost: float = Field(default=10_000.0, gt=0, description="Largest cost of one query, by EXPLAIN.")


def _tag(value: str) -> str:
    pattern = re.compile(_pattern(value))
    if pattern.groups > 1:
        raise ValueError(f"{value!r} has more groups than (?P<tenant>…): write the others as (?:…)")
    return value


class Activity(Section):
    """What each tenant does, where schemas and roles of their own do not tell."""

    application_name: Annotated[str, AfterValidator(_tag)] | None = Field(
        default=None,
        description="Regular expression of sessions' `application_name`, with the group `(?P<tenant>…)` and no other. "
        "PostgreSQL itself looks for it.",
    )
    sql: str | None = Field(
        default=None,
        description="A SELECT of `tenant` and of any of `rows` and `bytes` that it has now, `reads` and `writes` that "
        "only grow, `sessions` and `active_sessions`.",
    )

    @property
    def pattern(self) -> str | None:
        """`application_name` as PostgreSQL writes it: its one group is the tenant."""
        return None if self.application_name is None else self.application_name.replace("(?P<tenant>", "(")


class Event(Section):
    """What happens in the application's own tables, counted: failed logins, rejections, the audit's volume."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Its name, for example `failed_logins`.")
    sql: str = Field(
        description="A SELECT of `tenant` and `count`, and `attempts` where there is a share to tell, over rows in "
        "`(:from, :to]` of an indexed column."
    )
    interval: Seconds = Field(default=60.0, ge=1, description="How often it is counted.")
    lag: Seconds = Field(default=10.0, description="How far behind now a window ends: rows become visible late.")
    timeout: Seconds = Field(default=5.0, description="Limit of its query.")
    max_cost: float = Field(default=50_000.0, gt=0, description="Largest cost of its query, by EXPLAIN.")

    @field_validator("sql")
    @classmethod
    def _windowed(cls, value: str) -> str:
        if missing := [name for name in (":from", ":to") if not re.search(rf"(?<!:){name}\b", value)]:
            raise ValueError(f"the SQL has no {' and no '.join(missing)}: it is asked for one window after another")
        return value.strip().rstrip(";").rstrip()


class Tenancy(Section):
    """How tenants are kept apart. `sbpgmon tenants detect` proposes it."""

    confirmed: bool = Field(
        default=False, description="Whether somebody has read this; until then no finding is above P2."
    )
    model: list[Literal["auto", "rls", "column", "schema", "database"]] = Field(
        default=["auto"], description="`rls`, `column`, `schema`, `database`, several, or `auto`."
    )
    key: Key = Key()
    pool_schemas: list[str] = Field(
        default=[], description="Schemas that tenants share tables in. By default all that are nobody else's."
    )
    shared: Shared = Shared()
    context: ContextSetting = ContextSetting()
    roles: Roles = Roles()
    schemas: Named = Named()
    databases: Named = Named()
    relations: list[Relation] = Field(default=[])
    allow: list[Allow] = Field(default=[])
    events: list[Event] = Field(default=[])
    audit_tables: list[str] = Field(
        default=[], description="Tables that only grow: an update or delete of their rows is suspicious."
    )
    activity: Activity = Activity()
    data: Data = Data()
    probe: Probe = Probe()

    @field_validator("events")
    @classmethod
    def _distinct(cls, value: list[Event]) -> list[Event]:
        names = [event.name for event in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two events are called {', '.join(twice)}")
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @property
    def is_declared(self) -> bool:
        """Whether anything is said at all."""
        return self != Tenancy()
