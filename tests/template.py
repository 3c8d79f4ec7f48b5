"""Databases that are made once a run, and copied for every server after that."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from embedded import postgres
from embedded.run_as import RunAs
from tests.service.shared import RUN, alone, home

EMBEDDED = ("postgres", "postgres.json")  # what `.atom` keeps of its database


def is_run() -> bool:
    """Whether this process is part of a run of tests."""
    return RUN in os.environ


def once(name: str, make: Callable[[Path], None]) -> Path | None:
    """Return what this run made under a name, by then or now; None outside of a run."""
    if not is_run():
        return None
    found = home(f"template-{name}")
    with alone(found.with_suffix(".lock")):
        if not found.exists():
            draft = found.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            make(draft)
            draft.rename(found)
    return found


def copied(sources: list[Path], to: Path) -> None:
    """Copy with owners, times and all."""
    subprocess.run(["cp", "-a", *sources, to], check=True)


def embed(folder: Path) -> None:
    """Make a `.atom` with an empty database in it, as the first start would."""

    def make(draft: Path) -> None:
        with postgres.served(draft):
            pass

    if template := once("embedded", make):
        folder.mkdir(mode=0o700, exist_ok=True)
        copied([template / name for name in EMBEDDED], folder)


def cluster(data: Path, programs: Path, way: RunAs, env: Mapping[str, str]) -> None:
    """Make a new cluster of PostgreSQL that trusts everyone."""

    def make(place: Path) -> None:
        way.own(place)
        words = [programs / "initdb", "-D", place, "-U", "near", "--auth=trust", "-N"]
        words += ["-E", "UTF8", "--no-locale"]
        made = subprocess.run(
            way.command(words, folder=place, signal=signal.SIGKILL),
            capture_output=True,
            text=True,
            timeout=60,
            env=env,
        )
        assert made.returncode == 0, made.stderr

    name = "-".join(("cluster", *programs.parts[1:]))
    if template := once(name, make):
        copied([template], data)
    else:
        make(data)
