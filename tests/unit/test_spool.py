"""The state folder: what is put comes out as it was, and what is damaged is never taken for something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.errors import ConfigError, LeaseTakenError, StoreError
from sbpgmon.model import Reading, Server, StatementText, Status, TargetPoll
from sbpgmon.store.spool import Spool, dump, load
from tests.unit.catalog_files import server

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
WORDS = st.text(max_size=20)
READINGS = st.builds(
    Reading,
    metric=WORDS,
    slot=st.integers(0, 2**62),
    target_time=st.none() | TIMES,
    agent_time=TIMES,
    interval_seconds=st.floats(1, 1e6),
    duration_seconds=st.floats(0, 1e3),
    status=st.sampled_from(Status),
    error=WORDS,
    rows=st.integers(0, 10**9),
    data=st.binary(max_size=60),
    columns=st.lists(st.tuples(WORDS, st.sampled_from(["bigint", "text"])), max_size=3).map(tuple),
    lacks=st.lists(WORDS, max_size=3).map(tuple),
)
SERVERS = st.builds(
    server,
    database=WORDS,
    system_identifier=st.integers(-(2**63), 2**63 - 1),
    postmaster_start_time=TIMES,
    checkpointer_start_time=st.none() | TIMES,
    extensions=st.dictionaries(
        WORDS, st.tuples(WORDS, st.lists(st.integers(0, 99), max_size=3).map(tuple)), max_size=2
    ),
    writable=st.lists(WORDS, max_size=2).map(tuple),
)
TEXTS = st.builds(
    StatementText, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1),
    st.booleans(), WORDS,
)  # fmt: skip
POLLS = st.builds(
    TargetPoll,
    target=WORDS,
    server=st.none() | SERVERS,
    readings=st.lists(READINGS, max_size=3).map(tuple),
    texts=st.lists(TEXTS, max_size=2).map(tuple),
    texts_read=st.booleans(),
    error=WORDS,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def reading(data: bytes = b"\x00PGCOPY\n", **changes: Any) -> Reading:
    values: dict[str, Any] = {
        "metric": "locks",
        "slot": 7,
        "target_time": None,
        "agent_time": datetime(2026, 1, 1, tzinfo=UTC),
        "interval_seconds": 15.0,
        "duration_seconds": 0.1,
        "status": Status.OK,
        "data": data,
        "columns": (("locks", "integer"),),
    }
    return Reading(**values | changes)


def poll(target: str = "app", data: bytes = b"\x00PGCOPY\n") -> TargetPoll:
    return TargetPoll(target, server(), (reading(data),), (StatementText(1, 2, 3, True, "select $1"),), True)


@given(POLLS, st.none() | st.integers(0, 2**63 - 1))
def test_what_is_dumped_is_loaded_as_it_was(poll: TargetPoll, snapshot_id: int | None) -> None:
    assert load(dump(poll, snapshot_id)) == (poll, snapshot_id)


@given(POLLS, st.data())
def test_a_file_that_was_cut_is_never_taken_for_another_poll(poll: TargetPoll, data: st.DataObject) -> None:
    whole = dump(poll)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        assert load(cut) == (poll, None)
    except ValueError:
        pass
    else:
        assert len(whole) - len(cut) <= 1  # the end of the line, behind which nothing was to come


@given(st.binary(max_size=200))
def test_garbage_is_no_poll(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        load(data)


@given(JSON)
def test_other_json_is_no_poll(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        load(json.dumps(value).encode() + b"\n")


@given(st.data())
def test_a_poll_that_was_tampered_with_is_a_poll_or_an_error(data: st.DataObject) -> None:
    line, _, rest = dump(poll()).partition(b"\n")
    head = json.loads(line)
    inner = data.draw(st.sampled_from([head, head["server"], head["readings"][0], head["texts"][0]]))
    key = data.draw(st.sampled_from(sorted(inner)))
    if data.draw(st.booleans()):
        del inner[key]
    else:
        inner[key] = data.draw(JSON)
    try:
        loaded, _ = load(json.dumps(head).encode() + b"\n" + rest)
    except ValueError:
        return
    assert isinstance(loaded, TargetPoll)
    assert all(isinstance(r, Reading) and isinstance(r.data, bytes) for r in loaded.readings)
    assert loaded.server is None or isinstance(loaded.server, Server)


@pytest.mark.parametrize(
    "key", ["target", "server", "readings", "texts", "texts_read", "error", "format", "snapshot_id"]
)
def test_a_poll_without_a_key_is_no_poll(key: str) -> None:
    head = json.loads(dump(poll(data=b"")))
    del head[key]
    with pytest.raises(ValueError, match="not a spooled poll"):
        load(json.dumps(head).encode() + b"\n")


def test_another_format_is_said() -> None:
    head = json.loads(dump(poll(data=b""))) | {"format": 99}
    with pytest.raises(ValueError, match="format 99"):
        load(json.dumps(head).encode() + b"\n")


# The folder


def test_polls_wait_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6)
    names = ["b", "a", "c.d", "a"]
    for number, name in enumerate(names):
        assert spool.put(poll(name, bytes([number]))) == []
    waiting = [load(path.read_bytes())[0] for path in spool.waiting()]
    assert [(p.target, p.readings[0].data) for p in waiting] == [(n, bytes([i])) for i, n in enumerate(names)]


def test_a_full_spool_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    size = len(dump(poll("a", b"x" * 1000)))
    spool = Spool(tmp_path, 3 * size)
    for number in range(5):
        dropped = spool.put(poll("a", bytes([number]) * 1000))
        assert len(dropped) == (1 if number > 2 else 0)
    assert [load(p.read_bytes())[0].readings[0].data[0] for p in spool.waiting()] == [2, 3, 4]


def test_the_newest_poll_is_kept_whatever_its_size(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    spool.put(poll("a", b"old"))
    assert len(spool.put(poll("a", b"new"))) == 1
    assert [load(p.read_bytes())[0].readings[0].data for p in spool.waiting()] == [b"new"]


def test_the_last_reading_is_that_of_its_snapshot(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6)
    assert spool.last("app", "locks", 1) is None
    spool.keep_last("app", reading(b"one"), 1)
    spool.keep_last("app", reading(b"two"), 2)
    assert spool.last("app", "locks", 1) is None
    assert spool.last("app", "locks", 2) == reading(b"two")
    assert spool.last("other", "locks", 2) is None
    file = tmp_path / "last" / "app" / "locks.poll"
    file.write_bytes(file.read_bytes()[:-1])
    assert spool.last("app", "locks", 2) is None


def test_what_ran_last_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6)
    state = {"locks": 3}
    spool.keep_slots("app.1", state)
    assert Spool(tmp_path, 10**6).slots("app.1") == state
    assert spool.slots("app") == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"slots": 3}', '{"slots": null}', "\udcff"])
def test_a_damaged_state_is_none(tmp_path: Path, text: str) -> None:
    spool = Spool(tmp_path, 10**6)
    (tmp_path / "state" / "app.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert spool.slots("app") == {}


def test_no_file_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, 10**6)
    spool.keep_last("app", reading(b"old"), 1)

    def fail(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    spool.keep_last("app", reading(b"new"), 2)  # warns: the store has the reading
    with pytest.raises(StoreError, match=r"takes the readings of app.*lost"):
        spool.put(poll())
    assert spool.last("app", "locks", 1) == reading(b"old")
    assert spool.waiting() == []


def test_one_agent_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6)
    other = (
        "import sys; from pathlib import Path; from sbpgmon.store.spool import Spool\n"
        "with Spool(Path(sys.argv[1]), 10**6).lock(): print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", other, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(LeaseTakenError, match="Another agent works with the state folder"), spool.lock():
            pass
        process.stdin.close()
        process.wait(10)
    with spool.lock():
        pass


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        Spool(tmp_path / "file" / "state", 10**6)


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "state", 10**6)
    spool.put(poll())
    for folder in ("spool", "last", "state"):
        assert (tmp_path / "state" / folder).stat().st_mode & 0o077 == 0
