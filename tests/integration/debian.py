"""Debian packages for tests: unpacked beside the system, never installed, no root.

Kept between runs in a folder that others may read (a database run by another user has
to load libraries from it), but which only its owner may write.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests import machine

TOOLS = ("apt-get", "apt-cache", "dpkg", "dpkg-deb")
# Two of these in one process do not go together: the machine's own are used.
NEVER = frozenset({"libc6", "libc-bin", "libgcc-s1", "libstdc++6", "gcc-12-base"})
URI = re.compile(r"^'[^']+' (?P<name>[a-z0-9][a-z0-9+.-]*)_\S+\.deb \d+", re.MULTILINE)
SECONDS = 300


class NotUnpackedError(RuntimeError):
    """A package could not be brought; the text says which step failed, and how."""


def unpacked(*packages: str, without: tuple[str, ...] = ()) -> Path:
    """Bring packages and what they need; return the folder with usr/ in it.

    What the machine has already is not brought again, except the packages named
    themselves. Packages in `without`, and those only they need, stay away.

    Raises:
        NotUnpackedError: apt or dpkg refused, with their own words.
    """
    machine.need(*TOOLS)
    home = _home()
    root = home / _name(packages, without)
    with _alone(home / "lock"):
        if not root.is_dir():
            _bring(home, root, packages, NEVER | frozenset(without))
    return root


def environment(root: Path) -> dict[str, str]:
    """Return what the environment of the unpacked programs has to say."""
    found = sorted({str(file.parent) for file in (root / "usr").rglob("lib*.so.*")})
    found += sorted({str(file.parent) for file in (root / "lib").rglob("lib*.so.*")})
    before = [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(found + before)}


def _home() -> Path:
    """Return the folder of this user; refuse one that somebody else has put there."""
    home = Path("/var/tmp") / f"atom-debian-{os.geteuid()}"
    home.mkdir(mode=0o755, exist_ok=True)
    kept = home.lstat()
    if home.is_symlink() or kept.st_uid != os.geteuid() or kept.st_mode & 0o022:
        raise NotUnpackedError(f"{home} is not this user's own: remove it")
    home.chmod(0o755)
    return home


def _name(packages: tuple[str, ...], without: tuple[str, ...]) -> str:
    """Name a set of packages on this release of the system."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    told = repr((sorted(packages), sorted(without), os.uname().machine, text))
    return f"{packages[0]}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


@contextmanager
def _alone(path: Path):
    """Let one process at a time in; the system lets go when it dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bring(home: Path, root: Path, packages: tuple[str, ...], without: frozenset[str]):
    """Try with the lists the machine has; get own ones when these do not do."""
    for left in home.glob("work-*"):  # of a run that was killed: we are alone here
        shutil.rmtree(left)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=home))
    try:
        try:
            files = _downloaded(work / "machine", [], packages, without)
        except NotUnpackedError:
            files = _downloaded(work / "own", _own_lists(home), packages, without)
        made = work / "root"
        made.mkdir()
        for file in files:
            _run("dpkg-deb", "-x", str(file), str(made))
        made.chmod(0o755)
        made.rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _own_lists(home: Path) -> list[str]:
    """Fetch the lists of what there is into a folder of our own."""
    lists, cache = home / "lists", home / "cache"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    cache.mkdir(exist_ok=True)
    options = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
    _fetched("apt-get", *options, *_quiet(), "update")
    return options


def _downloaded(
    folder: Path,
    options: list[str],
    packages: tuple[str, ...],
    without: frozenset[str],
) -> list[Path]:
    """Download the packages and what they need into a folder; apt checks the sums."""
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    # An empty one: apt names no address for a file it finds in its own.
    apt = [*options, *_quiet(), "-o", f"Dir::Cache::archives={archives}"]
    asked = ["install", "--reinstall", "--no-install-recommends", "--print-uris"]
    told = _run("apt-get", *apt, *asked, "--yes", *packages)
    lacking = [match["name"] for match in URI.finditer(told)]
    wanted = _needed(apt, packages, lacking, without)
    absent = [name for name in packages if name not in wanted]
    if absent:
        raise NotUnpackedError(f"apt-get offers no file for {', '.join(absent)}")
    _fetched("apt-get", *apt, "download", *wanted, cwd=folder)
    files = sorted(folder.glob("*.deb"))
    if len(files) != len(wanted):
        raise NotUnpackedError(f"apt-get download brought {len(files)} of {wanted}")
    return files


def _needed(
    apt: list[str],
    packages: tuple[str, ...],
    lacking: list[str],
    without: frozenset[str],
) -> list[str]:
    """Walk from the named packages over what they need, past those to leave out."""
    if not lacking:
        return []
    needs: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in _run("apt-cache", *apt, "depends", "--important", *lacking).split("\n"):
        word = line.strip().split(" ")[-1].removesuffix(":any")
        if line and not line.startswith((" ", "<")):
            current = needs.setdefault(word, set())
        elif word:
            current.add(word)
    reached: list[str] = []
    ahead = list(packages)
    while ahead:
        name = ahead.pop()
        if name in lacking and name not in without and name not in reached:
            reached.append(name)
            ahead += sorted(needs.get(name, ()))
    return reached


def _quiet() -> list[str]:
    """Options for every call: wait for no lock, and change to no other user."""
    options = ["-qq", "-o", "Debug::NoLocking=1"]
    return [*options, "-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else options


def _fetched(*command: str, cwd: Path | None = None) -> str:
    """Run a command that asks a mirror; once more when it fails, a breath later.

    Raises:
        NotUnpackedError: It failed twice; the text has its last words.
    """
    try:
        return _run(*command, cwd=cwd)
    except NotUnpackedError:
        time.sleep(3)
        return _run(*command, cwd=cwd)


def _run(*command: str, cwd: Path | None = None) -> str:
    """Run a command and return what it prints.

    Raises:
        NotUnpackedError: It failed; the text has its last words.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        told = f"{' '.join(command)}: no end after {SECONDS} s"
        raise NotUnpackedError(told) from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise NotUnpackedError(f"{' '.join(command)} failed: {last}")
    return done.stdout
