"""A user's own tests: in the root, with pytest as it comes and the small install."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests import machine
from tests.served import ROOT

MEGABYTES = 100  # that tests of one's own may need, next to what serving needs
SHOWN = re.compile(r"```python\n# (\w+)\.py\n(.*?)```", re.DOTALL)
OWN = "def test_mine():\n    assert 1 + 1 == 2\n"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".atom*", ".*_cache", ".hypothesis")


def size(folder):
    """Return how many bytes the files of a folder have."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the whole tree, with a virtual environment as the documents make it."""
    code = tmp_path_factory.mktemp("clone") / "shop"
    shutil.copytree(ROOT, code, ignore=LEFT_OUT)
    run(code, sys.executable, "-m", "venv", ".venv")
    install(code, "requirements.lock")
    before = size(code / ".venv")
    install(code, "requirements-pytest.lock")
    return code, size(code / ".venv") - before


def install(code, lock):
    """Install what a lock file lists, as the documents do."""
    words = (".venv/bin/pip", "install", "-q", "--require-hashes", "-r", lock)
    env = os.environ | {"PIP_NO_COMPILE": "1"}  # the most of it is never imported
    done = subprocess.run(
        words, cwd=code, capture_output=True, text=True, timeout=600, env=env
    )
    if "connection broken by" in done.stderr and done.returncode:
        machine.absent("the package index")
    assert done.returncode == 0, done.stdout + done.stderr


def run(code, *words):
    """Run a command in the copy, without config of ours; return what it printed."""
    env = {k: v for k, v in os.environ.items() if not k.lower().startswith("config_")}
    env = {k: v for k, v in env.items() if not k.startswith("PYTEST")}
    env["config_atom_folder"] = ".atom-test"
    done = subprocess.run(
        words, cwd=code, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_plain_pytest_collects_what_is_the_users_alone(clone):
    """Next to main.py and in a folder; no plugin is asked for, nothing is warned of."""
    code, _ = clone
    (code / "test_mine.py").write_text(OWN)
    (code / "check").mkdir()
    (code / "check" / "test_other.py").write_text(OWN)

    listed = run(code, ".venv/bin/python", "-m", "pytest", "--collect-only", "-q")
    passed = run(code, ".venv/bin/pytest", "-q", "-W", "error")

    found = [line for line in listed.splitlines() if "::" in line]
    assert found == ["check/test_other.py::test_mine", "test_mine.py::test_mine"]
    assert "2 passed" in passed
    assert "skipped" not in passed
    assert "warning" not in passed


def test_shown_test_passes(clone):
    """That of docs/extend.md, with TestClient and the drop-ins shown beside it."""
    code, _ = clone
    for name, text in SHOWN.findall((ROOT / "docs" / "extend.md").read_text()):
        (code / f"{name}.py").write_text(text)

    assert "1 passed" in run(
        code, ".venv/bin/python", "-m", "pytest", "-q", "test_note.py"
    )


def test_settings_of_the_user_go_first(clone):
    """With a pytest.ini of one's own Atom's tests stay out as well."""
    code, _ = clone
    (code / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (code / "test_mine.py").write_text(OWN)

    listed = run(code, ".venv/bin/python", "-m", "pytest", "--collect-only", "-q")

    assert "test_mine.py::test_mine" in listed
    assert "unit/" not in listed
    assert "acceptance/" not in listed


def test_what_own_tests_need_is_small(clone):
    """pytest and the client of TestClient: the rest of Atom's own tests stays away."""
    assert clone[1] < MEGABYTES * 1_000_000
