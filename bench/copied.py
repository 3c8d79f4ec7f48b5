"""COPY by asyncpg itself, without a server: the reference of rows that are written.

A program of its own, so that it can be kept on the cores a server would have:
python -m bench.copied rows URL SECONDS, in URL FILE, or out URL QUERY FILE. What
`rows` counted is printed as wrk prints it.
"""

import asyncio
import sys
import time
from decimal import Decimal
from statistics import quantiles
from typing import Any

import asyncpg

from bench.table import PLAIN_COLUMNS

ROWS_OF_A_CALL = 1000
CALLERS = 4
OUT = "select * from bench_many"


def record(number: int) -> dict[str, Any]:
    """Make one row as a client sends it, with its creator."""
    return {
        "account_id": number % 100 + 1,
        "title": f"title {number}",
        "amount": Decimal(number) / 4,
        "is_paid": number % 2,
        "note": "made by the bench",
    }


async def call(pool: asyncpg.Pool, until: float, took: list[float]) -> None:
    """Copy the same rows again and again; note how long each call took."""
    records = [(1, *record(number).values()) for number in range(ROWS_OF_A_CALL)]
    columns = ("created_by_id", *record(0))
    while (started := time.perf_counter()) < until:
        await pool.copy_records_to_table("bench_into", records=records, columns=columns)
        took.append(time.perf_counter() - started)


async def rows(url: str, seconds: int) -> None:
    """Copy for so many seconds, over as many connections as the other side has."""
    took: list[float] = []
    async with asyncpg.create_pool(url, min_size=CALLERS, max_size=CALLERS) as pool:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(call(pool, began + seconds, took))
        lasted = time.perf_counter() - began
    parts = quantiles(took, n=100, method="inclusive")
    figures = (len(took), lasted * 1e6, 0, parts[49] * 1e6, parts[98] * 1e6)
    print("COUNTED", *(f"{figure:.0f}" for figure in figures))


async def bring(url: str, file: str) -> None:
    """Copy a CSV file in, as it is."""
    connection = await asyncpg.connect(url, command_timeout=600)
    try:
        await connection.copy_to_table(
            "bench_into", source=file, columns=PLAIN_COLUMNS, format="csv", header=True
        )
    finally:
        await connection.close()


async def take(url: str, query: str, file: str) -> None:
    """Copy the rows of a query out, into a CSV file."""
    connection = await asyncpg.connect(url, command_timeout=600)
    try:
        await connection.copy_from_query(query, output=file, format="csv", header=True)
    finally:
        await connection.close()


def command(*words: str) -> list[str]:
    """Return the command that runs this file."""
    return [sys.executable, "-m", "bench.copied", *words]


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    if verb == "rows":
        asyncio.run(rows(words[0], int(words[1])))
    else:
        asyncio.run({"in": bring, "out": take}[verb](*words))
