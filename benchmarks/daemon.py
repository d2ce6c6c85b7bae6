"""The daemon as a process of its own: `sbpgmon ARGUMENTS`, which at its end says on stdout what it had loaded."""

from __future__ import annotations

import atexit
import json
import runpy
import sys

# Heavy libraries that a poll has no use for.
UNWANTED = ("pandas", "numpy", "alembic", "sqlalchemy")


def _say_what_is_loaded() -> None:
    sys.stdout.write(json.dumps({"loaded": [name for name in UNWANTED if name in sys.modules]}) + "\n")


if __name__ == "__main__":
    atexit.register(_say_what_is_loaded)
    sys.argv[0] = "sbpgmon"
    runpy.run_module("sbpgmon", run_name="__main__", alter_sys=True)
