"""A table of notes, what a message may ask for there, and how it is sent."""

import json
import secrets

CONFIG = """
config_postgres_schema = {"table": {"note": [
    "created_at-timestamptz-0-0", "created_by_id-bigint-0-btree", "text-text-1-0",
    "amount-numeric-0-0", "rating-smallint-0-0"],
    "secret_note": ["text-text-0-0"],
    "vault": ["title-text-0-0", "password-text-0-0"]}}
config_table = {"vault": {"my": {"create": 1}},
                "note": {"my": {"read": "created_by_id = :me",
                                "create": {"check": "coalesce(rating, 0) < 6"}}}}
"""
HANDLER = """
import asyncio
from extend import *
from atom.errors import Unavailable
from atom.postgres.errors import unavailable

async def insert(connection, text):
    query = "insert into note (text) values (:text)"
    await connection.execute(query, {"text": text})

async def function_note(connection, text: str, times: int = 1):
    for _ in range(times):
        await insert(connection, text)

async def function_fail(connection, app, text: str):
    await insert(connection, text)
    raise RuntimeError("out of ink")

async def function_recover(connection, text: str):
    last = await connection.fetch_val(
        "select count(*) from atom.message_failure where error like '%' || :text",
        {"text": text})
    await insert(connection, text)
    if not last:
        raise RuntimeError(text)

LEFT = {"database": 5}

async def function_away(connection, text: str):
    LEFT["database"] -= 1
    if LEFT["database"] >= 0:
        raise unavailable()
    await insert(connection, text)

async def function_no_service(text: str):
    raise Unavailable("S3 does not answer.", code="client.silent")

async def function_slow(connection, text: str, seconds: float):
    await insert(connection, text)
    await asyncio.sleep(seconds)

async def on_note_wanted(event, connection, app):
    await insert(connection, event.payload["text"])
"""
ROW = "/my/object-create?table=note&queue=redis"
CREATE = "function_object_create_postgres"


def send(streams, body):
    """Append a message to the stream as another program would."""
    text = body if isinstance(body, str) else json.dumps(body)
    streams.xadd("channel_1", {"body": text})


def channel_of(streams):
    """Return a channel of a test's own, with the group of its consumers."""
    name = f"c_{secrets.token_hex(4)}"
    streams.xgroup_create(name, "atom", id="0", mkstream=True)
    return name


def ask(streams, function, message_id=None, **arguments):
    """Send a message that asks for a function."""
    message_id = message_id or secrets.token_hex(8)
    send(streams, {"function": function, "message_id": message_id, **arguments})
