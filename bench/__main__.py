"""Measures Atom against FastAPI written by hand:  python -m bench --help

Three rounds, A B A B; both servers on one core, PostgreSQL and the load on the others;
the same database, the same uvicorn settings, one worker each. `log_api` is on.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import bulk, consume, crowd, event, growth, report, row, scope, table
from bench.before import against
from bench.load import BenchError, wrk
from bench.measure import Line, Row, compared, measure
from bench.scene import Scene, database, free, keep_on, memory_mb, own_cores, staged
from tests.served import serve

HERE = Path(__file__).parent
REST_SECONDS = 3
EVERYDAY = (
    "start",
    "memory",
    "index",
    "cached",
    "read",
    "fastify",
    "profile",
    "create",
)
UNLOGGED = ("index", "bare-index")  # what probes ask is not a row of log_api
FLOOR = ("bare-index", "bare-cached")
READS = ("filter", "wide", "cursor", "cursor-order", "relation", "batch")
SCOPE = ("scope", "scope-policy")
BULK = ("bulk", "import", "export")
CROWD = ("crowd",)
GROWTH = ("growth", "growth-typed")
EVENT = ("event", "event-own")
CONSUME = ("consume", "consume-rows")
NAMES = (*EVERYDAY, *FLOOR, *READS, *SCOPE, *BULK, *CROWD, *GROWTH, *EVENT, *CONSUME)


class Bench:
    """One run: what was chosen, and what came of it so far."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.tables: list[list[Line]] = [[], []]
        self.raw: dict[str, Any] = {}
        self.sent = self.kept = 0

    def wants(self, *names: str) -> bool:
        """Whether any of these rows is to be measured."""
        return not self.chosen.only or not set(names).isdisjoint(self.chosen.only)

    def add(self, place: int, line: Line) -> None:
        """Keep a line of the first or second table, and show it."""
        self.tables[place].append(line)
        sys.stdout.write(report.table([line]).splitlines()[-1] + "\n")
        sys.stdout.flush()

    def measure(self, place: int, rows: Iterator[Row]) -> None:
        """Measure those of the rows that were chosen."""
        for each in rows:
            if not self.wants(each.name):
                continue
            counts, answered = measure(each, self.chosen.rounds, self.chosen.seconds)
            if each.name not in UNLOGGED:
                self.sent += answered
            self.raw[each.name] = [[vars(count) for count in side] for side in counts]
            self.add(place, compared(each, counts))


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


def on_one_database(run: Bench, scene: Scene, cores: set[int]) -> None:
    """Measure what both servers are asked; count in the end what the log kept.

    `cores` are those that everything shares where a scheduler is part of the question.
    """
    if run.chosen.before is not None:
        with against(run.chosen.before, scene) as rows:
            run.measure(0, iter(rows))
        run.sent = 0  # the log is not counted
        return
    if run.wants("memory"):
        run.add(0, rest(scene))
    url, many = scene.postgres_url, run.chosen.rows
    before = asyncio.run(table.count(url, "log_api"))
    run.measure(0, row.everyday(scene))
    run.measure(1, event.rows(scene))
    if run.wants(*READS, *SCOPE, *BULK):
        asyncio.run(table.fill(url, many))
    if run.wants(*READS):
        run.measure(1, row.deep(scene, many))
    if run.wants(*SCOPE):
        users = scope.tokens(scene)
        asyncio.run(scope.fill(scene, many, users))
        run.measure(1, scope.rows(scene, many, users))
    if run.wants(*BULK):
        file = scene.folder / "rows.csv"
        asyncio.run(table.written(url, file))
        run.measure(1, bulk.rows(scene, many, file))
    time.sleep(REST_SECONDS)
    run.kept = asyncio.run(table.count(url, "log_api")) - before
    if run.wants(*CROWD):
        sent = run.sent  # the crowd's own requests are not counted, nor in the log
        before_it = own_cores()
        asyncio.run(free(scene, cores))
        run.measure(1, crowd.rows(scene, asyncio.run(crowd.fill(scene))))
        run.sent = sent
        keep_on(before_it)


def bench(chosen: argparse.Namespace) -> bool:
    """Run all of it. Return whether every aim was reached."""
    wrk()
    if (busy := os.getloadavg()[0]) > 0.5:
        sys.stdout.write(f"Load average {busy:.1f}: others work here, mistrust this.\n")
    run = Bench(chosen)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        if run.wants("start") and chosen.before is None:
            for line in starts(folder / "start"):
                run.add(0, line)
        cores = sorted(own_cores())
        served_on, others = set(cores[:1]), set(cores[1:])
        if others:
            # PostgreSQL and wrk are started from here, and stay where we are.
            keep_on(others)
        else:
            sys.stdout.write("One core for everything: the ratios mean little.\n")
        served_on = served_on or set(cores)
        if run.wants(*set(NAMES) - {"start", *GROWTH, *CONSUME}):
            with ExitStack() as stack:
                url = chosen.postgres_url or stack.enter_context(
                    database(folder / "database")
                )
                scene = stack.enter_context(staged(folder, url, served_on))
                on_one_database(run, scene, set(cores))
        if run.wants(*GROWTH) and chosen.before is None:
            with growth.rows(folder, served_on) as rows:
                run.measure(1, iter(rows))
        if run.wants(*CONSUME) and chosen.before is None:
            with consume.stages(folder / "consume", served_on) as stages:
                for stage in stages:
                    run.measure(1, consume.lines(stage))
    text = report.text(run.tables, chosen.rounds, chosen.seconds, run.sent, run.kept)
    sys.stdout.write(f"\n{text}")
    if not chosen.only and chosen.before is None:
        (HERE / "result.md").write_text(text)
        run.raw["log_api"] = {"requests": run.sent, "rows": run.kept}
        (HERE / "result.json").write_text(json.dumps(run.raw, indent=1))
    return all(line.reached for lines in run.tables for line in lines)


def main() -> int:
    """Return 0 when every aim was reached, 1 when not, 2 when it could not be run."""
    reader = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    reader.add_argument("--rounds", type=int, default=3)
    reader.add_argument("--seconds", type=int, default=5, help="of each run")
    reader.add_argument(
        "--rows", type=int, default=1_000_000, help="of the large table, 2,000 or more"
    )
    reader.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        help="measure this alone; may be given again",
    )
    reader.add_argument(
        "--before",
        type=Path,
        metavar="PATH",
        help="measure the everyday routes against this earlier checkout, and no more",
    )
    reader.add_argument("--postgres-url", help="an empty database instead of our own")
    try:
        return 0 if bench(reader.parse_args()) else 1
    except (BenchError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
