"""One target, connected, for commands that look at it alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sbpgmon.cli.main import Context
from sbpgmon.config import Settings, Target
from sbpgmon.errors import ConfigError
from sbpgmon.model import Server
from sbpgmon.sources.probe import probe, refuse_unsafe
from sbpgmon.sources.session import Session


@dataclass(frozen=True, slots=True)
class Connected:
    """A target that answers, and that the agent's role may read."""

    settings: Settings
    session: Session
    server: Server

    @property
    def name(self) -> str:
        return self.session.target.name


@contextlib.contextmanager
def connected(context: Context, name: str | None) -> Iterator[Connected]:
    """The target of that name; without one, the only one that there is. Raises ConfigError, TargetError."""
    settings = context.load_with_targets()
    target = _chosen(settings, name)
    with Session(target, settings.agent.connect_timeout) as session:
        server = probe(session)
        refuse_unsafe(target.name, server, allow_superuser=settings.allow_superuser)
        yield Connected(settings, session, server)


def _chosen(settings: Settings, name: str | None) -> Target:
    names = [target.name for target in settings.targets]
    if name is None and len(names) > 1:
        raise ConfigError("There is more than one target.", f"Name one with --target: {', '.join(names)}.")
    chosen = next((target for target in settings.targets if name in (None, target.name)), None)
    if chosen is None:
        raise ConfigError(f"There is no target {name}.", "`sbpgmon targets list` lists them.")
    return chosen
