"""A PostgreSQL with PostGIS, as Debian packs it, beside the system and without root."""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration import debian
from tests.integration.near import free_port, running

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
    if lacking := [tool for tool in debian.TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"this system has no {' and no '.join(lacking)}")
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


def _owner() -> dict[str, object]:
    """Say as whom the server runs: PostgreSQL refuses root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgis_url():
    """The address of a server that has PostGIS, for this process."""
    root, programs = unpacked()
    environment = debian.environment(root)
    environment["PROJ_LIB"] = str(root / "usr/share/proj")
    folder = Path(tempfile.mkdtemp(prefix="atom-postgis-"))
    options = {"cwd": folder, "env": environment, **_owner()}
    if "user" in options:
        os.chown(folder, options["user"], options["group"])
    make = [programs / "initdb", "-D", folder / "data", "-U", "near", "--auth=trust"]
    port = free_port()
    command = [programs / "postgres", "-D", folder / "data", "-p", str(port)]
    command += ["-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "jit=off"]
    try:
        subprocess.run(
            [*make, "-N", "-E", "UTF8", "--no-locale"],
            check=True,
            capture_output=True,
            timeout=60,
            **options,
        )
        with running(command, port, **options):
            yield f"postgresql://near@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
