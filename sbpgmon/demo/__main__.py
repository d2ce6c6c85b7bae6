"""`python -m sbpgmon.demo`: sbpgmon's main job, for real, on a PostgreSQL of its own. About a minute."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sbpgmon.demo.interruptions import Interruptions
from sbpgmon.demo.screen import Screen
from sbpgmon.demo.story import Story
from sbpgmon.demo.workspace import DemoError, Workspace, default_folder
from sbpgmon.errors import SbpgmonError

_DESCRIPTION = """\
Starts a PostgreSQL of its own, loads a small multi-tenant sportsbook, runs traffic against it, runs the real
agent on it, shows what it found and what it cost, rolls it back, and proves that nothing is left. Needs
nothing but Python; leaves nothing but, with --keep, all of it running."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; returns the exit code: 0, 1 when a step failed, 128 + n after signal n."""
    options = _parse(arguments)
    screen = Screen()
    workspace = Workspace(options.folder)
    with Interruptions() as interruptions:
        try:
            if options.stop:
                return _stop(workspace, screen)
            _run(workspace, screen, interruptions, seconds=options.seconds, keep=options.keep)
        except KeyboardInterrupt:
            screen.say()
            screen.say("Interrupted: all is stopped and removed.")
            return 128 + (interruptions.received or 2)
        except SbpgmonError as error:
            screen.failure(error.what, error.way_out)
            return 1
        finally:
            workspace.release()
    return 0


def _run(workspace: Workspace, screen: Screen, interruptions: Interruptions, *, seconds: int, keep: bool) -> None:
    started = time.monotonic()
    workspace.open()
    if workspace.is_kept:
        raise DemoError(
            f"A demo was left running in {workspace.folder}.",
            f"Stop it: python -m sbpgmon.demo --stop --folder {workspace.folder}",
        )
    is_left_running = False
    try:
        workspace.clear()  # what a killed run has left
        story = Story(workspace, screen, interruptions, seconds=seconds)
        try:
            story.tell(keep=keep)
            is_left_running = keep
        finally:
            if not is_left_running:
                with interruptions.hold():
                    story.end()
    finally:
        if not is_left_running:
            with interruptions.hold():
                workspace.remove()
    if not is_left_running:
        screen.say(f"✓ Done in {time.monotonic() - started:.0f} s; the server and its folder are removed.", "green")


def _stop(workspace: Workspace, screen: Screen) -> int:
    if not workspace.is_there:
        screen.say(f"Nothing runs in {workspace.folder}.")
        return 0
    workspace.open()
    workspace.remove()
    screen.say("Stopped: the traffic, the agent and the server are gone, and so is their folder.")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sbpgmon.demo", description=_DESCRIPTION)
    parser.add_argument("--seconds", type=_seconds, default=30, metavar="N", help="run traffic for N seconds (30)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--keep", action="store_true", help="leave server, traffic and agent running, and say how to connect"
    )
    what.add_argument("--stop", action="store_true", help="stop and remove what --keep left running")
    parser.add_argument(
        "--folder",
        type=Path,
        default=default_folder(),
        metavar="PATH",
        help="work folder (.demo in the checkout)",
    )
    return parser.parse_args(arguments)


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError("a whole number from 1 to 3600")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
