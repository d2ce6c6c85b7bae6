"""What the programs among the benchmarks share: their arguments, their end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from benchmarks.accounting import CannotMeasureError
from sbpgmon.errors import SbpgmonError

_CANNOT: tuple[type[Exception], ...] = (SbpgmonError, CannotMeasureError, RuntimeError)


def parse(parser: argparse.ArgumentParser, quick: Mapping[str, Any]) -> argparse.Namespace:
    """The arguments; with --quick the defaults are those of `quick`."""
    arguments = parser.parse_args()
    if arguments.quick:
        parser.set_defaults(**quick)
        arguments = parser.parse_args()
    return arguments


def run(measure: Callable[[], None], failures: tuple[type[Exception], ...] = ()) -> int:
    """Measures; returns the exit code: 1 when it could not, 130 after Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    # Whoever has the agent configured here means another one.
    for name in [name for name in os.environ if name.startswith(("SBPGMON_", "PG"))]:
        del os.environ[name]
    try:
        measure()
    except _CANNOT + failures as error:
        print(f"The benchmark cannot run: {str(error).strip()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
