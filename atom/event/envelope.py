"""An event as it travels: the envelope of contract 16, in JSON and as an object."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from atom.observe.request_context import CALLER, REQUEST_ID, TRACEPARENT
from atom.postgres.database import Connection
from atom.reply import dump

NOTE = "select set_config('atom.event', $1, true)"  # until the transaction ends
# The same as a condition, of a statement that changes a user's own row: they asked.
AS_SELF = """set_config('atom.event',
  (${place}::text::jsonb || jsonb_build_object('user_id', id))::text, true)
  is not null"""
FIELDS = (
    "event_id",
    "event_type",
    "aggregate_type",
    "aggregate_id",
    "occurred_at",
    "version",
    "metadata",
    "payload",
)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, once: an event that is delivered again has the same `event_id`.

    Also a mapping, as in JSON: `event["payload"]` is `event.payload`.
    """

    event_id: str
    event_type: str
    aggregate_type: str
    aggregate_id: str | None
    occurred_at: str
    version: int
    metadata: Mapping[str, Any]
    payload: Any

    def __getitem__(self, name: str) -> Any:
        if name not in FIELDS:
            raise KeyError(name)
        return getattr(self, name)

    @property
    def key(self) -> str | None:
        """What orders it: events of one aggregate are delivered one after another."""
        if self.aggregate_id is None:
            return None
        return f"{self.aggregate_type}:{self.aggregate_id}"

    def as_dict(self) -> dict[str, Any]:
        """Return every field by name."""
        return {name: getattr(self, name) for name in FIELDS}

    def as_json(self) -> bytes:
        """Return the body that is sent to a target."""
        return dump(self.as_dict())


def read(body: bytes | str | Mapping[str, Any]) -> Event:
    """Parse an envelope.

    Raises:
        ValueError: naming the first field that is missing.
    """
    found = body if isinstance(body, Mapping) else orjson.loads(body)
    if not isinstance(found, Mapping):
        raise ValueError("an event is a JSON object")
    if missing := [name for name in FIELDS if name not in found]:
        raise ValueError(f"an event without {missing[0]}")
    return Event(**{name: found[name] for name in FIELDS})


def written_at(moment: datetime) -> str:
    """Return a moment in UTC, with its offset."""
    return moment.astimezone(UTC).isoformat()


def metadata_text() -> str:
    """Return the metadata of an event that is written now, as JSON."""
    return dump(metadata()).decode()


async def note_caller(connection: Connection) -> None:
    """Note who asked, for the triggers, until the end of a transaction."""
    await connection.run(NOTE, metadata_text())


def metadata() -> dict[str, Any]:
    """Return who asked for the work in progress; nothing outside of a request."""
    user_id = CALLER.get().get("id")
    found = {
        "request_id": REQUEST_ID.get() or None,
        "user_id": None if user_id is None else int(user_id),
        "traceparent": TRACEPARENT.get() or None,
    }
    return {name: value for name, value in found.items() if value is not None}
