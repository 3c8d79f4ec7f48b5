"""`on_conflict=a,b&mode=merge|ignore`: rows that may be there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from atom.errors import ApiError, Conflict, Forbidden, nearest
from atom.postgres.catalog import Catalog, Table, shown
from atom.postgres.database import Database
from atom.row import payload
from atom.row.allowed import explain_changes, explain_conflict, require_allowed
from atom.row.explain_error import about, find_refused, naming_columns
from atom.row.hooked_upsert import HookedUpsert
from atom.row.payload import Reader
from atom.row.scope import RowScope
from atom.row.sql import upsert
from atom.row.sql.statement import RowSet
from atom.row.write import Row, listed

Keys = tuple[str, ...]  # the columns of a rule
PARAMETERS = ("on_conflict", "mode")
MODES = ("merge", "ignore")


@dataclass(frozen=True, slots=True)
class OnConflict:
    """By which columns rows are the same, and what happens then."""

    keys: Keys
    mode: str


def parse(parameters: Mapping[str, str]) -> OnConflict | None:
    """Parse the two parameters; None when neither is given.

    Raises:
        ApiError: when one is missing or the mode is unknown.
    """
    if not any(name in parameters for name in PARAMETERS):
        return None
    mode = parameters.get("mode", "")
    if mode not in MODES:
        raise ApiError("'mode' takes merge or ignore.", hint=nearest(mode[:60], MODES))
    names = parameters.get("on_conflict", "").split(",")
    keys = tuple(name.strip() for name in names)
    if not all(keys):
        raise ApiError(
            "'on_conflict' takes columns of a unique rule.",
            hint="For example on_conflict=title.",
        )
    return OnConflict(keys, mode)


async def create(
    database: Database, scope: RowScope, table: str, body: Any, on_conflict: OnConflict
) -> Any:
    """Add rows, or change (merge) or leave alone (ignore) those with the same keys.

    Returns the id, or the ids in order. With `ignore` it is null where the row that is
    there is not the caller's.

    Raises:
        ApiError: when the columns are not a unique rule, naming those there are.
        Conflict: `row.exists` when merge meets a row that is not the caller's.
    """
    into = scope.creatable(database.catalog, table)
    if scope.tier == "public":
        raise ApiError("'on_conflict' is for callers with a token.")
    over = _over(database.catalog, scope, table, on_conflict.mode)
    keys = await _keys(database, scope, into.table, on_conflict.keys)
    raw, many = payload.rows(body, payload.most(scope, into))
    if on_conflict.mode == "merge":
        names = {name for row in raw for name in row}
        for name in names.difference(keys):
            scope.require_writable(table, name, create=False)
        over = scope.rules.policy.without_own_claims(scope.tier, over, names)
    rows = await Reader(scope, into.table, create=True).rows(raw, many=many)
    for row in rows:
        row.update(scope.stamps(into.table, create=True))
    _require_alike(rows, keys, many)
    work = _Upsert(database, scope, into, over, keys, rows, many)
    ids: Sequence[int | None]
    async with naming_columns(database):
        is_merge = on_conflict.mode == "merge"
        if is_merge:
            _require_distinct(rows, keys)
        try:
            if scope.rules.has_hooks(table, "create", "update"):
                hooked = HookedUpsert(database, scope, into, over, keys, rows, many)
                ids = await hooked.run(work.not_reached if is_merge else None)
            else:
                ids = await (work.merge() if is_merge else work.ignore())
        except Conflict:
            if is_merge:
                found = [([row[key] for key in keys], row) for row in rows]
                await explain_changes(database, scope, over, found, keys, many=many)
            await explain_conflict(database, scope.bind, into, rows, many=many)
            raise
    database.written(table)
    return ids if many else ids[0]


def _over(catalog: Catalog, scope: RowScope, table: str, mode: str) -> RowSet:
    """Return the rows that may be changed; to leave them alone, those one may know."""
    if mode == "merge":
        return scope.changeable(catalog, table)
    try:
        return scope.readable(catalog, table)
    except Forbidden:
        return RowSet(catalog.table(table), upsert.NOWHERE)


async def _keys(
    database: Database, scope: RowScope, table: Table, wanted: Keys
) -> Keys:
    """Return the unique rule with these columns, if the caller can name it."""
    stamps, reader = scope.stamps(table, create=True), Reader(scope, table, create=True)

    def is_writable(name: str) -> bool:
        if name in stamps:
            return True
        try:
            reader.column(name)
        except ApiError:
            return False
        return name.casefold() not in scope.rules.secret

    usable = [
        keys
        for keys in await unique_rules(database, table.name)
        if all(map(is_writable, keys))
    ]
    return choose_rule(table.name, usable, wanted)


def _require_alike(rows: list[Row], keys: Keys, many: bool) -> None:
    """Refuse rows of different columns, and rows without a key.

    Raises:
        ApiError: naming the row and the column.
    """
    for number, row in enumerate(rows):
        error = None
        lacking = [key for key in keys if row.get(key) is None]
        if lacking:
            error = ApiError(f"'on_conflict' needs a value of column '{lacking[0]}'.")
        elif row.keys() != rows[0].keys():
            error = ApiError(
                "With 'on_conflict' all rows have the same columns.",
                hint="Write null where a row has no value.",
            )
        if error is not None:
            raise payload.placed(error, number) if many else error


def _require_distinct(rows: list[Row], keys: Keys) -> None:
    """Refuse a row twice: which of the two is meant cannot be known.

    Raises:
        Conflict: naming both.
    """
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        first = seen.setdefault(repr([row[key] for key in keys]), number)
        if first != number:
            error = Conflict(f"The same {', '.join(keys)} as in row {first}.")
            raise payload.placed(error, number)


@dataclass(frozen=True, slots=True)
class _Upsert:
    """Rows that were read, all of the same columns, and where they go."""

    database: Database
    scope: RowScope
    into: RowSet
    over: RowSet  # rows that may be changed, or only known
    keys: Keys
    rows: list[Row]
    many: bool  # whether the caller sent a list

    async def merge(self) -> list[int]:
        """Add the rows, or change those with the same keys. Return all ids."""
        names = tuple(sorted(self.rows[0]))
        stamps = self.scope.stamps(self.into.table, create=False)
        by = next(iter(stamps), "")
        text = upsert.merge(self.into, self.over, names, self.keys, by)
        same = tuple(stamps.values())
        # Whoever merges some of the same rows takes them in the same order.
        places = sorted(range(len(self.rows)), key=self._order)
        rows = [self.rows[place] for place in places]
        call = self._call(text, names, rows, same)
        if not self.many:
            with about(self.into.table, self.rows[0]):
                made: list[int] | None = await self.database.value(*call)
            if made is None:
                raise self.not_reached()
            return made
        try:
            async with self.database.transaction() as connection:
                made = await connection.value(*call)
                if made is None or len(made) < len(self.rows):
                    raise self.not_reached()
                found = dict(zip(places, made, strict=True))
                return [found[place] for place in range(len(rows))]
        except ApiError as error:
            raise await self._refused(text, names, same, error) from None

    def _order(self, place: int) -> list[str]:
        """Return what a row is sorted by: any order will do that is always the same."""
        return [repr(self.rows[place][key]) for key in self.keys]

    async def ignore(self) -> list[int | None]:
        """Add all the rows that are not there, or none. Return ids as `_ignore`."""
        names = tuple(sorted(self.rows[0]))
        text = upsert.ignore(self.into, self.over, names, self.keys)
        try:
            if self.into.rule.check is None or not self.many:
                return await self._ignore(text, names)
            async with self.database.transaction():
                return await self._ignore(text, names)
        except ApiError as error:
            if not self.many:
                raise
            raise await self._refused(text, names, (), error) from None

    async def _ignore(self, text: str, names: tuple[str, ...]) -> list[int | None]:
        """Add the rows that are not there. Return all ids the caller may know."""
        call = self._call(text, names, self.rows)
        with about(self.into.table, self.rows[0]):
            found = await self.database.rows(*call)
        ids: list[int | None] = [row["id"] for row in found]
        unknown = [place for place, made in enumerate(ids) if made is None]
        if unknown:
            # A row made while this statement waited is seen only by the next one.
            chosen = [self.rows[place] for place in unknown]
            text = upsert.look_up(self.over, self.keys)
            lists = listed(self.into.table, self.keys, chosen)
            late = await self.database.rows(*self.scope.call(self.over, text, *lists))
            for place, row in zip(unknown, late, strict=True):
                ids[place] = row["id"]
            left = [self.rows[place] for place in unknown if ids[place] is None]
            await require_allowed(
                self.database, self.scope.bind, self.into, left, many=False
            )
        return ids

    def _call(
        self,
        text: str,
        names: tuple[str, ...],
        rows: list[Row],
        same: tuple[Any, ...] = (),
    ) -> tuple[Any, ...]:
        """Return a text and its parameters: the caller's, lists of columns, `same`."""
        lists = listed(self.into.table, names, rows)
        takes = upsert.takes(self.into, self.over, names)
        return self.scope.bind(takes, text, *lists, *same)

    def not_reached(self) -> Conflict:
        """Return the error for a row that was neither added nor changed."""
        keys = ", ".join(self.keys)
        if self.over.rule.where is not None:
            return Conflict(f"A row with the same {keys} exists and is not yours.")
        return Conflict(f"A trigger leaves out the row with these {keys}.")

    async def _refused(
        self, text: str, names: tuple[str, ...], same: tuple[Any, ...], error: ApiError
    ) -> ApiError:
        """Find the row that is refused."""

        def attempt(_: int, row: Row) -> tuple[Any, ...]:
            return self._call(text, names, [row], same)

        table = self.into.table
        return await find_refused(self.database, table, self.rows, attempt, error)


# Read once for each catalog: a changed schema is a new catalog.
_known: WeakKeyDictionary[Catalog, dict[str, list[Keys]]] = WeakKeyDictionary()


async def unique_rules(database: Database, table: str) -> list[Keys]:
    """Return the columns of each unique rule of a table."""
    catalog = database.catalog
    if catalog not in _known:
        known: dict[str, list[Keys]] = {}
        for row in await database.rows(upsert.UNIQUE):
            known.setdefault(row["table"], []).append(tuple(row["columns"]))
        _known[catalog] = known
    return _known[catalog].get(table, [])


def choose_rule(table: str, usable: Sequence[Keys], wanted: Keys) -> Keys:
    """Return the one of the usable rules that has the wanted columns, in any order.

    Raises:
        ApiError: `row.no_unique`, naming those there are.
    """
    for keys in usable:
        if set(keys) == set(wanted) and len(keys) == len(wanted):
            return keys
    choices = sorted({",".join(keys) for keys in usable})
    raise ApiError(
        f"Table '{table}' has no unique rule of '{shown(','.join(wanted))}'.",
        code="row.no_unique",
        hint="There is: " + "; ".join(choices) + "."
        if choices
        else "It has none that could be named here.",
    )
