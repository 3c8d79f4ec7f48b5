"""`client_postgres`, with `:name` values, and `client_postgres_asyncpg`."""

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any

from atom.postgres.database import Database
from atom.postgres.driver import Raw, Record
from atom.postgres.transaction import Transaction

Values = Mapping[str, Any] | None

# Everything in which a colon means nothing, then what it may mean. (PostgreSQL manual,
# 4.1 Lexical Structure.)
TOKEN = re.compile(
    r"""
      (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'          # string with escapes
    | '(?:[^']|'')*'                           # string
    | "(?:[^"]|"")*"                           # quoted identifier
    | --[^\n]*                                 # comment to the end of the line
    | (?P<comment>/\*)                         # comment that may hold comments
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$   # dollar quotes
    | \\:                                      # a colon that is meant
    | ::                                       # a cast
    | (?<!\w):(?P<name>[^\W\d]\w*)             # a value
    """,
    re.VERBOSE | re.DOTALL,
)
PREFETCH = 50  # rows that `iterate` reads at once
EDGE = re.compile(r"/\*|\*/")


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for edge in EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


@lru_cache(maxsize=2048)
def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Turn `:name` into `$1`, and return the name of each number.

    Casts, quoted text and comments stay as they are; a name that occurs twice gets one
    number; `\\:` is a colon.

    >>> numbered("select :a::int, ':b', :a + :c")
    ("select $1::int, ':b', $1 + $2", ('a', 'c'))
    """
    parts: list[str] = []
    numbers: dict[str, int] = {}
    at = 0
    while found := TOKEN.search(text, at):
        parts.append(text[at : found.start()])
        at = found.end()
        if found["comment"]:
            at = _comment_end(text, found.start())
            parts.append(text[found.start() : at])
        elif found["name"]:
            parts.append(f"${numbers.setdefault(found['name'], len(numbers) + 1)}")
        else:
            parts.append(":" if found[0] == "\\:" else found[0])
    return "".join([*parts, text[at:]]), tuple(numbers)


def placed(names: tuple[str, ...], values: Values) -> list[Any]:
    """Put values in the order of their numbers.

    Raises:
        ValueError: when one is missing, or one is given that the statement lacks.
    """
    given = values or {}
    if missing := [name for name in names if name not in given]:
        raise ValueError(f"the statement needs a value for :{', :'.join(missing)}")
    if len(given) > len(names):
        unused = [str(name) for name in given if name not in names]
        raise ValueError(f"the statement has no :{', :'.join(unused)}")
    return [given[name] for name in names]


class Row(Mapping[str, Any]):
    """A row: by name, by place, as an attribute, or `dict(row)`."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    def __getitem__(self, key: Any) -> Any:
        return self._record[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return self._record[name]
        except KeyError:
            raise AttributeError(f"the row has no column {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._record.keys())

    def __len__(self) -> int:
        return len(self._record)

    def __repr__(self) -> str:
        return f"Row({dict(self)!r})"


class Own:
    """A user's own statements on a database, in the transaction around them if any."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.pool = database.pool

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Raw]:
        """Lend asyncpg's connection; what it raises leaves as an ApiError."""
        async with self.database.lent() as raw:
            try:
                yield raw
            except Exception as error:
                raise self.database.failed(raw, error, own=True) from error
            except BaseException:
                self.database.interrupted(raw)
                raise

    def transaction(self, **options: Any) -> Transaction:
        """Return a transaction for all that this task does inside it.

        `options` are asyncpg's: isolation, readonly, deferrable.
        """
        return self.database.begin(**options)


class Named(Own):
    """What `databases.Database` offers for SQL text, on Atom's asyncpg pool."""

    async def _call(self, verb: str, query: str, values: Values) -> Any:
        text, names = numbered(query)
        places = placed(names, values)
        async with self.lent() as raw:
            return await getattr(raw, verb)(text, *places)

    async def fetch_all(self, query: str, values: Values = None) -> list[Row]:
        """Return every row."""
        return [Row(one) for one in await self._call("fetch", query, values)]

    async def fetch_one(self, query: str, values: Values = None) -> Row | None:
        """Return the first row, or None."""
        record = await self._call("fetchrow", query, values)
        return None if record is None else Row(record)

    async def fetch_val(
        self, query: str, values: Values = None, column: str | int = 0
    ) -> Any:
        """Return one column of the first row, or None."""
        row = await self.fetch_one(query, values)
        return None if row is None else row[column]

    async def execute(self, query: str, values: Values = None) -> Any:
        """Run a statement. Return the first column of its first row, or None."""
        return await self._call("fetchval", query, values)

    async def execute_many(self, query: str, values: Iterable[Values]) -> None:
        """Run a statement once for each set of values: all of them or none."""
        text, names = numbered(query)
        places = [placed(names, one) for one in values]
        async with self.lent() as raw:
            await raw.executemany(text, places)

    async def iterate(self, query: str, values: Values = None) -> AsyncIterator[Row]:
        """Yield rows as they are read, a few at a time."""
        text, names = numbered(query)
        places = placed(names, values)
        async with AsyncExitStack() as stack:
            raw = await stack.enter_async_context(self.lent())
            if self.database.current() is None:
                await stack.enter_async_context(raw.transaction())
            cursor = await raw.cursor(text, *places)
            while True:
                records = await cursor.fetch(PREFETCH)
                for record in records:
                    yield Row(record)
                if len(records) < PREFETCH:
                    return


VERBS = {
    *("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval"),
    *("copy_from_query", "copy_from_table", "copy_records_to_table", "copy_to_table"),
}


class Pooled(Own):
    """Takes the calls of an asyncpg connection, each on any connection of the pool."""

    def __getattr__(self, verb: str) -> Any:
        if verb not in VERBS:
            raise AttributeError(
                f"no {verb!r} on a pooled connection; use client_postgres_asyncpg_pool"
            )

        async def call(*values: Any, **options: Any) -> Any:
            async with self.lent() as raw:
                return await getattr(raw, verb)(*values, **options)

        return call
