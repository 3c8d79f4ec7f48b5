"""Users as the database has them, cached in this process until that changes."""

# ruff: noqa: S608 - SQL is written here, of constants alone.

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from atom.account.api_key import SESSION
from atom.account.claim import TRIGGER
from atom.port import UserState
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database

CLAIMS = """case when $2::text[] <> '{}' then
  (select jsonb_object_agg(column_name, value)::text
   from jsonb_each(to_jsonb(users.*)) as each (column_name, value)
   where column_name = any ($2::text[])) end as claims"""
# A column that users lacks is found in `absent` instead: the name inside is looked up
# in the nearest query first (PostgreSQL manual, 7.2.1.5, LATERAL Subqueries).
USER = f"""
select u.* from
  (select null::text as is_active, null::text as is_deleted, null::text as api_access)
    as absent,
  lateral (select is_active::text as is_active, is_deleted::text as is_deleted,
                  api_access::text as api_access, {CLAIMS}
           from public.users where id = $1) as u
"""
KEYS = f"""
         union all
         (select '{SESSION}' || id, extract(epoch from expires_at)
          from atom.api_key where user_id = $1 and expires_at > now()
          order by id desc limit $3)"""
WITHOUT_KEYS = f"""
select u.*,
  (select version from atom.token_version where user_id = $1) as version,
  (select jsonb_object_agg(s.name, s.ends)::text
   from ((select family::text as name, extract(epoch from max(expires_at)) as ends
          from atom.session where user_id = $1
          group by family
          having bool_and(revoked_at is null) and max(expires_at) > now()
          order by max(created_at) desc limit $3)) as s) as sessions
from
  (select null::text as is_active, null::text as is_deleted, null::text as api_access)
    as absent,
  lateral (select is_active::text as is_active, is_deleted::text as is_deleted,
                  api_access::text as api_access, {CLAIMS}
           from public.users where id = $1) as u
"""
USER_AND_SESSIONS = WITHOUT_KEYS.replace(") as s)", f"{KEYS}) as s)")
# Claims are followed where the trigger of exactly these columns notifies of them.
HAS = """
select to_regclass('atom.token_version') is not null
     and to_regclass('atom.session') is not null as sessions,
   to_regclass('atom.api_key') is not null as keys,
   exists (select from pg_trigger
           where tgrelid = to_regclass('public.users') and tgname = $1
             and tgenabled in ('O', 'A') and tgargs = $2::bytea) as claims
"""

SESSIONS_MAX = 1000  # of a user; beyond it the ones that were refreshed last are good
FALSE = {"0", "false"}
TRUE = {"1", "true"}


def api_ids(text: str | None) -> frozenset[int]:
    """Read a comma list of api ids; what is not a number is left out.

    >>> sorted(api_ids("3, 1,x,,-2"))
    [1, 3]
    """
    parts = (part.strip() for part in (text or "").split(","))
    return frozenset(
        int(part)
        for part in parts
        if part.isascii() and part.isdecimal() and part[18:] == ""
    )


class UserSource:
    """Reads the state of a user with one query."""

    def __init__(self, database: Database, *, claims: Sequence[str] = ()) -> None:
        self._database = database
        self._claims = list(claims)
        self._catalog: Catalog | None = None
        self._sessions = False  # whether schema atom was seen with this catalog
        self._statement = USER  # that fits schema atom
        self._followed = list[str]()  # the claims that may be relied on

    async def read(self, user_id: int) -> UserState | None:
        """Return the user's state as it is now; None for a missing or deleted user.

        Raises:
            ApiError: what `Database` raises, `client.silent` when it is away.
        """
        catalog = self._database.catalog
        if "users" not in catalog.tables:
            return None
        if catalog is not self._catalog:
            self._catalog, self._sessions = catalog, False
        if not self._sessions:
            arguments = b"".join(name.encode() + b"\0" for name in self._claims)
            (has,) = await self._database.rows(HAS, TRIGGER, arguments)
            self._followed = self._claims if has["claims"] else []
            self._sessions = has["sessions"]
            self._statement = USER_AND_SESSIONS if has["keys"] else WITHOUT_KEYS
        followed = self._followed
        if self._sessions:
            row = await self._database.row(
                self._statement, user_id, followed, SESSIONS_MAX
            )
        else:
            row = await self._database.row(USER, user_id, followed)
        if row is None or row["is_deleted"] in TRUE:
            return None
        columns = orjson.loads(row["claims"] or "{}")
        return UserState(
            is_active=row["is_active"] not in FALSE,
            api_access=api_ids(row["api_access"]),
            token_version=(row["version"] or 0) if self._sessions else 0,
            sessions=orjson.loads(row["sessions"] or "{}") if self._sessions else None,
            claims={name: columns.get(name) for name in followed},
        )


