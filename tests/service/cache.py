"""What services need and no package has: built once a machine, kept between runs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.service.server import AbsentError
from tests.service.shared import RUN, alone

SECONDS = 900  # a compiler's first run on a busy machine


def home() -> Path:
    """Return the folder of what is kept, outside of every checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "atom-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def built(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled, now or in an earlier run.

    Raises:
        AbsentError: when it cannot be made; a run tries once.
    """
    kept = home() / name
    failed = Path(os.environ[RUN], f"{name}.failed")
    with alone(home() / f"{name}.lock"):
        if kept.is_dir():
            return kept
        if failed.exists():
            raise AbsentError(failed.read_text())
        with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=home()) as work:
            made = Path(work, "made")
            made.mkdir()
            try:
                make(made)
            except AbsentError as error:
                failed.write_text(str(error))
                raise
            made.rename(kept)
    return kept


def need(*programs: str) -> None:
    """Check that the machine has these programs.

    Raises:
        AbsentError: when it lacks one.
    """
    for name in programs:
        if shutil.which(name) is None:
            raise AbsentError(f"no {name} in the PATH")


def run(*words: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a program that builds something; return what it printed.

    Raises:
        AbsentError: when it failed; with its last line.
    """
    try:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{words[0]} did not end in {SECONDS} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [""]
        raise AbsentError(f"{words[0]} failed: {lines[-1][-200:]}")
    return done.stdout
