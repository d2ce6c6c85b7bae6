"""What the demo shows: 80 columns, with colours and a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

WIDTH = 80
_EVERY_SECONDS = 5.0  # how often a progress line is printed where there is no terminal


class Screen:
    """Prints to stdout; nothing but text goes in, so that no path or error is taken for markup."""

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace", line_buffering=True)
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._console.width = min(WIDTH, self._console.width) if self._console.is_terminal else WIDTH

    @property
    def width(self) -> int:
        return self._console.width

    def say(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def heading(self, text: str) -> None:
        self.say()
        self.say(text, "bold")

    def command(self, text: str) -> None:
        """The command that runs now; its own output follows."""
        self.say()
        self.say(f"$ {text}", "bold cyan")

    def literal(self, text: str) -> None:
        """Text to copy: never wrapped."""
        self._console.print(Text(f"    {text}"), soft_wrap=True)

    def failure(self, what: str, way_out: str = "") -> None:
        self.say()
        self.say(f"✗ {what}", "bold red")
        if way_out:
            self.say(f"  {way_out}")

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """One step: shows that it works, then the time it took and below it what was added to the list."""
        notes: list[str] = []
        started = time.monotonic()
        try:
            if self._console.is_terminal:
                with self._console.status(title):
                    yield notes
            else:
                yield notes
        except Exception:
            self.say(f"✗ {title}", "red")
            raise
        taken = f"{time.monotonic() - started:.1f} s"
        self._console.print(Text.assemble(("✓ ", "green"), title.ljust(self.width - 10), (f"{taken:>7}", "dim")))
        for note in notes:
            self.say(f"  {note}", "dim")

    @contextmanager
    def progress(self, seconds: float) -> Iterator[Live]:
        """A bar for `seconds` with a text beside it; without a terminal a line every 5 s."""
        if not self._console.is_terminal:
            yield Live(self, None, seconds)
            return
        bar = Progress(BarColumn(bar_width=10), TextColumn("{task.description}"), console=self._console, transient=True)
        with bar:
            yield Live(self, bar, seconds)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A plain table; the first column is left-aligned, the others are numbers."""
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), collapse_padding=True, header_style="dim")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=not number)
        for row in rows:
            table.add_row(*row)
        self._console.print(Padding(table, (0, 0, 0, 2), expand=False))


class Live:
    """The moving line of a progress."""

    def __init__(self, screen: Screen, bar: Progress | None, seconds: float) -> None:
        self._screen = screen
        self._bar = bar
        self._task = bar.add_task("", total=seconds) if bar is not None else None
        self._started = time.monotonic()
        self._next_line = _EVERY_SECONDS

    def update(self, text: str) -> None:
        """Shows `text`, and how much of the time has gone."""
        elapsed = time.monotonic() - self._started
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=elapsed, description=text)
        elif elapsed >= self._next_line:
            self._next_line = elapsed + _EVERY_SECONDS
            self._screen.say(f"  {elapsed:3.0f} s  {text}")
