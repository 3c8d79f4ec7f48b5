"""`python -m tests` runs again what failed by accident, never the whole suite."""

import doctest
import json
import subprocess
import sys

from tests import __main__ as command

DIFFERS = """
import os
import pytest

@pytest.mark.parametrize("pid", [os.getpid()])
def test_it(pid):
    pass
"""


def test_examples_of_the_command():
    """Pytest passes over those of a `__main__.py`."""
    done = doctest.testmod(command)
    assert 0 == done.failed
    assert 5 <= done.attempted


def test_processes_that_collect_different_tests_are_no_accident(tmp_path):
    """A test whose id is another in each process."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_differs.py").write_text(DIFFERS)
    words = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert 1 == done.returncode, done.stdout
    assert "Different tests were collected" in done.stdout
    kept = tmp_path / ".pytest_cache/v/cache/lastfailed"
    assert not command.is_accident(sorted(json.loads(kept.read_text())))
