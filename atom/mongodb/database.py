"""The databases that config lists, and one opened by name."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from atom.client import needed
from atom.client.mongodb import LIST, URL
from atom.errors import ApiError, nearest
from atom.mongodb.fault import answered


def listed(choices: Sequence[str], name: str) -> str:
    """Return the name of a database that rows from outside may be written to.

    Raises:
        ApiError: `mongodb.unknown_database`, naming the choices.
    """
    if name in choices:
        return name
    text = f"Database '{name[:60]}' is not one of {LIST}"
    text += f": {', '.join(choices)}." if choices else ", which is empty."
    raise ApiError(text, code="mongodb.unknown_database", hint=nearest(name, choices))


@asynccontextmanager
async def opened(
    clients: Mapping[str, Any], name: str | None = None, *, default: str | None = None
) -> AsyncIterator[Any]:
    """Open a database: the one named, else that of the URL, else the default.

    Raises:
        Unavailable: `client.missing` or `client.silent`, also from within the block.
        ApiError: `mongodb.unknown_database` when there is no name to go by.
    """
    client = needed(clients, "client_mongodb", URL)
    with answered():
        yield client[name] if name else _default(client, default)


def _default(client: Any, name: str | None) -> Any:
    from pymongo.errors import ConfigurationError

    try:
        return client.get_default_database(name)
    except ConfigurationError as error:
        raise ApiError(
            "No database is named.",
            code="mongodb.unknown_database",
            hint=f"Name one, in the URL or in {LIST}.",
        ) from error
