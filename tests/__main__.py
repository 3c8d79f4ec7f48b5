"""Runs every check and every test:  python -m tests [check | arguments of pytest]

Every test runs on two cores; what is named by arguments on one, in order. All of it
runs even when a part fails; the exit code is 0 only when every part passed.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

CHECKS = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "mypy": ("mypy",),
}


def parts(arguments: list[str]) -> dict[str, tuple[str, ...]]:
    """Return what to run: the checks alone, or the checks and then pytest.

    >>> list(parts(["check"]))
    ['ruff check', 'ruff format', 'mypy']
    >>> parts(["-k", "rate"])["pytest"]
    ('pytest', '-q', '-k', 'rate')
    """
    if arguments == ["check"]:
        return dict(CHECKS)
    spread = () if arguments else ("-n", "2", "--dist", "loadfile")
    return {**CHECKS, "pytest": ("pytest", "-q", *spread, *arguments)}


def main(arguments: list[str]) -> int:
    """Run the parts in order; say at the end how each went. Return the exit code."""
    report = []
    for name, command in parts(arguments).items():
        sys.stdout.write(f"── {name}\n")
        sys.stdout.flush()
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False)
        report.append((name, done.returncode, time.monotonic() - started))
    sys.stdout.write("\n")
    for name, code, seconds in report:
        said = "passed" if code == 0 else f"FAILED, exit code {code}"
        sys.stdout.write(f"{name:<12} {said:<24} {seconds:6.1f} s\n")
    return 1 if any(code for _, code, _ in report) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
