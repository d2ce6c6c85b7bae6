"""Settings: `sbpgmon.toml`, `SBPGMON_*` variables and the command line, as typed values.

Precedence: command line, then environment (`SBPGMON_STORE__DSN` is `[store] dsn`), then the file.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from sbpgmon.durations import Seconds
from sbpgmon.durations import parse_seconds as parse_seconds
from sbpgmon.environment import Ages, Environment, Section, problems_of
from sbpgmon.errors import ConfigError
from sbpgmon.tenancy import Tenancy

DEFAULT_CONFIG = Path("sbpgmon.toml")
_ELSEWHERE = {"SBPGMON_STORE", "SBPGMON_STORE__DSN", "SBPGMON_TARGETS"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Store(Section):
    """Where the schema `monitoring` lives."""

    dsn: str | None = Field(
        default=None, description="How to connect to the store. Without it the store is the only target."
    )
    readers: list[str] = Field(
        default=["grafana_reader"], description="Roles that may read the views, where they exist."
    )


class Target(Section):
    """A database that is monitored."""

    name: str = Field(description="Its name in the history: letters, digits, `.`, `_` and `-`, at most 63.")
    dsn: str = Field(description="How to connect to it, as a role with pg_monitor and without write privileges.")
    tenancy: Tenancy | None = Field(default=None, description="How it keeps tenants apart, in place of `[tenancy]`.")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a target's name is letters, digits, '.', '_' and '-', at most 63 of them")
        return value


class MetricSettings(Section):
    """What a site changes of one metric."""

    enabled: bool = Field(default=True, description="Whether it is read at all.")
    interval: Seconds | None = Field(default=None, description="How often, in place of the file's `interval:`.")
    timeout: Seconds | None = Field(default=None, description="Limit of its query, in place of the file's `timeout:`.")
    retention: Ages = Field(default={}, description="How long its tiers are kept, in place of the environment's.")


class CheckSettings(Section):
    """What a site changes of one check of tenant isolation."""

    enabled: bool = Field(default=True, description="Whether it is looked at at all.")
    interval: Seconds | None = Field(default=None, description="How often, in place of the file's `interval:`.")
    timeout: Seconds | None = Field(default=None, description="Limit of its query, in place of the file's `timeout:`.")


class Agent(Section):
    """How the agent works."""

    connect_timeout: Seconds = Field(default=5.0, description="Limit of connecting, to a target and to the store.")
    deadline: Seconds = Field(default=60.0, description="Limit of one poll of one target, whatever hangs.")
    lease: Seconds = Field(
        default=60.0, description="After how long another agent may take over the targets of one that died."
    )
    max_snapshot_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Largest reading of one metric; a larger one is an error."
    )
    spool_bytes: int = Field(
        default=512 * 1024 * 1024,
        ge=1024 * 1024,
        description="Room for polls that wait for the store; beyond it the oldest are dropped.",
    )
    texts_every: Seconds = Field(default=300.0, description="How often the texts of new statements are fetched.")
    max_share_ratio: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="The agent's share of all statements' time on a target, or of one core's where that is more; "
        "beyond it the dearest metrics are read less often until it is over. 1 switches that off.",
    )


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        env_prefix="SBPGMON_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    store: Store = Store()
    targets: list[Target] = []
    metrics: dict[str, MetricSettings] = {}
    checks: dict[str, CheckSettings] = {}
    environment: Environment = Environment()
    tenancy: Tenancy = Tenancy()
    agent: Agent = Agent()
    queries_dir: Path | None = Field(
        default=None,
        description="Your own SQL files, laid out like `queries/`. A relative path begins at the file's folder.",
    )
    state_dir: Path | None = Field(
        default=None,
        description="Where readings wait for the store: by default systemd's `$STATE_DIRECTORY`, else "
        "`sbpgmon` in the user's state folder. A relative path begins at the file's folder.",
    )
    texts: Literal["normalized", "off"] = Field(
        default="normalized",
        description="Statement texts: as pg_stat_statements has them, without the literals of utility statements; "
        "or none.",
    )
    allow_superuser: bool = Field(default=False, description="Poll with a role that could write. Not for production.")
    _source: str = PrivateAttr(default="the configuration")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What load() passes comes from the file, which the environment outranks; it merges sections deeply.
        return env_settings, init_settings

    @property
    def source(self) -> str:
        """Where it comes from, for messages: the file, or the environment."""
        return self._source

    @property
    def tick_seconds(self) -> float:
        """How often the daemon looks for what is due."""
        return self.environment.tick_seconds

    @property
    def retention(self) -> dict[str, float | None]:
        """How long each tier is kept, finest first, in seconds; None: forever."""
        return self.environment.ages

    def retention_of(self, metric_name: str) -> dict[str, float | None]:
        """The same for one metric."""
        chosen = self.metrics.get(metric_name)
        return self.retention if chosen is None else {**self.retention, **chosen.retention}

    def tenancy_of(self, target: str) -> Tenancy:
        """How a target keeps tenants apart: its own word, else `[tenancy]`."""
        own = next((t.tenancy for t in self.targets if t.name == target), None)
        return self.tenancy if own is None else own

    @property
    def store_dsn(self) -> str:
        """The store's DSN: `[store] dsn`, else the only target's."""
        if self.store.dsn is not None:
            return self.store.dsn
        if len(self.targets) == 1:
            return self.targets[0].dsn
        raise ConfigError(
            f"{len(self.targets)} targets but no store is configured.",
            'Say where the schema `monitoring` lives: [store] dsn = "host=… dbname=…".',
        )


def load(
    config: Path | None = None,
    *,
    dsn: str | None = None,
    queries_dir: Path | None = None,
    state_dir: Path | None = None,
    allow_superuser: bool | None = None,
) -> Settings:
    """Settings from the file (`config`, else ./sbpgmon.toml if there), the environment and the arguments.

    Raises ConfigError, which names the file and the key; never shows a value, which may hold a password.
    """
    values = _read(config)
    where = str(config or (DEFAULT_CONFIG if values else "the environment"))
    if dsn is not None:
        if values.get("targets") or values.get("store"):
            raise ConfigError(
                f"--dsn was given, but {where} has targets or a store.",
                "Use one of the two: --dsn for one database, or the file.",
            )
        if named := sorted({name.upper() for name in os.environ} & _ELSEWHERE):
            raise ConfigError(
                f"--dsn was given, but {', '.join(named)} is set.",
                "Use one of the two: --dsn for one database, or the variables.",
            )
        values |= {"store": {"dsn": dsn}, "targets": [{"name": "default", "dsn": dsn}]}
    base = (config or DEFAULT_CONFIG).parent
    if isinstance(values.get("queries_dir"), str):
        values["queries_dir"] = base / values["queries_dir"]
    if isinstance(values.get("state_dir"), str):
        values["state_dir"] = base / values["state_dir"]
    # Command-line options outrank the environment, so they are laid over the result.
    over: dict[str, Any] = {}
    if queries_dir is not None:
        over["queries_dir"] = queries_dir
    if state_dir is not None:
        over["state_dir"] = state_dir
    if allow_superuser:
        over["allow_superuser"] = True
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error)}.", "See `sbpgmon --help` and README.md.") from None
    except SettingsError as error:
        # Names the field, never its value.
        raise ConfigError(f"The environment: {error}.", "Lists and sections there are JSON; see docs/cli.md.") from None
    settings = settings.model_copy(update=over)
    settings._source = where
    if problems := list(problems_of(settings.retention)):
        profile = settings.environment.profile
        raise ConfigError(
            f"{where}: environment.retention: {'; '.join(problems)} (the rest is the profile {profile}).",
            "Mend it: a coarser tier is kept at least as long as a finer one. docs/cli.md has the profiles.",
        )
    names = [target.name for target in settings.targets]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: two targets are named {name!r}.", "Give each target a name of its own.")
    if settings.queries_dir is not None and not settings.queries_dir.is_dir():
        raise ConfigError(f"queries_dir {settings.queries_dir} is not a folder.", "Create it, or mend the path.")
    return settings


def require_targets(settings: Settings) -> Settings:
    """The same settings; raises ConfigError when they name no target."""
    if not settings.targets:
        raise ConfigError(
            "No target is configured.",
            "Give --dsn (or SBPGMON_DSN) for one database, or write sbpgmon.toml with [[targets]] and --config.",
        )
    return settings


def _read(config: Path | None) -> dict[str, Any]:
    path = config or DEFAULT_CONFIG
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}
        raise ConfigError(f"{path}: no such file.", "Check --config (or SBPGMON_CONFIG).") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.", "Check the path and its permissions.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path}: not valid TOML: {error}.", "Mend that line; https://toml.io has the rules."
        ) from None


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        parts.append(f"{key}: {'unknown key' if item['type'] == 'extra_forbidden' else item['msg']}")
    return "; ".join(parts)
