"""A row function tried again after another tool has changed the tables."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from atom.errors import ApiError
from atom.port import Ports
from atom.postgres.database import Database
from atom.postgres.errors import UNCOMPARED

STALE = frozenset(
    {"row.rule_broken", "sql.changed", "sql.unknown_column", "sql.unknown_table"}
)
HEALS_MAX = 3  # another reading of the tables may end just before the change
Given = ParamSpec("Given")
Source = TypeVar("Source", Database, Ports)
Made = TypeVar("Made")
Call = Callable[Concatenate[Source, Given], Awaitable[Made]]


def healed(call: Call[Source, Given, Made]) -> Call[Source, Given, Made]:
    """Return a row function that reads the catalog again when it may be out of date."""

    @wraps(call)
    async def tried(source: Source, *given: Given.args, **named: Given.kwargs) -> Any:
        database: Database = getattr(source, "database", source)  # type: ignore[arg-type]
        for _ in range(HEALS_MAX):
            before = database.catalog
            try:
                return await call(source, *given, **named)
            except ApiError as error:
                # No filter is to blame, so a rule is: it calls what is not there.
                is_rule = error.message == UNCOMPARED
                if error.code not in STALE and not is_rule:
                    raise
                at_once = is_rule or error.code == "sql.changed"
                if not await database.heal(before, at_once=at_once):
                    raise
        return await call(source, *given, **named)

    return tried  # type: ignore[return-value]  # a coroutine is awaitable
