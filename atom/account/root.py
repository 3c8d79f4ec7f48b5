"""The first user, with every right: created once in the life of a database."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atom.account.config import AccountConfig
from atom.account.name import normalize
from atom.account.password import hash_password
from atom.own.part import create_table, parts

MARK = "root"

KNOWN = "select to_regclass('atom.marker') is not null"
MARKED = "select exists (select from atom.marker where name = $1)"
LOCK = "select pg_advisory_xact_lock(hashtextextended('atom root user', 0))"
SCHEMA = "create schema if not exists atom"
(MARKER,) = (
    create_table("marker", part.tables["marker"])
    for part in parts()
    if "marker" in part.tables
)
SET_MARK = "insert into atom.marker (name) values ($1) on conflict do nothing"
# User 1, which the database does not let be deleted. A user who already has the number
# or the name stays as they are.
MAKE = """
insert into users (id, type, username, password, api_access, is_active, is_protected)
values (1, $1, $2, $3, $4, 1, 1)
on conflict do nothing
returning id
"""
# The number was set by hand: the sequence of an unused table would return it again.
SKIP = """
select setval(name, 1)
from (select pg_get_serial_sequence('public.users', 'id')::regclass) as sequence (name)
where name is not null and pg_sequence_last_value(name) is null
"""


@dataclass(frozen=True)
class RootLogin:
    """The login of root; known in clear only when it is created."""

    id: int
    type: int
    username: str
    password: str


async def ensure_root(
    database: Any, config: AccountConfig, api_ids: Iterable[int]
) -> RootLogin | None:
    """Create the root user with these api ids, once in the life of a database.

    A mark in `atom.marker` records it, so that a rename or a deletion is not undone.
    Where there is a user 1, or one with the name, none is created. Returns the login
    only when it was created now.
    """
    if await database.value(KNOWN) and await database.value(MARKED, MARK):
        return None
    kind = next(iter(config.signup_type_list), 1)
    username = normalize("username", config.root_username)
    password = config.root_password or secrets.token_urlsafe(12)
    stored = await hash_password(password)
    access = ",".join(str(one) for one in sorted(set(api_ids)))
    async with database.transaction() as connection:
        await connection.run(LOCK)
        await connection.run(SCHEMA)
        await connection.run(MARKER)
        if await connection.value(MARKED, MARK):
            return None
        await connection.run(SET_MARK, MARK)
        made = await connection.value(MAKE, kind, username, stored, access)
        if made is None:
            return None
        await connection.run(SKIP)
    database.written("users")
    return RootLogin(made, kind, username, password)
