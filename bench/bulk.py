"""Many rows at once: lists as bodies, import and export, against COPY by others."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from bench import copied, table, transfer
from bench.load import BenchError, Counted, Request, press, read_counts
from bench.measure import Row, Side, timed
from bench.scene import Scene, ask, run_pinned


def digest(url: str, name: str) -> tuple[int, int]:
    """Return how many rows a table holds, and a sum over their values."""
    return asyncio.run(table.digest(url, name))


@cache
def original(url: str) -> tuple[int, int]:
    """Return the same of bench_many, which stays as it is."""
    return digest(url, "bench_many")


def rows(scene: Scene, number: int, file: Path) -> Iterator[Row]:
    """Yield the rows; `file` holds so many rows of bench_many as CSV."""
    yield _created(scene)
    other = transfer.reference(scene, file)
    yield Row(
        "import",
        f"import, {number:,} rows",
        f"{other.name} in",
        _emptied(scene, lambda: transfer.bring(scene, file, number)),
        _emptied(scene, other.bring),
        0.5,
        lambda: None,  # each run looks at what it has written
        times=number,
        warms=False,
    )
    yield Row(
        "export",
        f"export, {number:,} rows",
        f"{other.name} out",
        lambda _: timed(lambda: transfer.take(scene, number)),
        lambda _: timed(other.take),
        0.7,
        lambda: transfer.agree(scene, other),
        times=number,
    )


def _emptied(scene: Scene, what: Callable[[], object]) -> Side:
    """Return the side that fills an empty table with the rows of bench_many.

    Raises:
        BenchError: when it then holds others.
    """
    url = scene.postgres_url

    def fill(_: int) -> Counted:
        asyncio.run(table.empty(url))
        counted = timed(what)
        if digest(url, "bench_into") != original(url):
            raise BenchError("the rows that were imported are not those of the file")
        return counted

    return fill


def _created(scene: Scene) -> Row:
    listed = [copied.record(number) for number in range(copied.ROWS_OF_A_CALL)]
    for row in listed:
        row["amount"] = float(row["amount"])
    create = Request(
        "/my/object-create?table=bench_into",
        "POST",
        {**scene.bearer, "Content-Type": "application/json"},
        json.dumps(listed),
    )

    def check() -> None:
        made = ask(scene.atom.url, create)["message"]
        if len(set(made)) != len(listed):
            raise BenchError(f"bulk create made {len(set(made))} rows")

    def other(seconds: int) -> Counted:
        command = copied.command("rows", scene.postgres_url, str(seconds))
        return read_counts(run_pinned(scene, command).decode())

    return Row(
        "bulk",
        f"bulk create, {len(listed):,} rows a call, {copied.CALLERS} connections",
        "asyncpg `copy_records_to_table`, no HTTP",
        lambda seconds: press(scene.atom.url, create, seconds, copied.CALLERS),
        other,
        0.4,
        check,
        times=len(listed),
    )
