"""Measures Atom against FastAPI written by hand:  python -m bench --help

Three rounds, A B A B; both servers on one core, PostgreSQL and the load on the others;
the same database, the same uvicorn settings, one worker each. `log_api` is on.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import BenchError, Counted, Request, press, warm, wrk
from bench.scene import ROWS, Scene, ask, database, logged, memory_mb, same, staged
from tests.served import serve

HERE = Path(__file__).parent
REST_SECONDS = 3
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "asyncpg", "orjson")


@dataclass(frozen=True)
class Row:
    """One line of the table: what Atom is asked, what the other is asked."""

    name: str
    label: str
    against: str
    atom: Request
    byhand: Request
    least: float


@dataclass(frozen=True)
class Line:
    """One line of the table, measured."""

    label: str
    against: str
    atom: str
    other: str
    ratio: str
    aim: str
    reached: bool


def rows(token: str) -> list[Row]:
    """Return what is measured, in order; what adds rows comes last."""
    bearer = {"Authorization": f"Bearer {token}"}
    empty = Request("/")
    read = Request("/public/object-read?table=test&limit=10")
    profile = Request("/my/profile", headers=bearer)
    create = Request(
        "/my/object-create?table=test",
        "POST",
        {**bearer, "Content-Type": "application/json"},
        '{"title": "made by the bench", "description": "one of many"}',
    )
    cached = Request("/bench/cached")
    return [
        Row("index", "`GET /`", "empty FastAPI route", empty, empty, 0.85),
        Row("cached", "cached GET, memory", "empty FastAPI route", cached, empty, 1.5),
        Row("read", f"`{read.path}`, {ROWS:,} rows", "by hand", read, read, 1.0),
        Row("profile", "`/my/profile` with token", "by hand", profile, profile, 0.9),
        Row("create", "`/my/object-create`", "by hand", create, create, 0.8),
    ]


def agree(scene: Scene, row: Row) -> None:
    """Make sure that both answer the same before either is measured.

    Raises:
        BenchError: showing both answers.
    """
    one, other = ask(scene.atom.url, row.atom), ask(scene.byhand.url, row.byhand)
    if row.atom.method == "POST":
        made = one["message"], other["message"]
        if all(isinstance(number, int) for number in made):
            return
    if not same(one, other):
        shown = "\n".join(json.dumps(answer)[:2000] for answer in (one, other))
        raise BenchError(f"{row.name}: the two answers differ:\n{shown}")


def measure(
    scene: Scene, row: Row, rounds: int, seconds: int
) -> tuple[list[list[Counted]], int]:
    """Take turns, A B A B.

    Return the counts of Atom and those of the other; and how many answers Atom gave
    in all, warming up included.
    """
    agree(scene, row)
    sides = ((scene.atom.url, row.atom), (scene.byhand.url, row.byhand))
    counts: list[list[Counted]] = [[], []]
    answered = [warm(url, request).requests for url, request in sides]
    for _ in range(rounds):
        for side, (url, request) in enumerate(sides):
            counts[side].append(press(url, request, seconds))
    return counts, answered[0] + sum(count.requests for count in counts[0])


def compared(row: Row, counts: list[list[Counted]]) -> Line:
    """Put medians beside each other."""
    mine, other = (median(c.per_second for c in side) for side in counts)
    p99 = [median(c.p99_ms for c in side) for side in counts]
    return Line(
        row.label,
        row.against,
        f"{mine:,.0f}/s, p99 {p99[0]:.1f} ms",
        f"{other:,.0f}/s, p99 {p99[1]:.1f} ms",
        f"{mine / other:.2f}",
        f"≥ {row.least}",
        mine / other >= row.least,
    )


def starts(folder: Path) -> Iterator[Line]:
    """Measure how long it takes from the command to the first 200."""
    for label, most in (("first start to first 200, embedded", 8), ("later start", 2)):
        with serve(folder=folder) as served:
            seconds = served.seconds_to_first_answer
        yield Line(
            label, "–", f"{seconds:.2f} s", "–", "–", f"≤ {most} s", seconds <= most
        )


def rest(scene: Scene) -> Line:
    """Compare memory before any load."""
    time.sleep(REST_SECONDS)
    mine = memory_mb(scene.atom.process.pid)
    other = memory_mb(scene.byhand.process.pid)
    return Line(
        "memory at rest, one worker",
        "by hand",
        f"{mine:.0f} MiB",
        f"{other:.0f} MiB",
        f"{mine / other:.2f}",
        "≤ 1.5",
        mine / other <= 1.5,
    )


def machine() -> str:
    """Say what was measured on."""
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


def table(lines: list[Line]) -> str:
    """Write the lines as Markdown."""
    head = ("", "against", "Atom", "the other", "ratio", "to reach")
    cells = [head, ("---",) * 6]
    for line in lines:
        aim = line.aim if line.reached else f"{line.aim}, **missed**"
        cells.append((line.label, line.against, line.atom, line.other, line.ratio, aim))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def load_rows(
    scene: Scene, chosen: argparse.Namespace, raw: dict[str, Any]
) -> Iterator[Line]:
    """Measure the rows that were asked for; count in the end what the log kept."""
    sent, before = 0, asyncio.run(logged(scene.postgres_url))
    for row in rows(scene.token):
        if chosen.only and row.name not in chosen.only:
            continue
        counts, answered = measure(scene, row, chosen.rounds, chosen.seconds)
        sent += answered
        raw[row.name] = [[vars(count) for count in side] for side in counts]
        yield compared(row, counts)
    time.sleep(REST_SECONDS)
    kept = asyncio.run(logged(scene.postgres_url)) - before
    raw["log_api"] = {"requests": sent, "rows": kept}


def bench(chosen: argparse.Namespace) -> list[Line]:
    """Run all of it. Return the table's lines."""
    wrk()
    if (busy := os.getloadavg()[0]) > 0.5:
        sys.stdout.write(f"Load average {busy:.1f}: others work here, mistrust this.\n")
    lines: list[Line] = []
    raw: dict[str, Any] = {}

    def add(line: Line) -> None:
        lines.append(line)
        sys.stdout.write(table([line]).splitlines()[-1] + "\n")
        sys.stdout.flush()

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench")))
        if not chosen.only or "start" in chosen.only:
            for line in starts(folder / "start"):
                add(line)
        cores = (
            sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        )
        served_on, others = set(cores[:1]), set(cores[1:])
        if others:
            # PostgreSQL and wrk are started from here, and stay where we are.
            os.sched_setaffinity(0, others)
        else:
            sys.stdout.write("One core for everything: the ratios say little.\n")
        url = chosen.postgres_url or stack.enter_context(database(folder / "database"))
        scene = stack.enter_context(staged(folder, url, served_on or set(cores)))
        if not chosen.only or "memory" in chosen.only:
            add(rest(scene))
        for line in load_rows(scene, chosen, raw):
            add(line)
    text = (
        f"{table(lines)}\nMedians of {chosen.rounds} rounds of {chosen.seconds} s, "
        f"32 connections. `log_api` was on and took {raw['log_api']['rows']:,} rows "
        f"for {raw['log_api']['requests']:,} requests. {machine()}\n"
    )
    sys.stdout.write(f"\n{text}")
    if not chosen.only:
        (HERE / "result.md").write_text(text)
    (HERE / "result.json").write_text(json.dumps(raw, indent=1))
    return lines


def main() -> int:
    """Return 0 when every aim was reached, 1 when not, 2 when it could not be run."""
    reader = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--seconds", type=int, default=5, help="of each run")
    reader.add_argument(
        "--only",
        action="append",
        choices=("start", "memory", "index", "cached", "read", "profile", "create"),
        help="measure this alone; may be given again",
    )
    reader.add_argument("--postgres-url", help="an empty database instead of our own")
    try:
        lines = bench(reader.parse_args())
    except (BenchError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if all(line.reached for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
