"""One tree of errors, each with an exit code and a way out.

Whatever a user can meet is a `SbpgmonError`: the command line prints `what` and `way_out` and ends with
`exit_code`. Anything else that escapes is a bug, and ends with 1.
"""

from __future__ import annotations

from typing import ClassVar


class SbpgmonError(Exception):
    """Something that the user can mend. `what` says what is wrong and where, `way_out` what to do next."""

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "an unexpected error: a bug"

    def __init__(self, what: str, way_out: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.what} {self.way_out}".strip()


class ConfigError(SbpgmonError):
    """The command line, a variable or the configuration file is wrong."""

    exit_code = 2
    meaning = "wrong usage, configuration or input file"


class QueryFileError(ConfigError):
    """An SQL file of the catalog breaks its contract; `what` begins with `file:line:`."""


class PanelError(ConfigError):
    """A panel's or a variable's query cannot be made ready: a macro, a variable or a value is not there."""


class IsolationFailedError(SbpgmonError):
    """`tenants check` found something that keeps tenants not apart, or `tenants judge` a statement."""

    exit_code = 3
    meaning = "tenants check: something fails; tenants judge: a statement is unscoped"


class IsolationUnknownError(SbpgmonError):
    """`tenants check` or `tenants judge` found nothing, and could not see all."""

    exit_code = 4
    meaning = "tenants check, judge: nothing fails, but something is unknown or unparsed"


class StaleError(SbpgmonError):
    """`grafana build --check` found files that are not what the panels make of them."""

    exit_code = 5
    meaning = "grafana build --check: a dashboard's file is not as its panels are"


class GrafanaError(SbpgmonError):
    """Grafana's API could not be reached, or refused."""

    exit_code = 40
    meaning = "grafana push: Grafana could not be reached, or refused"

    def __init__(self, what: str, way_out: str = "", status: int = 0) -> None:
        super().__init__(what, way_out)
        self.status = status  # of HTTP; 0 where there was no answer


class TargetError(SbpgmonError):
    """A target could not be read, in whole or in part; the other targets went on."""

    exit_code = 10
    meaning = "a target, or a metric on it, could not be read; the others were"
    sqlstate: str = ""  # what the server said, where it said anything


class RefusedError(TargetError):
    """The role on the target could write, so the agent will not use it."""

    exit_code = 11
    meaning = "refused: the role could write to the target"


class UnsupportedError(TargetError):
    """The target lacks something that every metric needs: its version, or the pg_monitor role."""

    exit_code = 12
    meaning = "a target lacks what the agent needs (server version, pg_monitor)"


class DoctorError(SbpgmonError):
    """`doctor` found a precondition that fails."""

    exit_code = 13
    meaning = "doctor: a precondition fails"


class OtherServerError(TargetError):
    """Another server answers as a target than its history is of: nothing is read from it until it is accepted."""

    exit_code = 14
    meaning = "another server answers as a target: not read until `sbpgmon targets accept`"

    def __init__(self, target: str, known: int, identifier: int) -> None:
        super().__init__(
            f"Target {target}: another server answers, system_identifier {identifier}; the history is of {known}.",
            f"Nothing is read from it. If it was rebuilt or upgraded: `sbpgmon targets accept {target}`; "
            "if it is the wrong one, mend the target's dsn.",
        )


class StoreError(SbpgmonError):
    """The store could not be reached, or failed."""

    exit_code = 20
    meaning = "the store could not be reached or written; readings wait in the spool"


class SchemaGoneError(StoreError):
    """The schema `monitoring` is not there, or a rollback has begun: the agent ends and does not come back."""

    exit_code = 21
    meaning = "the schema is not there, or is being removed; do not restart (RestartPreventExitStatus)"


class SchemaMismatchError(StoreError):
    """The schema `monitoring` is not one that this program may use."""

    exit_code = 22
    meaning = "the schema is somebody else's, or made by another version; do not restart"


class StoreRefusedError(StoreError):
    """`init` will not put the schema here: permissions, read-only, a publication that would carry it away."""

    exit_code = 23
    meaning = "the schema cannot or must not be created in this store"


class StoreReadOnlyError(StoreError):
    """The store takes no writes at present: a standby, a guard against a full disk. It may again, later."""

    exit_code = 23
    meaning = StoreRefusedError.meaning


class LeaseTakenError(SbpgmonError):
    """Another agent polls these targets."""

    exit_code = 30
    meaning = "another agent holds the lease: nothing was polled"


class RollbackRefusedError(SbpgmonError):
    """Objects outside the schema depend on it."""

    exit_code = 31
    meaning = "rollback: refused, objects outside the schema depend on it"


class RollbackFailedError(SbpgmonError):
    """The schema could not be dropped; it is still there, whole."""

    exit_code = 32
    meaning = "rollback: not done, the schema is whole"


def exit_codes() -> dict[int, str]:
    """Every exit code and its meaning, for `--help` and docs/cli.md."""

    def tree(kind: type[SbpgmonError]) -> list[type[SbpgmonError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]

    codes = {kind.exit_code: kind.meaning for kind in sorted(tree(SbpgmonError), key=_code)}
    return {0: "success"} | codes | {130: "interrupted (Ctrl-C)"}


def _code(kind: type[SbpgmonError]) -> int:
    return kind.exit_code
