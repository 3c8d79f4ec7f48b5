"""Several rows written so that two requests never wait for each other.

PostgreSQL ends such a deadlock after a second only, by an error for one of them.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from atom.errors import Conflict
from atom.postgres.database import Database
from atom.row.sql.write import Wait

BUSY = "row.busy"
Result = TypeVar("Result")


async def in_turn(
    database: Database, rows: int, run: Callable[[Wait], Awaitable[Result]]
) -> Result:
    """Write rows by a statement that waits as it is asked to. Return what it returns.

    Locking rows in the order of their keys costs as much as a third of the write, so
    they are locked only where another request holds one. In a transaction the rows that
    it has locked before are in no order, and its settings are the caller's.
    """
    if rows < 2:
        return await run(Wait.PLAIN)
    if database.current() is None:
        try:
            return await run(Wait.BRIEF)
        except Conflict as error:
            if error.code != BUSY:
                raise
    return await run(Wait.ORDERED)
