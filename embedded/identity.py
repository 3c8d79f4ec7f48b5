"""As whom the servers run: PostgreSQL refuses to be root.

An ordinary user runs them as itself. Root enters a user namespace, where it has another
number while its files stay its own. Where that is not permitted, root becomes `nobody`
(or the owner of `.atom`), to whom the folders of the servers are given.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from atom.errors import ConfigError
from embedded import child

SCRIPT = str(Path(child.__file__).resolve())
NOBODY = 65534
CACHE = Path("/var/tmp")  # what is found there must be root's


@dataclass(frozen=True, slots=True)
class Identity:
    """One way to run a program, and who then owns its files."""

    way: str  # self, namespace, user
    uid: int  # inside a namespace: the number shown there
    gid: int

    def command(
        self, program: Sequence[str | Path], *, folder: Path, signal: int
    ) -> list[str]:
        """Return what to execute so that `program` runs in `folder` as this."""
        who = (self.way, self.uid, self.gid, os.getpid(), int(signal), folder)
        return [
            sys.executable,
            *("-I", "-S", SCRIPT),
            *(str(word) for word in (*who, *program)),
        ]

    @property
    def owner(self) -> tuple[int, int]:
        """Who owns the files, seen from outside."""
        if self.way == "user":
            return self.uid, self.gid
        return os.geteuid(), os.getegid()

    def own(self, folder: Path) -> None:
        """Make a folder, or give an old one to its new owner; nobody else enters it."""
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.stat()
        if (state.st_uid, state.st_gid) != self.owner:
            # The folder itself is last: it tells whether all of it was done.
            for place, folders, files in os.walk(folder, topdown=False):
                for name in (*folders, *files):
                    os.chown(
                        os.path.join(place, name), *self.owner, follow_symlinks=False
                    )
            os.chown(folder, *self.owner)
        if state.st_mode & 0o077:
            folder.chmod(0o700)


def choose(folder: Path, programs: Sequence[Path]) -> Identity:
    """Return the first identity that may run the programs on a folder.

    Raises:
        ConfigError: when root can neither enter a namespace nor become another user.
    """
    reasons = []
    for identity in _candidates(folder):
        if identity.way == "self":
            return identity
        if identity.way == "user" and folder.stat().st_uid == 0:
            folder.chmod(0o711)
        # Programs another user cannot reach are copied; a namespace needs them as is.
        needed = programs if identity.way == "namespace" else ()
        problem = _probe(identity, folder, needed)
        if not problem:
            return identity
        reasons.append(f"as {identity.way} {identity.uid}: {problem}")
    raise ConfigError(
        [
            "PostgreSQL does not run as root, and nobody else can use "
            f"{folder} ({'; '.join(reasons)}). Start the application as an ordinary "
            "user, or move the project to a folder that others may enter, or permit "
            "user namespaces, or set config_postgres_url."
        ]
    )


def runnable(identity: Identity, program: Path, tree: Sequence[Path]) -> Path:
    """Return the program, or a copy of it that this identity can reach."""
    if identity.way != "user" or not _probe(identity, Path("/"), (program,)):
        return program
    parts = tree or (program.parent,)
    mark = sha256(f"{program}{program.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    place = CACHE / f"atom-{program.name}-{mark}"
    if not place.exists():
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        draft.mkdir(mode=0o755)
        draft.chmod(0o755)
        for part in parts:
            shutil.copytree(part, draft / part.name, symlinks=True)
        try:
            draft.rename(place)
        except OSError:
            shutil.rmtree(draft)
    state = place.lstat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise ConfigError([f"{place} was not made by Atom. Remove it and start again."])
    return place / parts[0].name / program.relative_to(parts[0])


def _candidates(folder: Path) -> Iterator[Identity]:
    uid, owner = os.geteuid(), folder.stat()
    if uid != 0 and _named(uid):
        yield Identity("self", uid, os.getegid())
        return
    if uid == 0 and owner.st_uid != 0:
        yield Identity("user", owner.st_uid, owner.st_gid)
    if sys.platform.startswith("linux"):
        # initdb looks its user up by number, so the number has to have a name.
        known = (p.pw_uid for p in pwd.getpwall() if p.pw_uid not in (0, NOBODY))
        inside = next(known, NOBODY)
        yield Identity("namespace", inside, inside)
    if uid != 0:
        yield Identity("self", uid, os.getegid())
        return
    yield Identity("user", *_nobody())


def _named(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return entry.pw_uid, entry.pw_gid


def _probe(identity: Identity, folder: Path, paths: Sequence[Path]) -> str:
    """Try it out; return what stands in the way, "" when nothing does."""
    tried = subprocess.run(
        identity.command(("probe", *paths), folder=folder, signal=0),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
    )
    if tried.returncode == 0:
        return ""
    return tried.stderr.strip()[-300:] or f"exit {tried.returncode}"
