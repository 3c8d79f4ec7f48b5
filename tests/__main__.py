"""Runs every check and every test:  python -m tests [check | arguments of pytest]

All tests run in three processes, since on two cores they wait as much as they work;
what is named by arguments runs in one, in order. Every part runs even when another
fails; the exit code is 0 only when all of them passed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

CHECKS = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "mypy": ("mypy",),
}
# In the order of the folders: what starts servers first, what is quick at the end,
# so that no process is left alone with a long file.
SPREAD = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")


def parts(arguments: list[str]) -> dict[str, tuple[str, ...]]:
    """Return what to run: the checks alone, or the checks and then pytest.

    >>> list(parts(["check"]))
    ['ruff check', 'ruff format', 'mypy']
    >>> parts(["-k", "rate"])["pytest"]
    ('pytest', '-q', '-k', 'rate')
    """
    if arguments == ["check"]:
        return dict(CHECKS)
    return {**CHECKS, "pytest": ("pytest", "-q", *(arguments or SPREAD))}


def environment() -> dict[str, str]:
    """Return ours, but keep what is compiled: a hundred servers start during a run."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Have the tests compiled meanwhile, once: each process would do it for itself."""
    if not wanted:
        yield
        return
    words = [sys.executable, "-m", "pytest", "-q", "--collect-only"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, cwd=ROOT, env=environment(), **quiet):
        yield


def run(name: str, command: tuple[str, ...]) -> tuple[str, int, float]:
    """Run one part; return its name, its exit code and the seconds it took."""
    sys.stdout.write(f"── {name}\n")
    sys.stdout.flush()
    started = time.monotonic()
    words = [sys.executable, "-m", *command]
    done = subprocess.run(words, cwd=ROOT, env=environment(), check=False)
    return name, done.returncode, time.monotonic() - started


def main(arguments: list[str]) -> int:
    """Run the parts in order; say at the end how each went. Return the exit code."""
    wanted = parts(arguments)
    with compiling(not arguments):
        report = [run(name, wanted.pop(name)) for name in CHECKS]
    report += [run(*each) for each in wanted.items()]
    sys.stdout.write("\n")
    for name, code, seconds in report:
        said = "passed" if code == 0 else f"FAILED, exit code {code}"
        sys.stdout.write(f"{name:<12} {said:<24} {seconds:6.1f} s\n")
    return 1 if any(code for _, code, _ in report) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
