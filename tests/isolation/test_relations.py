"""Relations that are declared where there is no foreign key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.isolation.world import World


def declared(child: str, parent: str = "app.bets", column: str = "bet") -> dict[str, Any]:
    return {"relations": [{"child": child, "columns": [column], "parent": parent}]}


# The agent's role may use no schema of the application's.
@pytest.mark.parametrize("child", ["app.legs", 'app."Legs"', "app.Legs"])
def test_they_are_found_by_name(pool: World, child: str) -> None:
    pool.run('CREATE TABLE app.legs (bet bigint); CREATE TABLE app."Legs" (bet bigint)')
    assert not pool.findings("tenancy_declaration", declared(child))


@pytest.mark.parametrize(
    "wrong", [declared("app.nowhere"), declared("app.legs", "app.nothing"), declared("app.legs", column="beast")]
)
def test_what_is_not_there_is_unknown(pool: World, wrong: dict[str, Any]) -> None:
    pool.run("CREATE TABLE app.legs (bet bigint)")
    found = pool.findings("tenancy_declaration", wrong)
    assert [finding.part for finding in found] == [f"relations {wrong['relations'][0]['parent']}"]
