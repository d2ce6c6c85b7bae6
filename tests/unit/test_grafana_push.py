"""`grafana push` against a server that answers as Grafana's HTTP API is documented to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.errors import ConfigError, GrafanaError
from sbpgmon.present.grafana.datasource import DataSource
from sbpgmon.present.grafana.provisioning import provisioning_files
from sbpgmon.present.grafana.push import Grafana

DASHBOARDS = load_catalog().dashboards
SOURCE = DataSource("db.example.com", 5433, "orders", "grafana_reader", "require", 18)
TOKEN = "glsa_right"


class FakeGrafana(ThreadingHTTPServer):
    """Keeps folders, data sources and dashboards; `fault` answers everything with a status and a body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders: dict[str, Any] = {}
        self.datasources: dict[str, Any] = {}
        self.passwords: dict[str, str] = {}
        self.dashboards: dict[str, Any] = {}
        self.fault: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/grafana/"

    def take(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        match method, path.removeprefix("/grafana/api/").split("/"):
            case "GET", ["folders", uid]:
                return (200, self.folders[uid]) if uid in self.folders else (404, {"message": "folder not found"})
            case "POST", ["folders"]:
                self.folders[body["uid"]] = body
                return 200, body
            case "GET", ["datasources", "uid", uid]:
                there = self.datasources.get(uid)
                return (200, there) if there else (404, {"message": "Data source not found"})
            case ("POST", ["datasources"]) | ("PUT", ["datasources", "uid", _]):
                self.passwords.update({body["uid"]: s["password"]} if (s := body.pop("secureJsonData", None)) else {})
                self.datasources[body["uid"]] = body
                return 200, {"datasource": body}
            case "POST", ["dashboards", "db"]:
                if body["folderUid"] not in self.folders:
                    return 400, {"message": "folder not found"}
                self.dashboards[body["dashboard"]["uid"]] = body
                return 200, {"status": "success", "url": f"/d/{body['dashboard']['uid']}/x"}
        return 404, {"message": "Not found"}


class _Handler(BaseHTTPRequestHandler):
    server: FakeGrafana

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = 401, json.dumps({"message": "Invalid API key"}).encode()
        if self.server.fault:
            status, answer = self.server.fault
        elif self.headers["Authorization"] == f"Bearer {TOKEN}":
            status, found = self.server.take(self.command, self.path, body)
            answer = json.dumps(found).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/login")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with FakeGrafana() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def push(grafana: FakeGrafana, password: str | None = "secret", token: str = TOKEN) -> list[str]:
    said: list[str] = []
    Grafana(grafana.url, token).push(DASHBOARDS, SOURCE, password, said.append)
    return said


def test_all_of_it_arrives(grafana: FakeGrafana) -> None:
    said = push(grafana)
    assert set(grafana.dashboards) == {d.uid for d in DASHBOARDS.values()}
    for body in grafana.dashboards.values():
        assert (body["overwrite"], body["folderUid"], body["dashboard"]["id"]) == (True, "sbpgmon", None)
        assert "version" not in body["dashboard"]
        # Its data source is the one that was pushed with it.
        assert body["dashboard"]["templating"]["list"][0]["current"]["value"] == "sbpgmon"
    source = grafana.datasources["sbpgmon"]
    assert (source["url"], source["user"], source["type"]) == (
        "db.example.com:5433", "grafana_reader", "grafana-postgresql-datasource",
    )  # fmt: skip
    assert source["jsonData"] | {"x": 0} == source["jsonData"] | {
        "x": 0, "database": "orders", "sslmode": "require", "postgresVersion": 1800, "timeInterval": "15s",
    }  # fmt: skip
    assert len(said) == 2 + len(DASHBOARDS)
    assert "secret" not in "".join(said)


def test_again_changes_nothing(grafana: FakeGrafana) -> None:
    push(grafana)
    before = (dict(grafana.folders), dict(grafana.datasources), dict(grafana.dashboards))
    assert "Data source sbpgmon: renewed" in push(grafana, password=None)
    assert (grafana.folders, grafana.dashboards) == (before[0], before[2])
    assert grafana.datasources["sbpgmon"] == before[1]["sbpgmon"] | {"version": 0, "isDefault": False}
    assert grafana.passwords == {"sbpgmon": "secret"}


def test_what_an_administrator_added_stays(grafana: FakeGrafana) -> None:
    """A PUT replaces what it does not name."""
    push(grafana)
    there = grafana.datasources["sbpgmon"]
    there |= {"isDefault": True, "version": 7, "jsonData": {"sslRootCertFile": "/ca.pem", "database": "old"}}
    push(grafana)
    renewed = grafana.datasources["sbpgmon"]
    assert (renewed["isDefault"], renewed["version"]) == (True, 7)
    assert (renewed["jsonData"]["sslRootCertFile"], renewed["jsonData"]["database"]) == ("/ca.pem", "orders")


def test_a_data_source_from_a_file_is_left_alone(grafana: FakeGrafana) -> None:
    grafana.datasources["sbpgmon"] = {"uid": "sbpgmon", "readOnly": True}
    assert any("left as it is" in line for line in push(grafana))
    assert grafana.datasources["sbpgmon"] == {"uid": "sbpgmon", "readOnly": True}


def test_without_a_password(grafana: FakeGrafana) -> None:
    assert "Data source sbpgmon: made, without a password" in push(grafana, password=None)


FAULTS = {
    "token": (None, "401 Invalid API key", "Service accounts"),
    "forbidden": ((403, b'{"message": "You\'ll need additional permissions."}'), "403 You'll need", "the role Admin"),
    "broken": ((500, b"<html>oh</html>"), "500 without a word", "Grafana's log"),
    "redirect": ((302, b""), "302", "→"),
    "no json": ((200, b"<html>welcome</html>"), "is no JSON", "the path below which"),
    "no object": ((200, b"[]"), "is not Grafana's", "the path below which"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_goes_wrong_is_said(grafana: FakeGrafana, name: str) -> None:
    grafana.fault, what, way_out = FAULTS[name]
    with pytest.raises(GrafanaError) as raised:
        push(grafana, token="wrong")
    assert what in raised.value.what
    assert way_out == "→" or way_out in raised.value.way_out
    assert "wrong" not in raised.value.what + raised.value.way_out


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 500\r\n\r\n{}",
    ],
)
def test_what_speaks_no_http_or_stops_in_the_middle(answer: bytes) -> None:
    def serve() -> None:
        with server.accept()[0] as line:
            line.recv(65536)
            line.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(GrafanaError, match=r"the answer is no JSON|500 without a word"):
            Grafana(url, TOKEN).push(DASHBOARDS, SOURCE, None, print)


@pytest.mark.parametrize("token", ["", " ", "glsa_a\nglsa_b", "glsa_ö", "glsa_漢", "Bearer glsa"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(ConfigError, match="The token is empty, or has signs"):
        Grafana("http://grafana", token)


def test_a_token_with_the_end_of_its_line(grafana: FakeGrafana) -> None:
    assert push(grafana, token=f"{TOKEN}\n")


def test_nobody_answers() -> None:
    with pytest.raises(GrafanaError, match="does not answer"):
        Grafana("http://127.0.0.1:1", TOKEN).push(DASHBOARDS, SOURCE, None, print)


@pytest.mark.parametrize(
    "url",
    ["grafana.example.com", "ftp://x", "https://", "", "http://[::1", "http://g:x", "http://g:0", "http://g:99999",
     "http://a b", "http://ü", "http://.x", "http://u:p@g", "http://g?x=1"],
)  # fmt: skip
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match="no URL"):
        Grafana(url, TOKEN)


@pytest.mark.parametrize(
    ("host", "url"), [("db", "db:5433"), ("::1", "[::1]:5433"), ("/run/postgresql", "/run/postgresql")]
)
def test_the_address_as_grafana_writes_it(host: str, url: str) -> None:
    assert DataSource(host, 5433, "d", "u", "disable", 14).url == url


def test_a_dollar_is_no_variable_in_a_file() -> None:
    """Grafana expands variables in each text of a provisioning file, and `$$` stands for a dollar."""
    files = provisioning_files({}, DataSource("db$1", 5432, "or$ders", "gr${a}f", "require", 18), "/var/$lib")

    def read(name: str) -> Any:
        return json.loads(files[f"provisioning/{name}/sbpgmon.yaml"].split("\n", 1)[1])

    [source] = read("datasources")["datasources"]
    assert (source["url"], source["user"], source["jsonData"]["database"]) == ("db$$1:5432", "gr$${a}f", "or$$ders")
    assert source["secureJsonData"] == {"password": "$SBPGMON_GRAFANA_PASSWORD"}
    assert read("dashboards")["providers"][0]["options"]["path"] == "/var/$$lib"
