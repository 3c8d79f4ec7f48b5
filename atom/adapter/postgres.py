"""What the database knows of a user, whatever of its columns and tables exist."""

from atom.port import UserState
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database

# A column that users lacks is found in `absent` instead: the name inside is looked up
# in the nearest query first (PostgreSQL manual, 7.2.1.5, LATERAL Subqueries).
USER = """
select u.* from
  (select null::text as is_active, null::text as is_deleted, null::text as api_access)
    as absent,
  lateral (select is_active::text as is_active, is_deleted::text as is_deleted,
                  api_access::text as api_access
           from public.users where id = $1) as u
"""
USER_AND_SESSIONS = """
select u.*,
  (select version from atom.token_version where user_id = $1) as version,
  array(select id::text from atom.session
        where user_id = $1 and revoked_at > now() - make_interval(secs => $2))
    as revoked
from
  (select null::text as is_active, null::text as is_deleted, null::text as api_access)
    as absent,
  lateral (select is_active::text as is_active, is_deleted::text as is_deleted,
                  api_access::text as api_access
           from public.users where id = $1) as u
"""
HAS_SESSIONS = """
select to_regclass('atom.token_version') is not null
   and to_regclass('atom.session') is not null
"""

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
    """Reads the state of a user with one query.

    `seconds` is the lifetime of a token: a session revoked longer ago has none left.
    """

    def __init__(self, database: Database, *, seconds: float) -> None:
        self._database = database
        self._seconds = float(seconds)
        self._catalog: Catalog | None = None
        self._sessions = False  # whether schema atom was seen with this catalog

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
            self._sessions = bool(await self._database.value(HAS_SESSIONS))
        if self._sessions:
            row = await self._database.row(USER_AND_SESSIONS, user_id, self._seconds)
        else:
            row = await self._database.row(USER, user_id)
        if row is None or row["is_deleted"] in TRUE:
            return None
        return UserState(
            is_active=row["is_active"] not in FALSE,
            api_access=api_ids(row["api_access"]),
            token_version=(row["version"] or 0) if self._sessions else 0,
            revoked=frozenset(row["revoked"]) if self._sessions else frozenset(),
        )
