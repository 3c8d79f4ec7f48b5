"""`config_role`: the roles a user may have, each a question to the database."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from atom.errors import ApiError, Forbidden, Unavailable
from atom.postgres.condition import ME, Reader, numbered
from atom.postgres.database import Database


class Roles:
    """Asks the database which roles a user has; never answered from a cache."""

    def __init__(self, queries: Mapping[str, str], database: Database) -> None:
        self._reader = Reader({}, queries)
        self._database = database
        self._text = lru_cache(256)(self._written)

    def _written(self, names: tuple[str, ...]) -> str:
        condition = self._reader.role(names)
        return f"select {condition.render('', numbered((ME,)))}"

    async def prepare(self) -> list[str]:
        """Return what PostgreSQL has against each role, by name."""
        problems = []
        async with self._database.connection() as connection:
            for name in self._reader.roles:
                try:
                    await connection.raw.prepare(self._text((name,)))
                except Exception as error:  # of the text, or the database's words
                    problems.append(f"config_role[{name!r}]: {error}")
        return problems

    async def held(self, user_id: int) -> frozenset[str]:
        """Return the roles a user has."""
        found = set()
        for name in self._reader.roles:
            try:
                await self.require(user_id, (name,))
            except Forbidden:
                continue
            found.add(name)
        return frozenset(found)

    async def require(self, user_id: int, names: Iterable[str]) -> None:
        """Refuse a user who has none of these roles.

        Raises:
            Forbidden: `role.denied`.
            Unavailable: `role.broken` when the question cannot be asked any more.
        """
        try:
            has_role = await self._database.value(self._text(tuple(names)), user_id)
        except ApiError as error:
            if isinstance(error, Unavailable) and error.code != "sql.changed":
                raise
            raise Unavailable(
                "Your role cannot be looked up at the moment.",
                code="role.broken",
                hint="The log has the reason.",
            ) from error
        if not has_role:
            raise Forbidden("role denied", code="role.denied")
