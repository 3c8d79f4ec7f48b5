"""Groups of users, for rules: `"read": "'staff' in my_group"` in `config_table`.

To be in a group is a right. So an admin puts into a group, and takes out of it, only
others, only where they are in it themselves, and only users who hold no more than they
do. User 1 may do all of it, and alone renames a group or deletes one with members: what
a name opens is known to the rules alone.
"""

from collections.abc import Mapping
from typing import Any

from atom.account.rights import FIRST, held_by, require_held
from atom.account.security_event import record
from atom.errors import Conflict, Forbidden, NotFound
from atom.event.envelope import note_caller
from atom.port import Ports
from atom.postgres.database import Connection

CREATE = """
insert into atom.user_group (name, description, created_by_id) values ($1, $2, $3)
on conflict (name) do nothing returning id
"""
READ = """
select g.id, g.name, g.description, g.created_by_id, g.created_at,
  (select count(*) from atom.group_member m where m.group_id = g.id) as members
from atom.user_group g where $1::text is null or g.name = $1
order by g.id desc limit $2 offset $3
"""
HOLD = """
select g.name,
  exists (select from atom.group_member m where m.group_id = g.id) as has_members,
  exists (select from atom.group_member m
          where m.group_id = g.id and m.user_id = $2) as is_mine
from atom.user_group g where g.id = $1 for update
"""
UPDATE = """
update atom.user_group set name = $2,
  description = case when $3 then $4 else description end
where id = $1
"""
TAKEN = "select exists (select from atom.user_group where name = $1 and id <> $2)"
DELETE = "delete from atom.user_group where id = $1"
MEMBERS = """
select m.group_id, g.name as group_name, m.user_id, u.username, m.created_by_id,
  m.created_at
from atom.group_member m join atom.user_group g on g.id = m.group_id
left join users u on u.id = m.user_id
where ($1::bigint is null or m.group_id = $1) and ($2::bigint is null or m.user_id = $2)
order by m.id desc limit $3 offset $4
"""
ADD = """
insert into atom.group_member (group_id, user_id, created_by_id) values ($1, $2, $3)
on conflict (user_id, group_id) do nothing
"""
REMOVE = "delete from atom.group_member where group_id = $1 and user_id = $2"


async def create_group(
    ports: Ports, user: Mapping[str, Any], name: str, description: str | None
) -> int:
    """Make a group without members. Return its id.

    Raises:
        Conflict: `group.exists`.
    """
    async with ports.database.transaction() as connection:
        await note_caller(connection)
        made: int | None = await connection.value(
            CREATE, name, description, int(user["id"])
        )
        if made is None:
            raise _exists()
    _written(ports)
    return made


async def read_groups(
    ports: Ports, *, name: str | None, limit: int, page: int
) -> list[dict[str, Any]]:
    """Return groups with the count of their members, the newest first."""
    rows = await ports.database.rows(READ, name, limit, (page - 1) * limit)
    return [dict(row) for row in rows]


async def update_group(
    ports: Ports, user: Mapping[str, Any], group_id: int, changes: Mapping[str, Any]
) -> int:
    """Change the description of a group, or its name. Return its id.

    Raises:
        NotFound: `row.missing`.
        Forbidden: `rights.exceeded` for a name, but for user 1.
        Conflict: `group.exists`.
    """
    async with ports.database.transaction() as connection:
        await note_caller(connection)
        group = await _held(connection, group_id, int(user["id"]))
        name = changes.get("name") or group["name"]
        if name != group["name"]:
            if int(user["id"]) != FIRST:
                raise _exceeded("A group is renamed by user 1 alone.")
            if await connection.value(TAKEN, name, group_id):
                raise _exists()
        is_described = "description" in changes
        await connection.run(
            UPDATE, group_id, name, is_described, changes.get("description")
        )
    _written(ports)
    return group_id


async def delete_group(ports: Ports, user: Mapping[str, Any], group_id: int) -> int:
    """Delete a group. Return its id.

    Raises:
        NotFound: `row.missing`.
        Forbidden: `rights.exceeded` while it has members, but for user 1.
    """
    async with ports.database.transaction() as connection:
        await note_caller(connection)
        group = await _held(connection, group_id, int(user["id"]))
        if group["has_members"] and int(user["id"]) != FIRST:
            raise _exceeded("A group with members is deleted by user 1 alone.")
        await connection.run(DELETE, group_id)
    _written(ports)
    return group_id


async def read_members(
    ports: Ports, *, group_id: int | None, user_id: int | None, limit: int, page: int
) -> list[dict[str, Any]]:
    """Return who is in a group, or the groups of a user; the newest first."""
    skipped = (page - 1) * limit
    rows = await ports.database.rows(MEMBERS, group_id, user_id, limit, skipped)
    return [dict(row) for row in rows]


async def add_member(
    ports: Ports, user: Mapping[str, Any], group_id: int, user_id: int
) -> int:
    """Put a user into a group, where they may be already. Return the user's id.

    Raises:
        NotFound: `row.missing`.
        Forbidden: `rights.own`, `rights.exceeded`.
    """
    me = int(user["id"])
    async with ports.database.transaction() as connection:
        await _require_may(connection, me, group_id, user_id)
        if await connection.run(ADD, group_id, user_id, me):
            await record(ports, "group.joined", user_id, group_id=group_id)
    _written(ports)
    return user_id


async def remove_member(
    ports: Ports, user: Mapping[str, Any], group_id: int, user_id: int
) -> int:
    """Take a user out of a group. Return the user's id.

    Raises:
        NotFound: `row.missing`, also where the user is not in it.
        Forbidden: `rights.own`, `rights.exceeded`.
    """
    async with ports.database.transaction() as connection:
        await _require_may(connection, int(user["id"]), group_id, user_id)
        if not await connection.run(REMOVE, group_id, user_id):
            raise NotFound("This user is not in the group.", code="row.missing")
        await record(ports, "group.left", user_id, group_id=group_id)
    _written(ports)
    return user_id


async def _require_may(
    connection: Connection, me: int, group_id: int, user_id: int
) -> None:
    """Check that a caller may change whether a user is in a group."""
    await note_caller(connection)
    group = await _held(connection, group_id, me)
    mine, theirs = await held_by(connection, me, user_id)
    if theirs.get("is_deleted") == 1:
        raise NotFound("There is no such user.", code="row.missing")
    if me == FIRST:
        return
    if user_id in (me, FIRST):
        groups = "their own groups" if user_id == me else "the groups of user 1"
        raise Forbidden(f"No one changes {groups}.", code="rights.own")
    if not group["is_mine"]:
        raise _exceeded("You are not in this group.")
    require_held(mine, theirs, {})


async def _held(connection: Connection, group_id: int, me: int) -> Mapping[str, Any]:
    """Return a group, locked, and whether the caller is in it."""
    group = await connection.row(HOLD, group_id, me)
    if group is None:
        raise NotFound("There is no such group.", code="row.missing")
    return group


def _written(ports: Ports) -> None:
    """Have every worker drop the answers that rules made from groups."""
    for table in ("user_group", "group_member"):
        ports.database.written(table)


def _exceeded(text: str) -> Forbidden:
    return Forbidden(
        text,
        code="rights.exceeded",
        hint="No one grants or takes away what they do not hold.",
    )


def _exists() -> Conflict:
    return Conflict("There is a group of this name.", code="group.exists")
