"""A user's own checks and parts: what is wrong with a file is said, and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbpgmon.catalog.catalog import Catalog, load_catalog, render_check
from sbpgmon.checks import BUILT_IN
from sbpgmon.errors import QueryFileError
from tests.unit.catalog_files import server

SHIPPED = load_catalog()
CHECK = (
    "-- Things.\n--\n-- model: all\n-- severity: P2\n{more}"
    "select 'x' as object, 'A thing.' as detail, 'Mend it.' as remedy{rest}\n"
)


def _load(folder: Path, **files: str) -> Catalog:
    """The catalog with these files; `part_NAME` is a part."""
    for name, text in files.items():
        file = folder / "checks" / f"{name}.sql"
        if name.startswith("part_"):
            file = folder / "checks" / "parts" / f"{name.removeprefix('part_')}.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return load_catalog(folder)


def _check(more: str = "", rest: str = "") -> str:
    return CHECK.format(more=f"-- {more}\n" if more else "", rest=rest)


def _part(uses: str = "") -> str:
    return "-- Some.\n" + (f"--\n-- uses: {uses}\n" if uses else "") + "select 1 as n\n"


def test_a_check_and_a_part_of_its_own(tmp_path: Path) -> None:
    found = _load(tmp_path, mine=_check("uses: mine", " from mine"), part_mine=_part("tenancy"))
    assert found.problems == ()
    assert "mine AS (" in render_check(found.checks["mine"], found.parts, "select 1", server())


def test_a_part_that_lacks_another_takes_its_users_along(tmp_path: Path) -> None:
    found = _load(
        tmp_path,
        mine=_check("uses: a_first"),
        other=_check(),
        part_a_first=_part("b_second"),
        part_b_second=_part("c_third"),
        part_c_third=_part("nothing_there"),
    )
    assert found.checks.keys() - SHIPPED.checks.keys() == {"other"}
    assert found.parts.keys() == SHIPPED.parts.keys()
    said = "\n".join(problem.what for problem in found.problems)
    assert all(f"{name} uses " in said for name in ("mine", "a_first", "b_second", "c_third"))


def test_parts_that_use_each_other(tmp_path: Path) -> None:
    found = _load(tmp_path, mine=_check("uses: one"), part_one=_part("two"), part_two=_part("one"))
    assert "mine" not in found.checks
    assert not {"one", "two"}.intersection(found.parts)
    assert any("one uses two uses one" in problem.what for problem in found.problems)


@pytest.mark.parametrize("name", [*BUILT_IN, "probe"])
def test_what_the_agent_itself_calls_a_check(tmp_path: Path, name: str) -> None:
    (problem,) = _load(tmp_path, **{name: _check()}).problems
    assert "Rename the file" in problem.way_out


@pytest.mark.parametrize("name", ["rls_disabled", "part_policy"])
def test_a_shipped_name_is_taken(tmp_path: Path, name: str) -> None:
    found = _load(tmp_path, **{name: _part() if name.startswith("part_") else _check()})
    assert len(found.problems) == 1
    assert "there is already a " in found.problems[0].what
    assert (found.checks, found.parts) == (SHIPPED.checks, SHIPPED.parts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_check("kind: fingerprint"), "mine.sql:5: a target has one fingerprint"),
        (_check("kind: other"), "mine.sql:5: "),
        (_check("modell: rls"), "mine.sql:5: "),
        (_check(rest=" from @extschema:citext@.things"), "mine.sql:5: @extschema:citext@ needs `requires: extension"),
        (_check().replace("P2", "P4"), "mine.sql:4: `severity: P4`"),
        (_check().replace("model: all", "model: rows"), "mine.sql:3: 'rows' is not a model"),
        (_check(rest="; select 1"), "mine.sql:5: the file holds more than one statement"),
        ("select 1 as object\n", "mine.sql:1: "),
        ("", "mine.sql:1: "),
    ],
)
def test_a_broken_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    found = _load(tmp_path, mine=text, other=_check())
    (problem,) = found.problems
    assert said in problem.what
    assert found.checks.keys() - SHIPPED.checks.keys() == {"other"}


def test_a_part_that_asks_for_an_extension_that_is_not_there(tmp_path: Path) -> None:
    found = _load(tmp_path, mine=_check("uses: one"), part_one="-- Some.\nselect 1 from @extschema:citext@.things\n")
    with pytest.raises(QueryFileError, match="citext is not in database app"):
        render_check(found.checks["mine"], found.parts, "select 1", server())
