"""Runs Atom's checks and tests:  python -m tests [check | quick | soak | …]

Alone: every check, then every test in three processes, since on two cores they wait as
much as they work. `quick` is for the loop, in less than a minute: the unit tests and
the smoke test. `soak` runs the tests that find more the longer they run (random
requests, kills, every statement of a migration) at their full size. Anything else is
passed to pytest, in one process and in order. What the machine lacks is listed at the
end.

Every part runs even when another fails; the exit code is 0 only when all have passed.
The few tests that fail while three processes share the machine are run once more,
alone: what fails again has failed, what passes is listed as unsteady, to be mended.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CHECKS = {
    "ruff check": ("ruff", "check", "--config", "pyproject.toml", "."),
    "ruff format": ("ruff", "format", "--check", "--config", "pyproject.toml", "."),
    "mypy": ("mypy", "--config-file", "pyproject.toml"),
}
PYTEST = ("pytest", "-q", "-c", "tests/pytest.ini")
PLACES = ("tests", "atom", "embedded", "tools", "bench")
# In the order of the folders: what starts servers first, what is quick at the end, so
# that no process is left alone with a long file; what waits is spread between them.
SPREAD = (
    "-n",
    "3",
    "--dist",
    "loadfile",
    "--no-loadscope-reorder",
    "-p",
    "tests.order",
)
QUICK = ("tests/unit", "tests/acceptance/test_smoke.py", "-n", "2")
SOAK = ("tests", "-m", "soak")
AGAIN = (*PYTEST, *PLACES, "--last-failed", "--last-failed-no-failures", "none")
AGAIN_MAX = 20  # more is not an accident
FAILED = ROOT / "tests" / ".pytest_cache" / "v" / "cache" / "lastfailed"


def parts(arguments: list[str]) -> dict[str, tuple[str, ...]]:
    """Return what to run, by name.

    >>> list(parts(["check"]))
    ['ruff check', 'ruff format', 'mypy']
    >>> list(parts([])), list(parts(["soak"]))
    (['ruff check', 'ruff format', 'mypy', 'pytest'], ['pytest'])
    >>> parts(["-k", "rate"])["pytest"][-2:]
    ('-k', 'rate')
    """
    match arguments:
        case ["check"]:
            return dict(CHECKS)
        case ["quick"]:
            return {"pytest": (*PYTEST, *QUICK)}
        case ["soak"]:
            return {"pytest": (*PYTEST, *SOAK)}
        case []:
            return {**CHECKS, "pytest": (*PYTEST, *PLACES, *SPREAD)}
        case _:
            return {**CHECKS, "pytest": (*PYTEST, *arguments)}


def environment(arguments: list[str]) -> dict[str, str]:
    """Return ours, but keep what is compiled: a hundred servers start during a run."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | ({"ATOM_SOAK": "1"} if arguments == ["soak"] else {})


@contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Have the tests compiled meanwhile, once: each process would do it for itself."""
    if not wanted:
        yield
        return
    words = [sys.executable, "-m", *PYTEST, "--collect-only", *PLACES]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, cwd=ROOT, env=environment([]), **quiet):
        yield


def run(
    name: str, command: tuple[str, ...], env: dict[str, str]
) -> tuple[str, int, float]:
    """Run one part; return its name, its exit code and the seconds it took."""
    sys.stdout.write(f"── {name}\n")
    sys.stdout.flush()
    started = time.monotonic()
    words = [sys.executable, "-m", *command]
    done = subprocess.run(words, cwd=ROOT, env=env, check=False)
    return name, done.returncode, time.monotonic() - started


def failed() -> list[str]:
    """Return the tests that failed in the last run."""
    return sorted(json.loads(FAILED.read_text())) if FAILED.exists() else []


def is_accident(names: list[str]) -> bool:
    """Whether so few tests failed that they are worth a second run.

    A name without `::` is a process that collected other tests than the rest. Pytest
    does not know it, and would run every test in search of it.

    >>> is_accident(["unit/test_a.py::test_b"]), is_accident(["gw1", "gw2"])
    (True, False)
    >>> is_accident([]), is_accident(["unit/test_a.py::test_b"] * 21)
    (False, False)
    """
    return 0 < len(names) <= AGAIN_MAX and all("::" in name for name in names)


def run_again(env: dict[str, str]) -> tuple[str, int, float] | None:
    """Run the tests that failed once more, alone; None when they are no accident."""
    names = failed()
    if not is_accident(names):
        return None
    report = run("pytest, again", AGAIN, env)
    for name in sorted(set(names) - set(failed())):
        sys.stdout.write(f"unsteady: {name}\n")
    return report


def main(arguments: list[str]) -> int:
    """Run the parts in order, list how each went, and return the exit code."""
    wanted, env = parts(arguments), environment(arguments)
    absent = ["mypy"] if not Path("/proc/cpuinfo").exists() else []  # it counts cores
    absent = [name for name in absent if wanted.pop(name, None)]
    with compiling(not arguments):
        report = [run(name, wanted.pop(name), env) for name in CHECKS if name in wanted]
    report += [run(*each, env) for each in wanted.items()]
    codes = [code for _, code, _ in report]
    if not arguments and codes[-1] == 1 and (second := run_again(env)) is not None:
        report.append(second)
        codes[-1] = second[1]
    sys.stdout.write("\n")
    for name, code, seconds in report:
        result = "passed" if code == 0 else f"FAILED, exit code {code}"
        sys.stdout.write(f"{name:<12} {result:<24} {seconds:6.1f} s\n")
    for name in absent:
        sys.stdout.write(f"{name:<12} absent: /proc\n")
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
