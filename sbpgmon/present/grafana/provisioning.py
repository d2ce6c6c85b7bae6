"""What Grafana reads at its start: a data source, a provider of dashboards, and the dashboards, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.panels import Dashboard
from sbpgmon.present.grafana.dashboard import TAG, dashboard_json, text_of
from sbpgmon.present.grafana.datasource import PASSWORD_VARIABLE, UID, DataSource

FOLDER = "sbpgmon"
DASHBOARDS = "dashboards"


def dashboard_files(dashboards: Mapping[str, Dashboard], datasource_uid: str = "") -> dict[str, str]:
    """File name -> JSON of every dashboard."""
    known = dict(dashboards)
    return {f"{name}.json": text_of(dashboard_json(d, known, datasource_uid)) for name, d in known.items()}


def provisioning_files(
    dashboards: Mapping[str, Dashboard], datasource: DataSource, dashboards_path: str
) -> dict[str, str]:
    """Path within the tree -> text. `dashboards_path`: where Grafana finds the dashboards' folder."""
    source = datasource.json() | {"editable": True, "secureJsonData": {"password": f"${PASSWORD_VARIABLE}"}}
    # A dollar is doubled where Grafana would read a variable; the password's is not in braces, which would be expanded
    # twice, and a dollar within it be lost (pkg/services/provisioning/values/values.go, interpolateValue).
    source |= {key: source[key].replace("$", "$$") for key in ("url", "user")}
    source["jsonData"]["database"] = datasource.database.replace("$", "$$")
    provider = {
        "name": TAG,
        "folder": FOLDER,
        "folderUid": FOLDER,
        "type": "file",
        "updateIntervalSeconds": 30,
        "allowUiUpdates": False,
        "disableDeletion": False,
        "options": {"path": dashboards_path.replace("$", "$$"), "foldersFromFilesStructure": False},
    }
    tree = {
        "provisioning/datasources/sbpgmon.yaml": _yaml({"apiVersion": 1, "datasources": [source]}),
        "provisioning/dashboards/sbpgmon.yaml": _yaml({"apiVersion": 1, "providers": [provider]}),
    }
    return tree | {f"{DASHBOARDS}/{name}": text for name, text in dashboard_files(dashboards, UID).items()}


def stale_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Names of what in the folder is not as it should be: other, missing, or a dashboard of ours that is no more."""
    found = [name for name, text in files.items() if _read(folder / name) != text]
    return sorted([*found, *(path.name for path in _ours(folder) if path.name not in files)])


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the files below the folder, which is made; raises ConfigError."""
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}.", "Name another folder.") from None


def remove_others(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Removes dashboards of ours that are no more; returns their names."""
    gone = [path for path in _ours(folder) if path.name not in files]
    for path in gone:
        path.unlink()
    return sorted(path.name for path in gone)


def _ours(folder: Path) -> list[Path]:
    """JSON files that a build has made: their uid says so."""
    found = []
    for path in folder.glob("*.json"):
        try:
            uid = json.loads(_read(path) or "null")["uid"]
        except (ValueError, TypeError, KeyError):
            continue
        if str(uid).startswith(f"{TAG}-"):
            found.append(path)
    return found


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _yaml(value: Mapping[str, Any]) -> str:
    """JSON is YAML, and says which values are texts."""
    return "# Written by `sbpgmon grafana provision`.\n" + json.dumps(value, indent=2, ensure_ascii=False) + "\n"
