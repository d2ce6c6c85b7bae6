"""The state folder: readings that wait for the store, the last good reading of each metric, what ran last.

    spool/NNN-TARGET.poll     a poll that the store has not taken yet; replayed in the order of the names
    last/TARGET/METRIC.poll   the last good reading, named inside by its snapshot: rebuilds M_last after a crash
    identity                  the agent's name in the store's leases
    state/TARGET.json         slot of each metric, and what was described: for cron and for outages

Every file is written beside and renamed, so that a kill leaves the old one or the new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

from sbpgmon.config import Settings
from sbpgmon.errors import ConfigError, LeaseTakenError, StoreError
from sbpgmon.findings import CheckRun, Finding, IsolationReading, Outcome
from sbpgmon.logs import LOGGER
from sbpgmon.model import Reading, Server, StatementText, Status, TargetPoll, Window
from sbpgmon.sources.session import parse_dsn

_FORMAT = 1
_UNFINISHED = ".new"


def state_folder(settings: Settings) -> Path:
    """The state folder: the configured one, else systemd's, else one for each store in the user's state folder.

    What waits for one store must not end in another: `--dsn` names them all alike. Raises ConfigError.
    """
    if settings.state_dir is not None:
        return settings.state_dir
    if systemd := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(systemd)
    parts = parse_dsn(settings.store_dsn, "the store")
    place = "\n".join(str(parts.get(key, "")) for key in ("service", "host", "hostaddr", "port", "dbname", "user"))
    return platformdirs.user_state_path("sbpgmon") / hashlib.sha256(place.encode()).hexdigest()[:12]


class Spool:
    """The state folder of one agent."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Makes the folder; raises ConfigError when it cannot be written."""
        self.folder = folder
        self._max_bytes = max_bytes
        try:
            for name in ("spool", "last", "state"):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"The state folder {folder} cannot be written: {error.strerror}.",
                "Set state_dir in the configuration to a folder of the agent's own.",
            ) from None

    def identity(self) -> str:
        """A name that no other folder has, kept in it: an agent that was killed finds its own lease again."""
        path = self.folder / "identity"
        with contextlib.suppress(OSError):
            if name := path.read_text().strip():
                return name
        name = uuid.uuid4().hex[:12]
        with self._unharmed():
            _write(path, name.encode())
        return name

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One agent uses the folder at a time; raises LeaseTakenError when another does."""
        path = self.folder / "lock"
        try:
            file = path.open("w")
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}.",
                "It may belong to another user, who ran sbpgmon here: chown the folder, or set state_dir.",
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LeaseTakenError(
                    f"Another agent works with the state folder {self.folder}.",
                    "Wait for it to end; two agents on one machine need two folders (state_dir).",
                ) from None
            # What a kill left half written.
            with contextlib.suppress(OSError):
                for file_left in self.folder.rglob(f"*{_UNFINISHED}"):
                    file_left.unlink()
            yield

    # Polls that wait

    def waiting(self) -> list[Path]:
        """Polls that the store has not taken, oldest first."""
        return sorted((self.folder / "spool").glob("*.poll"))

    def put(self, poll: TargetPoll) -> list[str]:
        """Keeps a poll for later. Returns what had to be dropped for want of room, oldest first. Raises StoreError.

        Counters lose nothing by it but resolution: the next difference spans the gap.
        """
        try:
            _write(self.folder / "spool" / f"{time.time_ns():020d}-{poll.target}.poll", dump(poll))
        except OSError as error:
            raise StoreError(
                f"Neither the store nor the state folder {self.folder} takes the readings of {poll.target}: "
                f"{error.strerror}. They are lost.",
                "Make room for one of the two.",
            ) from None
        dropped = []
        files = self.waiting()
        size = sum(file.stat().st_size for file in files)
        for file in files[:-1]:
            if size <= self._max_bytes:
                break
            size -= file.stat().st_size
            file.unlink()
            dropped.append(file.name)
        return dropped

    # The last good reading

    def keep_last(self, target: str, reading: Reading, snapshot_id: int) -> None:
        """Keeps a reading as the one that M_last holds; called once the store has committed it."""
        folder = self.folder / "last" / target
        with self._unharmed():
            folder.mkdir(mode=0o700, exist_ok=True)
            _write(folder / f"{reading.metric}.poll", dump(TargetPoll(target, None, (reading,)), snapshot_id))

    def last(self, target: str, metric: str, snapshot_id: int) -> Reading | None:
        """The reading of that very snapshot, or None when the folder holds another one or none."""
        path = self.folder / "last" / target / f"{metric}.poll"
        try:
            poll, held = load(path.read_bytes())
        except (OSError, ValueError):
            return None
        return poll.readings[0] if held == snapshot_id else None

    # What ran last

    def slots(self, target: str) -> dict[str, int]:
        """Metric -> slot of its last snapshot; empty when nothing is known."""
        try:
            value = json.loads((self.folder / "state" / f"{target}.json").read_text())
            slots = value["slots"]
            return {str(metric): int(slot) for metric, slot in slots.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def keep_slots(self, target: str, slots: dict[str, int]) -> None:
        """Keeps them for the next start; that they cannot be kept stops nothing."""
        with self._unharmed():
            _write(self.folder / "state" / f"{target}.json", json.dumps({"slots": slots}).encode())

    @contextlib.contextmanager
    def _unharmed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            LOGGER.warning("the state folder %s cannot be written: %s", self.folder, error.strerror)


def dump(poll: TargetPoll, snapshot_id: int | None = None) -> bytes:
    """A poll as bytes: one line of JSON, then the readings' bytes one after another."""
    head = dataclasses.asdict(poll)
    for reading, value in zip(poll.readings, head["readings"], strict=True):
        value["data"] = len(reading.data)
    head |= {"format": _FORMAT, "snapshot_id": snapshot_id}
    return json.dumps(head, default=_plain).encode() + b"\n" + b"".join(r.data for r in poll.readings)


