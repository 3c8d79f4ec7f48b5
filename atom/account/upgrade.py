"""What a new version changes in the rows of `users` that an older one wrote, once.

Names and addresses get their normal form. Where several rows of one type would have the
same, which of them it belongs to is not guessed: they stay as they are, log in as they
are spelt, and are named at each start until only one is left. No one else gets that
name meanwhile.
"""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atom.account import name
from atom.account.root import LOCK
from atom.errors import ApiError
from atom.postgres.catalog import Table
from atom.postgres.database import Connection, Database

log = logging.getLogger(__name__)

DONE = "normal_names"  # marks in atom.marker
RIGHTS_UPDATE = "rights_update"
READ_ROWS = 10_000
NAMED_MAX = 20  # clashes in the log; `user clash` lists all
MARKED = "select exists (select from atom.marker where name = $1)"
MARK = "insert into atom.marker (name) values ($1) on conflict do nothing returning 1"
# What is in normal form already, which is nearly every row, PostgreSQL leaves out.
PLAIN = {
    "username": r"username !~ '^[!-@\[-~]+( [!-@\[-~]+)*$'",
    "email": r"email !~ '^[!-@\[-~]+$'",
    "mobile": r"mobile !~ '^\+?[0-9]+$' or mobile like '00%'",
}
HOLD = """
insert into atom.held_name (type, normal, kind, user_id, spelt)
select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[])
"""
# User 1 wrote rights by the id of object-update before this route was there.
GRANT_ROOT = """
update users set api_access = api_access || ',' || $2
where id = 1 and string_to_array(replace(api_access, ' ', ''), ',') @> array[$1]
  and not string_to_array(replace(api_access, ' ', ''), ',') @> array[$2]
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A name or address as it is stored, and its normal form."""

    user_id: int
    type: int
    text: str
    normal: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Users of one type with the same name in normal form."""

    kind: str
    type: int
    normal: str
    users: tuple[tuple[int, str], ...]  # ids and what is stored

    def __str__(self) -> str:
        spelt = ", ".join(f"user {user_id} {text!r}" for user_id, text in self.users)
        return f"{self.kind} {self.normal!r} of type {self.type}: {spelt}"


async def upgrade_users(database: Database, api_ids: Mapping[str, int]) -> None:
    """Bring old rows to what this version keeps, once; log the names that clash."""
    if await database.value(MARKED, DONE) and await database.value(
        MARKED, RIGHTS_UPDATE
    ):
        return
    async with database.transaction() as connection:
        await connection.run(LOCK)
        table = database.catalog.table("users")
        is_first = await connection.value(MARK, RIGHTS_UPDATE)
        if is_first and "api_access" in table.columns:
            update = api_ids["/admin/object-update"]
            rights = api_ids["/admin/user-rights-update"]
            await connection.run(GRANT_ROOT, str(update), str(rights))
        clashes = await _normalize(connection, table)
        await _hold(connection, clashes)
        if not clashes:
            await connection.run(MARK, DONE)
    database.written("users")
    for clash in clashes[:NAMED_MAX]:
        log.warning("%s; rename all but one", clash)
    if clashes:
        log.warning(
            "%s names of users clash and stay as they are."
            " `python main.py user clash` lists them.",
            len(clashes),
        )


async def find_clashes(connection: Connection, table: Table) -> list[Clash]:
    """Return the names that several users of one type have in normal form."""
    return [
        clash
        for kind in _kinds(table)
        for clash in (await _sorted(connection, kind))[1]
    ]


async def _normalize(connection: Connection, table: Table) -> list[Clash]:
    """Store the normal form where it is free. Return the clashes."""
    found = []
    for kind in _kinds(table):
        free, clashes = await _sorted(connection, kind)
        found += clashes
        for some in _parts(free):
            await connection.run(
                f"update users u set {kind} = x.normal"  # noqa: S608 - one of three
                " from unnest($1::bigint[], $2::text[], $3::text[])"
                f" as x(id, old, normal) where u.id = x.id and u.{kind} = x.old",
                [each.user_id for each in some],
                [each.text for each in some],
                [each.normal for each in some],
            )
        if free:
            log.info("%s rows of users have %s in normal form now", len(free), kind)
    return found


async def _hold(connection: Connection, clashes: Sequence[Clash]) -> None:
    """Keep the normal forms of clashing names from all others."""
    await connection.run("delete from atom.held_name")
    rows = [(one, *user) for one in clashes for user in one.users]
    for some in _parts(rows):
        await connection.run(
            HOLD,
            [one.type for one, _, _ in some],
            [one.normal for one, _, _ in some],
            [one.kind for one, _, _ in some],
            [user_id for _, user_id, _ in some],
            [spelt for _, _, spelt in some],
        )


def _kinds(table: Table) -> list[str]:
    """Return the columns of names and addresses that `users` has."""
    return [kind for kind in name.COLUMNS if {kind, "type"} <= table.columns.keys()]


async def _sorted(
    connection: Connection, kind: str
) -> tuple[list[Stored], list[Clash]]:
    """Return the rows that can have their normal form, and the clashes."""
    wanted: dict[tuple[int, str], list[Stored]] = defaultdict(list)
    async for each in _odd(connection, kind):
        wanted[each.type, each.normal].append(each)
    for some in _parts(list(wanted)):
        rows = await connection.rows(
            f"select u.id, u.type, u.{kind} as text from users u"  # noqa: S608
            " join unnest($1::bigint[], $2::text[]) as x(type, normal)"
            f" on u.type = x.type and u.{kind} = x.normal",
            [type for type, _ in some],
            [normal for _, normal in some],
        )
        for row in rows:
            key = row["type"], row["text"]
            wanted[key].append(Stored(row["id"], *key, row["text"]))
    free: list[Stored] = []
    clashes: list[Clash] = []
    for (type, normal), same in wanted.items():
        if len(same) == 1:
            free += same
        else:
            users = sorted((each.user_id, each.text) for each in same)
            clashes.append(Clash(kind, type, normal, tuple(users)))
    return free, clashes


async def _odd(connection: Connection, kind: str) -> AsyncIterator[Stored]:
    """Yield the rows that are not in normal form, and have one."""
    last = 0
    while True:
        rows = await connection.rows(
            f"select id, type, {kind} as text from users"  # noqa: S608 - one of three
            f" where id > $1 and type is not null and ({PLAIN[kind]})"
            " order by id limit $2",
            last,
            READ_ROWS,
        )
        for row in rows:
            try:
                normal = name.validate(kind, row["text"])
            except ApiError:
                continue  # it has none: it stays, and logs in as it is spelt
            if normal != row["text"]:
                yield Stored(row["id"], row["type"], row["text"], normal)
        if len(rows) < READ_ROWS:
            return
        last = rows[-1]["id"]


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), READ_ROWS):
        yield items[start : start + READ_ROWS]
