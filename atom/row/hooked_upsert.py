"""Rows of a table with hooks that may be there already: each with the hooks for it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from atom.errors import ApiError, Conflict
from atom.postgres.database import Database
from atom.row import payload, write
from atom.row.scope import RowScope
from atom.row.sql import stored, upsert
from atom.row.sql.statement import OWNER, RowSet
from atom.row.write import Row, listed

Refusal = Callable[[], Conflict]  # for a row that is there and is not the caller's


@dataclass(slots=True)
class HookedUpsert:
    """Rows that are parsed, all of the same columns, and where they go."""

    database: Database
    scope: RowScope
    into: RowSet
    over: RowSet  # rows that may be changed, or only known
    keys: tuple[str, ...]
    rows: list[Row]
    many: bool  # whether the caller sent a list
    added: int = 0

    async def run(self, refusal: Refusal | None) -> list[int | None]:
        """Add the rows, and change those that are there; without `refusal` leave them.

        Returns all ids, null for a row that is not the caller's. Another request may
        add a row meanwhile: then all of it is done once more.
        """
        try:
            return await self._run(refusal)
        except Conflict as error:
            if error.code != Conflict.code:
                raise
        return await self._run(refusal)

    async def _run(self, refusal: Refusal | None) -> list[int | None]:
        first: dict[str, int] = {}  # a row may be in the list twice
        same = [self._first(first, number) for number in range(len(self.rows))]
        async with self.database.transaction():
            ids = await self._there()
            new = [number for number in first.values() if ids[number] is None]
            text = stored.held(self.over, "no key update")
            known = [each for each in ids if each is not None]
            call = self.scope.call(self.over, text, known)
            key = self.into.table.key
            reached = {row[key] for row in await self.database.rows(*call)}
            if refusal is not None and known:
                await self._change(ids, reached, refusal)
            for number, made in zip(new, await self._add(new), strict=True):
                ids[number] = made
                reached.add(made)
        self.added = len(new)
        found = (ids[number] for number in same)
        return [each if each in reached else None for each in found]

    def _first(self, first: dict[str, int], number: int) -> int:
        """Return the number of the first row with the keys of this one."""
        keys = repr([self.rows[number][key] for key in self.keys])
        return first.setdefault(keys, number)

    async def _there(self) -> list[int | None]:
        """Return the id of each row that is there, whoever reaches it."""
        everyone = self.scope.rules.trusted(None)
        anyone = RowSet(self.into.table)  # one that is marked as deleted, too
        text = upsert.look_up(anyone, self.keys)
        lists = listed(self.into.table, self.keys, self.rows)
        found = await self.database.rows(*everyone.call(anyone, text, *lists))
        return [row["id"] for row in found]

    async def _add(self, places: list[int]) -> list[int]:
        """Add the rows in these places of the list."""
        if not places:
            return []
        hooked = self.scope.rules.hooks.get((self.into.table.name, "create"))
        insert = write.insert_rows if hooked is None else hooked.create
        rows, into = [self.rows[place] for place in places], self.into
        with self._renumbered(places):
            made = await insert(self.database, self.scope, into, rows, many=self.many)
        return made if isinstance(made, list) else [made]

    async def _change(
        self, ids: list[int | None], reached: set[int], refusal: Refusal
    ) -> None:
        """Change the rows that are there.

        Raises:
            Conflict: when one of them is not the caller's.
        """
        kept = {*self.keys, OWNER, self.into.table.key}
        names = [name for name in self.rows[0] if name not in kept] or self.keys[:1]
        found, places, rows = list[int](), list[int](), list[Row]()
        for place, (row_id, row) in enumerate(zip(ids, self.rows, strict=True)):
            if row_id is None:
                continue
            if row_id not in reached:
                error = refusal()
                raise payload.placed(error, place) if self.many else error
            found.append(row_id)
            places.append(place)
            rows.append({name: row[name] for name in names})
        hooked = self.scope.rules.hooks.get((self.into.table.name, "update"))
        change = write.update_rows if hooked is None else hooked.update
        with self._renumbered(places):
            await change(
                self.database, self.scope, self.over, found, rows, many=self.many
            )

    @contextmanager
    def _renumbered(self, places: Sequence[int]) -> Iterator[None]:
        """Put the number that its row has in the whole list into an error."""
        try:
            yield
        except ApiError as error:
            number = payload.unplaced(error)
            if number is None:
                raise
            raise payload.placed(error, places[number]) from None
