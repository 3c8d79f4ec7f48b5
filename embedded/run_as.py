"""The user that the servers run as: PostgreSQL refuses to be root.

An ordinary user runs them as itself. Root enters a user namespace, where it has another
number while its files stay its own. Where namespaces are not permitted (a chroot, most
containers), root becomes the owner of `.atom` or `nobody`, and gives that user the
folders of the servers; when the project or the programs are in a folder closed to that
user (/root), one capability is kept that lets it pass, and nothing is copied or moved.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE

from atom.errors import ConfigError
from embedded import child

SCRIPT = str(Path(child.__file__).resolve())
NO_USER = 65534  # the number of `nobody`


@dataclass(frozen=True, slots=True)
class RunAs:
    """One way to run a program: as whom, and so who owns its files."""

    way: str  # self, namespace, user, search
    uid: int  # in a namespace: the number shown there
    gid: int

    def command(
        self, program: Sequence[str | Path], *, folder: Path, signal: int
    ) -> list[str]:
        """Return what to execute so that `program` runs in `folder` as this user."""
        who = (self.way, self.uid, self.gid, os.getpid(), int(signal), folder)
        return [
            sys.executable,
            *("-I", "-S", SCRIPT),
            *(str(word) for word in (*who, *program)),
        ]

    @property
    def is_another(self) -> bool:
        """Whether the files belong to a user other than the one that runs Atom."""
        return self.way in ("user", "search")

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group of the files, as seen from outside of a namespace."""
        if self.is_another:
            return self.uid, self.gid
        return os.geteuid(), os.getegid()

    def own(self, folder: Path) -> None:
        """Make a folder for its owner only, or give an existing one to its owner."""
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.stat()
        if (state.st_uid, state.st_gid) != self.owner:
            # The folder itself comes last: its owner shows that the rest is done.
            for place, folders, files in os.walk(folder, topdown=False):
                for name in (*folders, *files):
                    os.chown(
                        os.path.join(place, name), *self.owner, follow_symlinks=False
                    )
            os.chown(folder, *self.owner)
        if state.st_mode & 0o077:
            folder.chmod(0o700)


def choose(folder: Path, programs: Sequence[Path]) -> RunAs:
    """Return the first way to run the programs on a folder that works here.

    Raises:
        ConfigError: when root can neither enter a namespace nor become another user.
    """
    reasons, before = [], folder.stat()
    for way in _candidates(folder):
        if way.way == "self":
            return way
        if way.way == "user" and before.st_uid == 0:
            folder.chmod(0o711)  # others may pass through, and read nothing
        problem = _probe(way, folder, programs)
        if not problem:
            return way
        if way.way == "user":
            folder.chmod(S_IMODE(before.st_mode))
        reasons.append(f"as {way.way} {way.uid}: {problem}")
    raise ConfigError(
        [
            "PostgreSQL does not run as root, and no other user can be given "
            f"{folder} ({'; '.join(reasons)}). Start the application as an ordinary "
            "user, or move the project to a folder that others may enter, or permit "
            "user namespaces, or set config_postgres_url."
        ]
    )


def _candidates(folder: Path) -> Iterator[RunAs]:
    uid, owner = os.geteuid(), folder.stat()
    if uid != 0 and _has_name(uid):
        yield RunAs("self", uid, os.getegid())
        return
    if uid == 0 and owner.st_uid != 0:
        yield RunAs("user", owner.st_uid, owner.st_gid)
    if sys.platform.startswith("linux"):
        # initdb looks its user up by number, so the number has to have a name.
        known = (p.pw_uid for p in pwd.getpwall() if p.pw_uid not in (0, NO_USER))
        inside = next(known, NO_USER)
        yield RunAs("namespace", inside, inside)
    if uid != 0:
        yield RunAs("self", uid, os.getegid())
        return
    yield RunAs("user", *_least_user())
    if sys.platform.startswith("linux"):
        other = (owner.st_uid, owner.st_gid) if owner.st_uid else _least_user()
        yield RunAs("search", *other)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _least_user() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NO_USER, NO_USER
    return entry.pw_uid, entry.pw_gid


def _probe(way: RunAs, folder: Path, paths: Sequence[Path]) -> str:
    """Return why the folder and the paths cannot be used this way; "" if they can."""
    tried = subprocess.run(
        way.command(("probe", *paths), folder=folder, signal=0),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
    )
    if tried.returncode == 0:
        return ""
    return tried.stderr.strip()[-300:] or f"exit {tried.returncode}"