class Seen(Mapping[int, Any]):
    """Shows one thing about each remembered user, by id."""

    def __init__(
        self,
        known: Mapping[int, UserState | None],
        show: Callable[[UserState], Any],
    ) -> None:
        self._known = known
        self._show = show

    def __getitem__(self, user_id: int) -> Any:
        state = self._known[user_id]
        if state is None:
            raise KeyError(user_id)
        return self._show(state)

    def __iter__(self) -> Iterator[int]:
        return iter([key for key, state in self._known.items() if state is not None])

    def __len__(self) -> int:
        return sum(state is not None for state in self._known.values())


class CachedUsers:
    """Remembers the state of at most `limit` users, the missing ones too.

    `coherent` is whether changes reach this worker (the bus is up). Until then every
    call asks the database. A read that began before a `forget` is not remembered, nor
    joined by a call that came after it.
    """

    def __init__(
        self,
        database: Database,
        limit: int,
        *,
        claims: Sequence[str] = (),
    ) -> None:
        self._source = UserSource(database, claims=claims)
        self._limit = max(1, limit)
        self._known: OrderedDict[int, UserState | None] = OrderedDict()
        self._reading: dict[int, asyncio.Task[UserState | None]] = {}
        self._forgotten = 0  # how many times anything was forgotten
        self._coherent = False
        self.api_access_view: Mapping[int, str | None] = Seen(
            self._known, lambda one: ",".join(map(str, sorted(one.api_access))) or None
        )
        self.is_active_view: Mapping[int, int] = Seen(
            self._known, lambda one: int(one.is_active)
        )

    @property
    def coherent(self) -> bool:
        """Whether what is remembered may be relied on."""
        return self._coherent

    @coherent.setter
    def coherent(self, value: bool) -> None:
        self.forget()
        self._coherent = value

    async def state(self, user_id: int) -> UserState | None:
        """Return the user's state; None for a missing or deleted user.

        Raises:
            Unavailable: `client.silent` when it is not known and cannot be asked.
        """
        if not self._coherent:
            return await self._source.read(user_id)
        try:
            state = self._known[user_id]
        except KeyError:
            return await self._join(user_id)
        self._known.move_to_end(user_id)
        return state

    async def fresh(self, user_id: int) -> UserState | None:
        """Return the same, asked of the database now."""
        return await self._read(user_id)

    def forget(self, user_id: int | None = None) -> None:
        """Forget one user, or all."""
        self._forgotten += 1
        if user_id is None:
            self._known.clear()
            self._reading.clear()
            return
        self._known.pop(user_id, None)
        self._reading.pop(user_id, None)

    async def _join(self, user_id: int) -> UserState | None:
        """Wait for the one read of this user, which no caller's end cancels."""
        task = self._reading.get(user_id)
        if task is None:
            task = asyncio.create_task(self._read(user_id), name="user")
            self._reading[user_id] = task
            task.add_done_callback(lambda done: self._finished(user_id, done))
        return await asyncio.shield(task)

    def _finished(self, user_id: int, task: asyncio.Task[UserState | None]) -> None:
        if self._reading.get(user_id) is task:
            del self._reading[user_id]
        if not task.cancelled():
            task.exception()  # its callers raise it, if any are left

    async def _read(self, user_id: int) -> UserState | None:
        forgotten = self._forgotten
        state = await self._source.read(user_id)
        if self._coherent and forgotten == self._forgotten:
            self._known[user_id] = state
            self._known.move_to_end(user_id)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        return state
