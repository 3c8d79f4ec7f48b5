"""The private PostgreSQL of a project: made once, started with the application."""

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
from embedded.folder import put, read, write
from embedded.identity import Identity, choose, runnable
from embedded.leftover import quiet
from embedded.prepare import prepare
from embedded.server import Server, environment

PORT = 5432
SHORT_PLACE = Path("/tmp")  # what is found there must be ours
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
    """Run PostgreSQL on `.atom/postgres` and yield the URL the application uses.

    Only the holder of `.atom/lock` may call this.

    Raises:
        ConfigError: when it cannot be run here, with the cure.
    """
    place = folder / "postgres"
    programs = binaries.postgres(_major(place))
    identity = choose(
        folder, (programs.folder / "initdb", programs.folder / "postgres")
    )
    home = runnable(identity, programs.folder / "postgres", programs.tree).parent
    passwords = _passwords(folder, made=place.exists())
    socket = _socket(folder, identity)
    if not place.exists():
        _create(place, home, identity, passwords["superuser"], programs.major)
    identity.own(place)
    server = Server(
        "PostgreSQL",
        [home / "postgres", "-D", place, "-k", socket, *_settings()],
        identity=identity,
        folder=place,
        journal=folder / "postgres.log",
        farewell=signal.SIGINT,
        clear=lambda: _clear(place, socket),
        ready=lambda pid: _ready(place, pid),
    )
    try:
        server.start()
        mark = f"{programs.folder} {programs.version}"
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
    """Return a URL that asyncpg, libpq and SQLAlchemy all read."""
    place = quote(str(socket), safe="/")
    return f"postgresql://{user}:{password}@/{database}?host={place}&port={PORT}"


def _settings() -> Iterator[str]:
    for name, value in SETTINGS.items():
        yield from ("-c", f"{name}={value}")


def _major(place: Path) -> int | None:
    """The version that made the files; None when there are none yet."""
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


def _passwords(folder: Path, *, made: bool) -> dict[str, str]:
    path = folder / "postgres.json"
    kept = read(path)
    if kept is None and made:
        raise ConfigError(
            [
                f"{path}, which keeps the passwords of the private database, is gone. "
                "Put it back, or move .atom/postgres away to begin with an empty one."
            ]
        )
    if kept is None:
        kept = {"superuser": token_hex(24), "application": token_hex(24)}
        write(path, kept)
    return kept


def _socket(folder: Path, identity: Identity) -> Path:
    """Make the folder of the socket: beside the files, or where its path is short.

    Some drivers stumble over other letters than these in the path of a socket.
    """
    socket = folder / "socket"
    path = f"{socket}/.s.PGSQL.{PORT}"
    if len(path.encode()) > SOCKET_BYTES_MAX or not PLAIN_PATH.fullmatch(path):
        socket = _short(folder, identity)
    identity.own(socket)
    return socket


def _short(folder: Path, identity: Identity) -> Path:
    """The same short place each time, unless somebody else was there before us."""
    mark = sha256(str(folder).encode()).hexdigest()[:12]
    place = SHORT_PLACE / f"atom-{os.geteuid()}-{mark}"
    try:
        place.mkdir(mode=0o700)
    except FileExistsError:
        state = place.lstat()
        mine = state.st_uid in (os.geteuid(), identity.owner[0])
        if not mine or place.is_symlink() or state.st_mode & 0o077:
            return Path(tempfile.mkdtemp(prefix="atom-", dir=SHORT_PLACE))
    return place


def _create(
    place: Path, home: Path, identity: Identity, password: str, major: int
) -> None:
    """Make the files of a new database: beside their place first, then in it."""
    for left in place.parent.glob("postgres.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    draft = place.with_name(f"postgres.new-{token_hex(4)}")
    identity.own(draft)
    words = place.with_name("postgres.password")
    put(words, password, identity.owner)
    locale = ["--locale=C.UTF-8"]
    if major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        made = subprocess.run(
            identity.command(
                [
                    *(home / "initdb", "-D", draft, "-U", "postgres", "-E", "UTF8"),
                    *("--auth=scram-sha-256", f"--pwfile={words}", "--data-checksums"),
                    *("--no-instructions", *locale),
                ],
                folder=draft,
                signal=signal.SIGKILL,
            ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
    finally:
        words.unlink(missing_ok=True)
    if made.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise ConfigError(
            [f"initdb in {home} failed: {made.stderr.strip() or made.stdout.strip()}"]
        )
    draft.rename(place)


def _ready(place: Path, pid: int) -> bool:
    """Read what the postmaster writes of itself: its id first, its state in line 8."""
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
    """Remove the traces of a PostgreSQL that is gone; it would refuse to start.

    Source: PostgreSQL, src/backend/utils/init/miscinit.c, CreateLockFile, which takes
    any living process with the old id for the old postmaster.
    """
    if not quiet(place, "postgres", boss=lambda: _postmaster(place)):
        return
    (place / "postmaster.pid").unlink(missing_ok=True)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (socket / name).unlink(missing_ok=True)
