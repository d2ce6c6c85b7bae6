"""`report`: dashboards as one HTML file, or one panel as a picture."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn

from sbpgmon.cli.history import Moment
from sbpgmon.cli.main import Context
from sbpgmon.cli.output import console
from sbpgmon.errors import ConfigError
from sbpgmon.panels import Dashboard
from sbpgmon.present.report.frames import Question, Report, choose, read
from sbpgmon.store.connection import StoreConnection

_SHORTEST = timedelta(seconds=1)  # of a range
_STDOUT = Path("-")


@click.command()
@click.option("--dashboard", default="all", show_default=True, metavar="NAME", help="One dashboard, or all.")
@click.option("--panel", metavar="NAME", help="One panel only; needed for a picture.")
@click.option("--since", type=Moment(), default="24h", show_default=True, help="From: 15m, 7d, or 2026-11-21T10:00.")
@click.option("--until", type=Moment(), default="now", show_default=True, help="To.")
@click.option("--target", "targets", multiple=True, metavar="NAME", help="This target; can be given several times.")
@click.option(
    "--var", "variables", multiple=True, metavar="NAME=VALUE", help="What a dashboard is of: queryid=…; several times."
)
@click.option("--format", "form", type=click.Choice(["html", "png"]), default="html", show_default=True)
@click.option("--width", type=click.IntRange(200, 4000), help="Of a picture, in pixels.  [default: by the panel]")
@click.option("--height", type=click.IntRange(150, 4000), help="Of a picture, in pixels.  [default: by the panel]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write; - for stdout.  [default: sbpgmon-report-TIME.html here]",
)
@click.pass_obj
def report(
    context: Context,
    dashboard: str,
    panel: str | None,
    since: datetime,
    until: datetime,
    targets: tuple[str, ...],
    variables: tuple[str, ...],
    form: str,
    width: int | None,
    height: int | None,
    output: Path | None,
) -> None:
    """Dashboards without Grafana: one HTML file with all that is needed to read it, or one panel as PNG.

    The panels of `queries/panels` over a stretch of history. The file asks for nothing from the network: attach it to
    a ticket, read it on a phone, print it. A picture of one panel (`--format png`) needs `pip install sbpgmon[png]`.
    """
    if since >= until:
        raise ConfigError(
            "--since is not before --until.", "Give --since an earlier moment; 15m or 7d count back from now."
        )
    if until - since < _SHORTEST:
        raise ConfigError("From --since to --until it is less than a second.", "Give --since an earlier moment.")
    if form == "png" and not panel:
        raise ConfigError(
            "A picture is of one panel.",
            "Name it: --dashboard NAME --panel NAME; without --format png all are one page.",
        )
    if form == "html" and (width or height):
        raise ConfigError("--width and --height are for pictures.", "Leave them out, or say --format png.")
    question = Question(since, until, tuple(dict.fromkeys(targets)), _values(variables))
    settings = context.load()
    catalog = context.catalog(settings)
    for problem in catalog.problems:
        if "panels" in problem.what:
            click.echo(f"left out: {problem.what}", err=True)
    chosen = choose(catalog.dashboards, dashboard, panel)
    if form == "png":
        chosen = chosen[:1]
        from sbpgmon.present.report import picture

        picture.require()
    file = _file(output, form, chosen[0].name, panel)
    store = context.store(settings)
    try:
        found = _read(store, chosen, question)
    finally:
        store.close()
    if form == "png":
        content = picture.picture_of(found, width, height)
    else:
        from sbpgmon.present.report.page import page_of

        content = page_of(found).encode()
    _write(file, content)
    said = _in_words(found, len(content))
    click.echo(f"Wrote {'to stdout' if file == _STDOUT else file} ({said})", err=file == _STDOUT)


def _values(variables: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`name=value` by name; raises ConfigError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in variables:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ConfigError(f"--var {text} is not NAME=VALUE.", "Write --var queryid=123.")
        if name == "target":
            raise ConfigError("--var target=… is another way to say --target.", f"Write --target {value}.")
        found[name] = (*found.get(name, ()), value)
    return found


def _file(output: Path | None, form: str, dashboard: str, panel: str | None) -> Path:
    """Where to write, found out before anything is read; raises ConfigError."""
    time = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    file = output or Path(f"sbpgmon-{dashboard}-{panel}-{time}.png" if form == "png" else f"sbpgmon-report-{time}.html")
    if file == _STDOUT:
        return file
    if file.is_dir():
        raise ConfigError(f"{file} is a folder.", "Name a file in it: -o FILE.")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"{file.parent} is no folder.", "Make it, or name another file: -o FILE.")
    return file


def _read(store: StoreConnection, dashboards: Sequence[Dashboard], question: Question) -> Report:
    shown = console(stderr=True)
    with Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total} {task.description}"),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    ) as progress:
        task = progress.add_task("", total=sum(len(each.panels) for each in dashboards))

        def tell(what: str) -> None:
            progress.update(task, description=what)
            progress.advance(task)

        return read(store, dashboards, question, tell)


def _write(file: Path, content: bytes) -> None:
    """All of it or nothing, except to stdout and to what is no plain file; raises ConfigError."""
    if file == _STDOUT:
        try:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ConfigError(f"stdout cannot be written: {error.strerror or error}.", "Give -o FILE.") from None
        return
    try:
        # Not the link, but what it leads to; and a device or a pipe is written to, never replaced by a file.
        real = file.resolve() if file.is_symlink() else file
        if file.exists() and not file.is_file():
            file.write_bytes(content)
        else:
            _replace(real, content)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{file} cannot be written: {reason}.", "Name another file: -o FILE.") from None


def _replace(file: Path, content: bytes) -> None:
    """Puts a new file in the place of the old one."""
    handle, name = tempfile.mkstemp(prefix=".sbpgmon-report.", dir=file.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _in_words(found: Report, size: int) -> str:
    """`1.2 MB, 7 dashboards, 62 panels, 3 without data`."""
    frames = found.frames
    empty = sum(1 for frame in frames if not frame.error and frame.is_empty)
    failed = sum(1 for frame in frames if frame.error)
    parts = [f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"]
    parts += [_count(len(found.dashboards), "dashboard"), _count(len(frames), "panel")]
    if empty:
        parts.append(f"{empty} without data")
    if failed:
        parts.append(f"{failed} could not be read")
    return ", ".join(parts)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
