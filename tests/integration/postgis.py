"""A PostgreSQL with PostGIS, as Debian packs it, beside the system and without root."""

import contextlib
import re
from pathlib import Path

import pytest

from tests import machine
from tests.database import postgres
from tests.integration import debian

NAME = re.compile(r"^postgresql-(\d+)-postgis-3 ", re.MULTILINE)
# Rasters, solids, compiled queries and the system's clusters: none is needed here.
AWAY = re.compile(r"lib(gdal|sfcgal|llvm).*|postgresql-(client-)?common|ssl-cert")


def _asked(*words: str) -> str:
    """Ask what packages there are, with lists of our own where the machine has none."""
    told = debian._run("apt-cache", *words)
    if told.strip():
        return told
    home = debian._home()
    with debian._alone(home / "lock"):
        return debian._run("apt-cache", *debian._own_lists(home), *words)


def unpacked() -> tuple[Path, Path]:
    """Return the folder of the newest PostGIS there is, and where its programs are."""
    machine.need(*debian.TOOLS)
    told = _asked("search", "--names-only", "^postgresql-[0-9]+-postgis-3$")
    number = max(map(int, NAME.findall(told)), default=0)
    assert number, f"no package of PostGIS among: {told}"
    packages = (f"postgresql-{number}-postgis-3", f"postgresql-{number}")
    needs = _asked("depends", "--important", *packages).split()
    away = sorted({name for name in needs if AWAY.fullmatch(name)})
    root = debian.unpacked(*packages, without=tuple(away))
    # A script of the package would make this link, were it installed.
    extension = root / f"usr/share/postgresql/{number}/extension"
    with contextlib.suppress(FileExistsError):
        (extension / "postgis.control").symlink_to("postgis-3.control")
    return root, root / "usr/lib/postgresql" / str(number) / "bin"


@pytest.fixture(scope="session")
def postgis_url():
    """The address of a server that has PostGIS, for this process."""
    root, programs = unpacked()
    variables = debian.environment(root) | {"PROJ_LIB": str(root / "usr/share/proj")}
    with postgres(programs, settings=("jit=off",), variables=variables) as url:
        yield url
