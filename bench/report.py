"""What was measured, as text."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.measure import Line

PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "asyncpg", "orjson")


def machine() -> str:
    """Return a line about the machine."""
    model = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.is_file():
        names = [x for x in cpu.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores of {model}, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}."
    )


def table(lines: Sequence[Line]) -> str:
    """Write the lines as Markdown."""
    head = ("", "against", "Atom", "the other", "ratio", "to reach")
    cells = [head, ("---",) * 6]
    for line in lines:
        aim = line.aim if line.reached else f"{line.aim}, **missed**"
        cells.append((line.label, line.against, line.atom, line.other, line.ratio, aim))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def text(
    tables: Sequence[Sequence[Line]], rounds: int, seconds: int, sent: int, kept: int
) -> str:
    """Write the tables, and under what circumstances they were measured."""
    written = "\n".join(table(lines) for lines in tables if lines)
    noted = f" and took {kept:,} rows for {sent:,} requests" if sent else ""
    return (
        f"{written}\nMedians of {rounds} rounds of {seconds} s (import and export: of "
        f"{rounds} runs), 32 connections unless noted. `log_api` was on{noted}. "
        f"{machine()}\n"
    )
