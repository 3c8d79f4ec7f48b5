"""A message as SQS keeps it: a text, and what belongs to it in one attribute."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from atom.queue.broker import DeadLetter, Delivery, dead_of, identity

FIFO = ".fifo"
ATTRIBUTE = "atom"  # JSON in ASCII: SQS takes ten attributes, and not every character
DEAD = ("reason", "attempts", "died_at")
# What SQS takes in a body; anything else is sent as base64.
TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
IDENTIFIER = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Token:
    """What settles a delivery: `sqs_id` is of the message, in all its deliveries."""

    sqs_id: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter in hand, as it is shown, and as it was before it died."""

    shown: DeadLetter
    original: Mapping[str, Any]
    group: str
    receipt: str
    sent_at: int
    identity: str


def dead_queue(channel: str) -> str:
    """Return the queue of the dead letters of a channel.

    >>> dead_queue("jobs"), dead_queue("jobs.fifo")
    ('jobs_dead', 'jobs_dead.fifo')
    """
    if channel.endswith(FIFO):
        return dead_of(channel.removesuffix(FIFO)) + FIFO
    return dead_of(channel)


def identifier(text: str) -> str:
    """Return a text as SQS takes it for a group or an id; by its hash if it must be.

    >>> identifier("user:7"), len(identifier("é"))
    ('user:7', 64)
    """
    if IDENTIFIER.fullmatch(text):
        return text
    return sha256(text.encode()).hexdigest()


def entry(
    body: bytes, message_id: str | None, key: str | None, headers: Mapping[str, str]
) -> dict[str, Any]:
    """Return the arguments of a call that sends a message."""
    about: dict[str, Any] = {"message_id": message_id}
    if key is not None:
        about["key"] = key
    if headers:
        about["headers"] = dict(headers)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if not TEXT.fullmatch(text):
        text = base64.b64encode(body).decode() or "="
        about["encoding"] = "base64"
    return _with(text, about)


def _with(text: str, about: Mapping[str, Any]) -> dict[str, Any]:
    value = {"DataType": "String", "StringValue": json.dumps(about)}
    return {"MessageBody": text, "MessageAttributes": {ATTRIBUTE: value}}


def rejected(
    delivery: Delivery, reason: str, attempts: int, died_at: datetime
) -> dict[str, Any]:
    """Return the arguments of a call that sends a dead letter."""
    made = entry(delivery.body, delivery.message_id, delivery.key, delivery.headers)
    about = {
        **_about(made),
        **dict(zip(DEAD, (reason, attempts, died_at.isoformat()), strict=True)),
    }
    return _with(made["MessageBody"], about)


def _about(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Atom has written about a message; {} when another program sent it."""
    attribute = message.get("MessageAttributes", {}).get(ATTRIBUTE, {})
    try:
        found = json.loads(attribute.get("StringValue", "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def delivered(message: Mapping[str, Any]) -> Delivery:
    """Return a delivery; attributes that another program has set are headers."""
    about, system = _about(message), message.get("Attributes", {})
    text, body = message["Body"], message["Body"].encode()
    if about.get("encoding") == "base64":
        body = base64.b64decode(text)
    others = {
        name: value["StringValue"]
        for name, value in message.get("MessageAttributes", {}).items()
        if name != ATTRIBUTE and "StringValue" in value
    }
    headers = about.get("headers", {})
    return Delivery(
        body,
        Token(message["MessageId"], message["ReceiptHandle"]),
        about.get("message_id") or f"sqs {message['MessageId']}",
        about.get("key") if about else system.get("MessageGroupId"),
        int(system.get("ApproximateReceiveCount", 1)),
        {**others, **headers},
    )


def letter(message: Mapping[str, Any]) -> Letter:
    """Return a dead letter. SQS itself moves a message that no consumer settled."""
    about, found = _about(message), delivered(message)
    sent_at = int(message.get("Attributes", {}).get("SentTimestamp", 0))
    at = datetime.fromtimestamp(sent_at / 1000, UTC)
    shown = DeadLetter(
        message["MessageId"],
        found.body,
        about.get("reason", "SQS moved it: no consumer settled it"),
        about.get("attempts", found.count or 1),
        datetime.fromisoformat(about["died_at"]) if "died_at" in about else at,
    )
    original = entry(found.body, found.message_id, found.key, found.headers)
    group = found.key or found.message_id or found.token.sqs_id
    same = identity(found.message_id or "", found.body)
    return Letter(shown, original, group, found.token.receipt, sent_at, same)
