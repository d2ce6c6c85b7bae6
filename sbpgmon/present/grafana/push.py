"""The same over Grafana's HTTP API: a folder, the data source, the dashboards."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from sbpgmon import __version__
from sbpgmon.errors import ConfigError, GrafanaError
from sbpgmon.panels import Dashboard
from sbpgmon.present.grafana.dashboard import dashboard_json
from sbpgmon.present.grafana.datasource import NAME, UID, DataSource
from sbpgmon.present.grafana.provisioning import FOLDER

TIMEOUT_SECONDS = 30.0
_HINTS = {
    401: "The token is not one of this Grafana's, or has expired: Administration, Service accounts.",
    403: "The token's service account needs the role Admin, or permissions for data sources, folders and dashboards.",
    404: "Is the URL Grafana's, with the path below which it is served?",
}


class Grafana:
    """A Grafana server, as its API shows it. Every method raises GrafanaError."""

    def __init__(self, url: str, token: str) -> None:
        if not _is_address(url):
            raise ConfigError(f"{url!r} is no URL of a Grafana.", "Write it as https://grafana.example.com.")
        # As a file has it, with a line's end.
        token = token.strip()
        if not re.fullmatch(r"[!-~]+", token):
            raise ConfigError(
                "The token is empty, or has signs that no token of Grafana's has.", "Is it a whole one, and alone?"
            )
        self._url = url.rstrip("/")
        self._token = token

    def push(
        self,
        dashboards: Mapping[str, Dashboard],
        datasource: DataSource,
        password: str | None,
        progress: Callable[[str], None],
    ) -> None:
        """Makes or renews all of it; a data source that is there keeps its password where none is given."""
        self._folder()
        progress(f"Folder {FOLDER}")
        verb = self._datasource(datasource, password)
        progress(f"Data source {NAME}: {verb}")
        known = dict(dashboards)
        for dashboard in known.values():
            # Grafana gives it a number of its own, and a version.
            mine = dashboard_json(dashboard, known, UID) | {"id": None}
            del mine["version"]
            body = {"dashboard": mine, "folderUid": FOLDER, "overwrite": True, "message": f"sbpgmon {__version__}"}
            answer = self._ask("POST", "/api/dashboards/db", body)
            progress(f"Dashboard {dashboard.title}: {self._url}{answer.get('url', f'/d/{dashboard.uid}')}")

    def _folder(self) -> None:
        if self._find(f"/api/folders/{FOLDER}") is None:
            self._ask("POST", "/api/folders", {"uid": FOLDER, "title": FOLDER})

    def _datasource(self, datasource: DataSource, password: str | None) -> str:
        body: dict[str, Any] = datasource.json()
        if password is not None:
            body["secureJsonData"] = {"password": password}
        if (there := self._find(f"/api/datasources/uid/{UID}")) is None:
            self._ask("POST", "/api/datasources", body)
            return "made" if password is not None else "made, without a password"
        if there.get("readOnly"):
            return "left as it is: Grafana has it from a file"
        # A PUT replaces all but the secrets that it does not name (Grafana's pkg/api/datasources.go,
        # UpdateDataSourceByUID): what an administrator added stays, such as the file of a certificate.
        body["jsonData"] = (there.get("jsonData") or {}) | body["jsonData"]
        kept = {"isDefault": there.get("isDefault", False), "version": there.get("version", 0)}
        self._ask("PUT", f"/api/datasources/uid/{UID}", body | kept)
        return "renewed"

    def _find(self, path: str) -> dict[str, Any] | None:
        try:
            return self._ask("GET", path)
        except GrafanaError as error:
            if error.status == 404:
                return None
            raise

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
                found = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            try:
                with error:
                    said = _message(error.read())
            except (http.client.HTTPException, OSError):
                said = _message(b"")
            hint = _HINTS.get(error.code, "See Grafana's log.")
            raise GrafanaError(f"{method} {self._url}{path}: {error.code} {said}.", hint, error.code) from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise GrafanaError(f"{self._url} does not answer: {reason}.", "Is the URL right, and Grafana up?") from None
        except (http.client.HTTPException, ValueError):
            raise GrafanaError(f"{method} {self._url}{path}: the answer is no JSON.", _HINTS[404]) from None
        except OSError as error:
            raise GrafanaError(f"{self._url} does not answer: {error}.", "Is the URL right, and Grafana up?") from None
        if not isinstance(found, dict):
            raise GrafanaError(f"{method} {self._url}{path}: the answer is not Grafana's.", _HINTS[404])
        return found


def _is_address(url: str) -> bool:
    """Whether it is what a request can be sent to: ASCII, a host, a port that is a number, no password in it."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        has_port = parts.port is None or parts.port > 0  # ValueError for what is no number
        is_known = bool(host.encode("idna"))
    except ValueError:
        return False
    is_plain = bool(re.fullmatch(r"[!-~]+", url)) and not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme in ("http", "https") and has_port and is_known and is_plain


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to who knows where, and turn a POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _message(body: bytes) -> str:
    """What Grafana says is wrong, in a line."""
    try:
        text = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        text = ""
    return " ".join(text.split())[:200].rstrip(".") or "without a word"
