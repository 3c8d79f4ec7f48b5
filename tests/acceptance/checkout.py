"""A copy of the checkout, to drop files into without touching the one under test."""

import shutil
from pathlib import Path

from tests.served import ROOT

FILES = (
    "main.py",
    "function.py",
    "extend.py",
    "config.py",
    "router.py",
    *sorted(path.name for path in ROOT.glob("consumer_*.py")),
)
FOLDERS = ("atom", "embedded", "router", "config", "static")


def copied(to: Path, **dropped: str) -> Path:
    """Copy what serves into a folder, and drop files into it by name (`__` is `/`)."""
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, to / name)
    for name in FOLDERS:
        if (ROOT / name).exists():
            # What is compiled comes along, with the times that say it is still true.
            leave = shutil.ignore_patterns("*.pyc.*", "*-pytest-*")
            shutil.copytree(ROOT / name, to / name, ignore=leave)
    for name, text in dropped.items():
        path = to / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return to
