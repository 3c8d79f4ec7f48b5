"""What taking a row costs, and which errors are a row's own fault."""

import asyncpg
import pytest

from atom.observe.journal import PostgresJournal
from atom.postgres.copying import about_a_row
from tests.unit.effort import counted


async def test_taking_a_row_costs_next_to_nothing():
    """A few steps, however many wait already: every request pays them."""
    journal = PostgresJournal(None, ("a",), batch=10, seconds=1)
    row = ("x",)
    with counted() as effort:
        for _ in range(10_000):
            journal.append(row)

    assert effort.steps < 15 * 10_000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.DataError("x"), True),
        (asyncpg.InvalidTextRepresentationError("x"), True),
        (asyncpg.CheckViolationError("x"), True),
        (OverflowError("x"), True),
        (TypeError("x"), True),
        (asyncpg.UndefinedColumnError("x"), False),
        (asyncpg.InterfaceError("x"), False),
        (asyncpg.ConnectionDoesNotExistError("x"), False),
        (asyncpg.AdminShutdownError("x"), False),
        (asyncpg.DiskFullError("x"), False),
        (OSError("x"), False),
        (TimeoutError("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_blame(error, expected):
    """A row is dropped for its own fault, never because the database was away."""
    assert expected is about_a_row(error)
