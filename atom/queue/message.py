"""A message: what to do, with which arguments, by an id that a redelivery keeps.

Its JSON is one object. `{"function": "function_x", "message_id": …, "key": …}` asks for
a function; all other members are its arguments. An event has `event_type` and
`event_id` instead. What SNS wraps is unwrapped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atom.datatype import exact
from atom.queue.broker import Delivery
from atom.uuid7 import uuid7

ID_MAX = 200  # characters
FUNCTION = "function"
RESERVED = (FUNCTION, "message_id", "key")


class Rejected(Exception):
    """A message that no further attempt would help: it becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a handler is called with.

    `name` is a function, or the type of an event; of an event `arguments` is the whole
    envelope. Messages with the same `key` are handled in order.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid7()))
    key: str | None = None
    is_event: bool = False

    def body(self) -> bytes:
        """Return the message as JSON.

        Raises:
            ValueError: when an argument is called like a member of every message.
        """
        if self.is_event:
            return exact.write(dict(self.arguments)).encode()
        if taken := sorted(set(RESERVED) & set(self.arguments)):
            raise ValueError(f"an argument cannot be called {', '.join(taken)}")
        key = {} if self.key is None else {"key": self.key}
        head = {"function": self.name, "message_id": self.id, **key}
        return exact.write({**head, **self.arguments}).encode()


def parse(delivery: Delivery) -> Message:
    """Read the message of a delivery.

    The id in its body counts before the one that the broker knows.

    Raises:
        Rejected: naming what is wrong with it.
    """
    found, outer_id = _unwrapped(_object(delivery.body, "the body"))
    if FUNCTION not in found and "event_type" in found:
        return _event(found, delivery)
    name = found.pop(FUNCTION, None)
    if not isinstance(name, str) or not name:
        raise Rejected("it has neither 'function' nor 'event_type'")
    message_id = found.pop("message_id", None) or outer_id or delivery.message_id
    key = found.pop("key", None)
    key = delivery.key if key is None else str(key)
    return Message(name, found, _id(message_id), key)


def key_of(delivery: Delivery) -> str | None:
    """Return what orders a delivery; what cannot be read is ordered by its sender."""
    try:
        return parse(delivery).key
    except Rejected:
        return delivery.key


def _object(text: bytes | str, what: str) -> dict[str, Any]:
    try:
        found = exact.read(text.encode() if isinstance(text, str) else text)
    except ValueError as error:
        raise Rejected(f"{what} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Rejected(f"{what} is not a JSON object")
    return found


def _unwrapped(found: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return what SNS has wrapped, and the id that SNS gave it.

    What asks for a function is what it is: its arguments may be a stranger's.
    """
    inside = found.get("Message")
    if (
        FUNCTION in found
        or found.get("Type") != "Notification"
        or not isinstance(inside, str)
    ):
        return found, None
    return _object(inside, "'Message' of the notification"), found.get("MessageId")


def _event(found: dict[str, Any], delivery: Delivery) -> Message:
    name = found["event_type"]
    if not isinstance(name, str) or not name:
        raise Rejected("'event_type' is not text")
    kind, one = found.get("aggregate_type"), found.get("aggregate_id")
    key = delivery.key if one is None else f"{kind or ''}:{one}"
    return Message(name, found, _id(found.get("event_id")), key, is_event=True)


def _id(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= ID_MAX:
        raise Rejected(
            f"it has no id: 'message_id' (of an event 'event_id') takes a text of at "
            f"most {ID_MAX} characters"
        )
    return value
