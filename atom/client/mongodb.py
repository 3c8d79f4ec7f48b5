"""MongoDB, by PyMongo's own asyncio client."""

import asyncio
from collections.abc import Mapping
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import mapping, names, text
from atom.config.resolve import Key
from atom.errors import ApiError, ConfigError

URL = "config_mongodb_url"
LIST = "config_mongodb_database_list"
INDEX = "config_mongodb_index"
REFUSED = {  # by MongoDB's code; a hosted one has codes of its own
    18: "MongoDB refuses this user or password",
    8000: "MongoDB refuses this user or password",
}
UNFIT = {
    11000: "documents with the same values are there",
    85: "the same index is there, but not unique",
    86: "an index of this name is there with other fields",
    13: "the user may not make indexes",
}


def unique_indexes(
    value: Any,
) -> Mapping[str, Mapping[str, tuple[tuple[str, ...], ...]]]:
    """Parse `{"shop": {"user": ["email", ["org_id", "code"]]}}`.

    Database, collection, and the unique indexes: a field, or a list of them.
    """
    found: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {}
    for database, collections in mapping(value).items():
        room = found[str(database)] = {}
        for collection, indexes in mapping(collections).items():
            if isinstance(indexes, str) or not isinstance(indexes, list | tuple):
                raise ValueError(f"expected a list of indexes for {collection!r}")
            room[str(collection)] = tuple(names(index) for index in indexes)
            if not all(room[str(collection)]):
                raise ValueError(f"an index of {collection!r} names no field")
    return found


async def make_indexes(mongodb: Any, declared: Mapping[str, Any]) -> None:
    """Make the unique indexes that are not there.

    Raises:
        ConfigError: naming the index, and why it cannot be made.
    """
    from pymongo.errors import OperationFailure

    for database, collections in declared.items():
        for collection, indexes in collections.items():
            for fields in indexes:
                keys = [(field, 1) for field in fields]
                try:
                    await mongodb[database][collection].create_index(keys, unique=True)
                except OperationFailure as error:
                    if error.timeout:
                        raise
                    why = UNFIT.get(error.code or 0, f"MongoDB's code {error.code}")
                    where = f"{database}.{collection} ({', '.join(fields)})"
                    raise ConfigError([f"{INDEX}: {where}: {why}"]) from error


async def connect(config: Config, live: Live) -> Any:
    """Open a client and prove that a server answers.

    Raises:
        ConfigError: when it refuses the user, or an index cannot be made.
    """
    from pymongo import AsyncMongoClient
    from pymongo.errors import OperationFailure

    mongodb: Any = AsyncMongoClient(
        config[URL],
        serverSelectionTimeoutMS=2_000,
        connectTimeoutMS=2_000,
        waitQueueTimeoutMS=2_000,
        timeoutMS=10_000,  # of one operation, with its retries
        tz_aware=True,
    )
    try:
        async with asyncio.timeout(3):
            await mongodb.admin.command("ping")
        await make_indexes(mongodb, config[INDEX])
    except OperationFailure as error:
        await mongodb.close()
        if (problem := REFUSED.get(error.code or 0)) is None:
            raise
        raise ConfigError([f"{URL}: {problem}"]) from None
    except BaseException:
        await mongodb.close()
        raise
    mongodb.atom_databases = config[LIST]  # for doctor
    return mongodb


async def examine(mongodb: Any) -> str:
    """Return the version of the server; delete a document that is in no collection.

    Raises:
        ApiError: naming the database of config that the user may not write to.
    """
    from pymongo.errors import OperationFailure

    for database in mongodb.atom_databases:
        try:
            await mongodb[database]["atom_doctor"].delete_one({"_id": "atom_doctor"})
        except OperationFailure as error:
            raise ApiError(
                f"The user may not write to the database {database}.",
                code="client.refused",
                status=502,
                hint=f"Give the user of {URL} the role readWrite on {database}.",
            ) from error
    found = await mongodb.admin.command("buildInfo")
    if product := found.get("ferretdbVersion"):
        return f"FerretDB {product.removeprefix('v')}"
    return f"MongoDB {found['version']}"


MONGODB = Client(
    name="client_mongodb",
    needs=(URL,),
    package="pymongo==4.20.0",
    keys=(
        Key(
            URL,
            text,
            None,
            "MongoDB.",
            secret=True,
            also=("MONGODB_URL",),
        ),
        Key(
            LIST,
            names,
            (),
            "Databases that routes may write to; the first is that of "
            "`function_mongodb`, unless the URL names one.",
        ),
        Key(
            INDEX,
            unique_indexes,
            {},
            "Unique indexes that are made at start: `{database: {collection: [field or "
            "list of fields]}}`.",
        ),
    ),
    open=connect,
    close=lambda mongodb: mongodb.close(),
    probe=lambda mongodb: mongodb.admin.command("ping"),
    examine=examine,
)
