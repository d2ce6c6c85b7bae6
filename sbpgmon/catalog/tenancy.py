"""What a target is asked about its tenants before it is checked: queries/tenancy/NAME.sql, below the shipped parts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sbpgmon.catalog.checks import TENANCY, below_parts, load_part, load_parts
from sbpgmon.checks import Part
from sbpgmon.errors import QueryFileError
from sbpgmon.resources import resource_dir


@cache
def shipped_parts() -> dict[str, Part]:
    """The parts of queries/checks/parts/. Raises QueryFileError for a broken one."""
    problems: list[QueryFileError] = []
    parts = load_parts(resource_dir("queries") / "checks", problems)
    if problems:
        raise problems[0]
    return {part.name: part for part in parts}


@cache
def question(name: str) -> Part:
    """The query of queries/tenancy/NAME.sql. Raises QueryFileError for a broken one."""
    return load_part(resource_dir("queries") / "tenancy" / f"{name}.sql")


def render_question(name: str, tenancy: str, parts: Mapping[str, Part] | None = None) -> str:
    """Its SQL below the parts that it uses, the shipped ones unless others are given; `tenancy`: the SELECT that
    stands for the part of that name."""
    asked = question(name)
    return f"/* sbpgmon:{name} */ {below_parts(asked, asked.sql, parts or shipped_parts(), {TENANCY: tenancy})}"
