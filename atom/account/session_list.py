"""The open sessions of a user: listed, and ended one at a time or together."""

import uuid

from atom.account.security_event import record
from atom.account.session import revoke
from atom.errors import NotFound
from atom.http.address import network
from atom.port import Ports

# The newest row of a family has who got its last tokens, and when.
READ = """
select coalesce(json_agg(s order by s.last_used_at desc), '[]')::text
from (select family as id, min(created_at) as created_at,
        max(created_at) as last_used_at, max(expires_at) as expires_at,
        (array_agg(address order by created_at desc))[1] as address,
        (array_agg(user_agent order by created_at desc))[1] as user_agent,
        family::text = $2 as is_current
      from atom.session where user_id = $1
      group by family
      having bool_and(revoked_at is null) and max(expires_at) > now()
      order by max(created_at) desc limit 1000) as s
"""
IS_OPEN = """
select bool_and(revoked_at is null) and max(expires_at) > now()
from atom.session where family = $1 and user_id = $2
"""
PLACES = """
select distinct address from atom.session where user_id = $1 and address is not null
"""
END = """
with ended as (
  update atom.session set revoked_at = now()
  where user_id = $1 and family::text <> $2 and revoked_at is null
  returning family, expires_at)
select count(*) as turned, count(distinct family) filter (where expires_at > now())
  as ended from ended
"""


async def read_sessions(ports: Ports, user_id: int, session: str) -> bytes:
    """Return the open sessions of a user as JSON, the one used last first."""
    text = await ports.database.value(READ, user_id, session)
    return bytes(text, "utf-8")


async def end_sessions(ports: Ports, user_id: int, session: str, which: str) -> int:
    """End one session of a user by its id, `others` than this, or `all`.

    Return how many.

    Raises:
        NotFound: `session.missing`.
    """
    async with ports.database.transaction() as connection:
        if which in ("others", "all"):
            count = await end_but(ports, user_id, session if which == "others" else "")
        else:
            family = _family(which)
            if not await connection.value(IS_OPEN, family, user_id):
                raise missing()
            await revoke(connection, family, user_id)
            count, which = 1, "one"
        await record(ports, "session.ended", user_id, which=which, sessions=count)
    ports.users.forget(user_id)  # here before the bus brings it
    return count


async def has_session_near(ports: Ports, user_id: int, address: str) -> bool:
    """Whether a user has a session from the network of an address."""
    found = await ports.database.rows(PLACES, user_id)
    return any(network(each["address"]) == network(address) for each in found)


def missing() -> NotFound:
    """Return the error of an id that no open session of the user has."""
    return NotFound("session not found", code="session.missing")


def _family(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise missing() from None


async def end_but(ports: Ports, user_id: int, but: str) -> int:
    """End the sessions of a user but one. Return how many.

    It goes on until no rotation in progress has added a token to one.
    """
    count = 0
    while True:
        (row,) = await ports.database.rows(END, user_id, but)
        count = max(count, int(row["ended"]))
        if not row["turned"]:
            return count
