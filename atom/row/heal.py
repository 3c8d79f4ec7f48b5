"""A row function tried once more after another tool has changed the tables."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from atom.errors import ApiError
from atom.port import Ports
from atom.postgres.database import Database

STALE = frozenset({"sql.changed", "sql.unknown_column", "sql.unknown_table"})
Given = ParamSpec("Given")
Source = TypeVar("Source", Database, Ports)
Made = TypeVar("Made")
Call = Callable[Concatenate[Source, Given], Awaitable[Made]]


def healed(call: Call[Source, Given, Made]) -> Call[Source, Given, Made]:
    """Return a row function that reads the catalog again when it may be out of date."""

    @wraps(call)
    async def tried(source: Source, *given: Given.args, **named: Given.kwargs) -> Any:
        database: Database = getattr(source, "database", source)  # type: ignore[arg-type]
        before = database.catalog
        try:
            return await call(source, *given, **named)
        except ApiError as error:
            if error.code not in STALE:
                raise
            if database.catalog is before:
                await database.heal(at_once=error.code == "sql.changed")
            if database.catalog is before:
                raise
        return await call(source, *given, **named)

    return tried  # type: ignore[return-value]  # a coroutine is awaitable
