"""Publish an event: rows of `atom.outbox`, on the transaction of the caller.

It is delivered after that transaction is committed, and never if it is not.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from atom.event.declaration import NOWHERE, EventError, Events, EventType
from atom.event.envelope import metadata_text
from atom.postgres.database import Database
from atom.reply import dump
from atom.uuid7 import uuid7

INSERT = """
insert into atom.outbox (event_id, target, event_type, aggregate_type, aggregate_id,
  version, metadata, payload, state, settled_at)
select $1::uuid, target, $2, $3, $4, $5, $6::text::jsonb, $7::text::jsonb,
  case when target = 'none' then 'done' else 'pending' end,
  case when target = 'none' then now() end
from unnest($8::text[]) as target
"""
# On a connection of one's own the relay is woken by the transaction itself.
WAKE = """
select pg_notify('atom', '{"topic":"outbox","value":""}')
"""
TOPIC = "outbox"

Execute = Callable[..., Awaitable[Any]]


async def publish(
    source: Any,
    events: Events,
    event_type: str,
    *,
    aggregate_id: Any = None,
    payload: Any = None,
    aggregate_type: str | None = None,
    version: int = 1,
) -> str:
    """Write an event for each of its targets. Return its id.

    `source` is an app, a request, a hook or ports, or a connection: `client_postgres`,
    one of Atom or one of asyncpg.

    Raises:
        EventError: for a type that is not declared, or a payload that does not fit the
            model of its type.
    """
    found = events.find(event_type)
    about = event_type.rpartition(".")[0] if aggregate_type is None else aggregate_type
    event_id = str(uuid7())
    values = (
        event_id,
        event_type,
        about,
        None if aggregate_id is None else str(aggregate_id),
        version,
        metadata_text(),
        dump(_checked(events, found, payload)).decode(),
        list(found.targets),
    )
    await write(source, INSERT, *values, wakes=found.targets != (NOWHERE,))
    return event_id


def _checked(events: Events, found: EventType, payload: Any) -> Any:
    """Return the payload as JSON has it, checked by the model of the type if any."""
    model = events.models.get(found.name)
    is_model = hasattr(payload, "model_dump")
    if model is None:
        return payload.model_dump(mode="json") if is_model else payload
    from pydantic import ValidationError

    try:
        given = payload.model_dump() if is_model else payload
        return model.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each) for each in first["loc"]) or "payload"
        raise EventError(f"event {found.name}: {place}: {first['msg']}") from None


async def write(source: Any, insert: str, *values: Any, wakes: bool = True) -> None:
    """Write rows of `atom.outbox` on the caller's transaction; wake the relay after it.

    Raises:
        TypeError: when the source has neither a database nor a connection.
    """
    database, bus = _place(source)
    if database is None:
        execute = _own(source)
        await execute(insert, *values)
        if wakes:
            await execute(WAKE)
        return
    await database.run(insert, *values)
    if wakes and bus is not None:
        database.after_commit(lambda: bus.publish_soon(TOPIC))


def _place(source: Any) -> tuple[Database | None, Any]:
    """Return the database of an app and its bus; of a client, its database alone."""
    app = getattr(source, "app", source)
    ports = app.state.ports if hasattr(app, "state") else app
    if hasattr(ports, "database") and hasattr(ports, "bus"):
        return ports.database, ports.bus
    found = getattr(source, "database", None)
    return (found, None) if isinstance(found, Database) else (None, None)


def _own(source: Any) -> Execute:
    """Return what runs a statement on a connection of Atom or of asyncpg.

    Raises:
        TypeError: for anything else.
    """
    for name in ("run", "execute"):
        execute: Execute | None = getattr(source, name, None)
        if execute is not None:
            return execute
    raise TypeError(f"an event is published on an app or a connection, not {source!r}")
