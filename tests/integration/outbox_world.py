"""A database with an outbox, and events for targets of tests."""

from contextlib import asynccontextmanager

import asyncpg

from atom.client.postgres import _take_objects_for_jsonb
from atom.event.declaration import Events, EventType
from atom.postgres.database import Database
from atom.schema import apply as schema
from atom.schema.apply import Declaration


class Settings:
    """What the relay reads of config."""

    outbox_retention_sec = 3600.0


def events_of(*targets, retry=(1.0, 2.0), **types):
    """Return events: `made` for these targets, and more by name."""
    found = {"order.made": EventType("order.made", targets, tuple(retry))}
    found |= {name: EventType(name, each, tuple(retry)) for name, each in types.items()}
    return Events(Settings(), found, {}, {})


@asynccontextmanager
async def database_of(url):
    """Open a database as a server does."""
    pool = await asyncpg.create_pool(
        url, min_size=1, max_size=8, init=_take_objects_for_jsonb
    )
    try:
        yield Database(pool)
    finally:
        await pool.close()


async def make_outbox(url):
    """Make Atom's own tables."""
    await schema.apply(url, Declaration.parse({"table": {}}))