def load(data: bytes) -> tuple[TargetPoll, int | None]:
    """The poll and the snapshot's number out of `dump()`; raises ValueError for anything else."""
    line, _, rest = data.partition(b"\n")
    try:
        head = json.loads(line)
        if head["format"] != _FORMAT:
            raise ValueError(f"format {head['format']}")
        readings = []
        for value in head["readings"]:
            size = value["data"]
            if not 0 <= size <= len(rest):
                raise ValueError("cut short")
            value |= {
                "data": rest[:size],
                "status": Status(value["status"]),
                "target_time": _time(value["target_time"]),
                "agent_time": _time(value["agent_time"]),
                "columns": tuple((name, type_) for name, type_ in value["columns"]),
                "lacks": tuple(value["lacks"]),
                "windows": tuple(_window(window) for window in value.get("windows", ())),
            }
            rest = rest[size:]
            readings.append(Reading(**value))
        server = head["server"]
        if server is not None:
            server |= {
                "postmaster_start_time": _time(server["postmaster_start_time"]),
                "checkpointer_start_time": _time(server["checkpointer_start_time"]),
                "roles": frozenset(server["roles"]),
                "extensions": {k: (s, tuple(v)) for k, (s, v) in server["extensions"].items()},
                "writable": tuple(server["writable"]),
            }
        poll = TargetPoll(
            target=head["target"],
            server=Server(**server) if server else None,
            readings=tuple(readings),
            texts=tuple(StatementText(**text) for text in head["texts"]),
            texts_read=head["texts_read"],
            error=head["error"],
            isolation=_isolation(head.get("isolation")),
        )
        snapshot_id = head["snapshot_id"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a spooled poll: {error!r}") from None
    return poll, snapshot_id


def _window(value: dict[str, Any]) -> Window:
    times = {name: _time(value[name]) for name in ("since", "until", "after")}
    return Window(value["name"], **times)  # type: ignore[arg-type]


def _isolation(value: dict[str, Any] | None) -> IsolationReading | None:
    if value is None:
        return None
    runs = []
    for run in value["runs"]:
        found = (Finding(**{**finding, "outcome": Outcome(finding["outcome"])}) for finding in run["findings"])
        runs.append(CheckRun(**{**run, "findings": tuple(found)}))
    return IsolationReading(
        **{
            **value,
            "time": datetime.fromisoformat(value["time"]),
            "runs": tuple(runs),
            "known_checks": None if value["known_checks"] is None else tuple(value["known_checks"]),
            "elements": tuple((kind, name, definition) for kind, name, definition in value["elements"]),
        }
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value)} in a poll")


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _write(path: Path, data: bytes) -> None:
    beside = path.with_suffix(_UNFINISHED)
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
