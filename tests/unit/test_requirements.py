"""Each lock holds what its requirements name: a forgotten `make lock` is noticed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;#\\]+)", re.MULTILINE)
INCLUDED = re.compile(r"^-r (\S+)", re.MULTILINE)


def pinned(text):
    """Return the versions that a file names, by the normal name (PEP 503)."""
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, version in PINNED.findall(text)
    }


def required(name):
    """Return what a file of requirements names, and the files it includes."""
    text = (ROOT / name).read_text()
    found = pinned(text)
    for other in INCLUDED.findall(text):
        found |= required(other)
    return found


@pytest.mark.parametrize("name", ["requirements", "requirements-test"])
def test_lock_is_of_these_requirements(name):
    """Every version is in the lock as it is named."""
    wanted, locked = (
        required(f"{name}.txt"),
        pinned((ROOT / f"{name}.lock").read_text()),
    )

    assert len(wanted) > 10
    stale = {each: wanted[each] for each in wanted if locked.get(each) != wanted[each]}
    assert not stale, f"make lock: {name}.lock lacks {stale}"
