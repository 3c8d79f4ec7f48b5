"""The private PostgreSQL of a project: created once, started with the application."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

from atom.errors import ConfigError
from embedded import binaries
from embedded.binaries import Binaries
from embedded.folder import read, write, write_new
from embedded.leftover import end_all
from embedded.prepare import prepare
from embedded.run_as import RunAs, choose
from embedded.server import Server, environment

PORT = 5432
SHORT_PLACE = Path("/tmp")  # where others may have been first
PREPARATION = 2  # counts what `prepare` does: older databases are prepared again
SOCKET_BYTES_MAX = 107
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": "atom",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run PostgreSQL on `.atom/postgres` and yield the URL for the application.

    Only the holder of `.atom/lock` may call this.

    Raises:
        ConfigError: when it cannot be run here, with the cure.
    """
    place = folder / "postgres"
    programs = binaries.postgres(_major(place))
    run_as = choose(folder, (programs.folder / "initdb", programs.folder / "postgres"))
    passwords = _passwords(folder, created=place.exists())
    socket = _socket(folder, run_as)
    if not place.exists():
        _create(place, programs, run_as, passwords["superuser"])
    run_as.own(place)
    server = Server(
        "PostgreSQL",
        [programs.folder / "postgres", "-D", place, "-k", socket, *_settings()],
        run_as=run_as,
        folder=place,
        journal=folder / "postgres.log",
        stop_signal=signal.SIGINT,
        clear=lambda: _clear(place, socket),
        ready=lambda pid: _ready(place, pid),
    )
    try:
        server.start()
        mark = f"{programs.folder} {programs.version} {PREPARATION}"
        if passwords.get("prepared_by") != mark:
            prepare(
                address(socket, "postgres", passwords["superuser"], "postgres"),
                address(socket, "postgres", passwords["superuser"], "atom"),
                passwords["application"],
            )
            write(folder / "postgres.json", passwords | {"prepared_by": mark})
        yield address(socket, "atom", passwords["application"], "atom")
    finally:
        server.stop()
        if socket.parent != folder:
            shutil.rmtree(socket, ignore_errors=True)


def address(socket: Path, user: str, password: str, database: str) -> str:
    """Return a URL that asyncpg, libpq and SQLAlchemy can all parse."""
    place = quote(str(socket), safe="/")
    return f"postgresql://{user}:{password}@/{database}?host={place}&port={PORT}"


def _settings() -> Iterator[str]:
    for name, value in SETTINGS.items():
        yield from ("-c", f"{name}={value}")


def _major(place: Path) -> int | None:
    """Return the major version of the files; None when there are no files yet."""
    try:
        return int((place / "PG_VERSION").read_text().split(".")[0])
    except FileNotFoundError:
        if place.exists():
            raise ConfigError(
                [
                    f"{place} exists and holds no database. Move it away to begin "
                    "with an empty one, or set config_postgres_url."
                ]
            ) from None
        return None


def _passwords(folder: Path, *, created: bool) -> dict[str, str]:
    """Return the passwords of the database, and what it was prepared by, if it was.

    Without the files the passwords stay: the folder may be moved back.
    """
    path = folder / "postgres.json"
    kept = read(path)
    if kept is None and created:
        raise ConfigError(
            [
                f"{path}, which keeps the passwords of the private database, is gone. "
                "Put it back, or move .atom/postgres away to begin with an empty one."
            ]
        )
    if kept is None:
        kept = {"superuser": token_hex(24), "application": token_hex(24)}
        write(path, kept)
    if not created and kept.pop("prepared_by", None):
        write(path, kept)
    return kept


def _socket(folder: Path, run_as: RunAs) -> Path:
    """Make the folder of the socket: in `.atom`, or where its path is short.

    Some drivers fail on any other letter than these in the path of a socket.
    """
    socket = folder / "socket"
    path = f"{socket}/.s.PGSQL.{PORT}"
    if len(path.encode()) > SOCKET_BYTES_MAX or not PLAIN_PATH.fullmatch(path):
        socket = _short(folder, run_as)
    run_as.own(socket)
    return socket


def _short(folder: Path, run_as: RunAs) -> Path:
    """Return the same short folder each time, unless another user was there first."""
    mark = sha256(str(folder).encode()).hexdigest()[:12]
    place = SHORT_PLACE / f"atom-{os.geteuid()}-{mark}"
    try:
        place.mkdir(mode=0o700)
    except FileExistsError:
        state = place.lstat()
        mine = state.st_uid in (os.geteuid(), run_as.owner[0])
        if not mine or place.is_symlink() or state.st_mode & 0o077:
            return Path(tempfile.mkdtemp(prefix="atom-", dir=SHORT_PLACE))
    return place


def _create(place: Path, programs: Binaries, run_as: RunAs, password: str) -> None:
    """Create the files of a new database under another name, then rename the folder."""
    for left in place.parent.glob("postgres.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    draft = place.with_name(f"postgres.new-{token_hex(4)}")
    run_as.own(draft)
    phrase = place.with_name("postgres.password")
    write_new(phrase, password, run_as.owner)
    locale = ["--locale=C.UTF-8"]
    if programs.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        made = subprocess.run(
            run_as.command(
                [
                    *(
                        programs.folder / "initdb",
                        "-D",
                        draft,
                        "-U",
                        "postgres",
                        "-E",
                        "UTF8",
                    ),
                    *("--auth=scram-sha-256", f"--pwfile={phrase}", "--data-checksums"),
                    *("--no-instructions", *locale),
                ],
                folder=draft,
                signal=signal.SIGKILL,
            ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment(programs.folder),
            start_new_session=True,
        )
    finally:
        phrase.unlink(missing_ok=True)
    if made.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise ConfigError(
            [
                f"initdb in {programs.folder} failed: "
                f"{made.stderr.strip() or made.stdout.strip()}"
            ]
        )
    draft.rename(place)


def _ready(place: Path, pid: int) -> bool:
    """Whether a postmaster is ready: its file has the id first, the state in line 8."""
    try:
        lines = (place / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _postmaster(place: Path) -> int | None:
    try:
        return int((place / "postmaster.pid").read_text().split("\n")[0])
    except (OSError, ValueError):
        return None


def _clear(place: Path, socket: Path) -> None:
    """Remove the files of a PostgreSQL that is gone; a new one would refuse to start.

    Source: PostgreSQL, src/backend/utils/init/miscinit.c, CreateLockFile, which takes
    any living process with the old id for the old postmaster.
    """
    if not end_all(place, "postgres", leader=lambda: _postmaster(place)):
        return
    (place / "postmaster.pid").unlink(missing_ok=True)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (socket / name).unlink(missing_ok=True)
