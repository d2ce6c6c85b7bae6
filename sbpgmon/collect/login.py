"""The probe's login, which becomes the application's role for a transaction."""

from __future__ import annotations

from typing import Any

from sbpgmon.checks import PROBE_TAG
from sbpgmon.config import Target
from sbpgmon.identifiers import quote
from sbpgmon.tenancy import Probe

MARK = f"/* {PROBE_TAG} */"  # stands in its statements: they are not the application's


def login_of(target: str, probe: Probe) -> Target:
    """How to connect as the probe of a target; `probe` has a dsn."""
    assert probe.dsn is not None
    return Target(name=f"{target[:57]}.probe", dsn=probe.dsn)


def become(cursor: Any, role: str) -> None:
    """Until the transaction ends."""
    cursor.execute(f"SET LOCAL ROLE {quote(role)}".encode())
