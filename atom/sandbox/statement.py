"""A caller's statement: checked to be the one statement that may be sent, and wrapped.

What it may read and write is not looked at here: PostgreSQL checks that by the rights
of the login. The extended protocol takes one statement; what is prepared as a subquery
reads; and the first word of any other is its kind.
"""

# ruff: noqa: S608 - the caller's text is run by a login that has the caller's rights.

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atom.datatype.answer import answered
from atom.datatype.datatype import datatype
from atom.errors import ApiError, Forbidden
from atom.postgres.catalog import Catalog
from atom.postgres.errors import translate
from atom.postgres.identifier import quote

Columns = tuple[tuple[str, str], ...]  # name and datatype
COMPOSITE, BYTES = "record", "bytea"

# The first word after blanks and comments. A comment within a comment does not match:
# then there is no first word, and the statement is refused.
WRITING = re.compile(
    r"(?:\s|--[^\n\r]*|/\*(?:(?!/\*).)*?\*/)*(insert|update|delete|with)\b",
    re.IGNORECASE | re.DOTALL,
)
HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
DENIED, READ_ONLY = "42501", "25006"
RELATION = re.compile(r' (?:table|view|relation) "?([^"]+)"?$')

# Beginnings a spreadsheet takes for a formula: tab, both line ends, + - = @.
# Source: OWASP, CSV Injection.
FORMULA = "(9, 10, 13, 43, 45, 61, 64)"
PLAIN = frozenset(
    {"int2", "int4", "int8", "float4", "float8", "numeric", "bool", "uuid", "oid"}
    | {"date", "time", "timetz", "timestamp", "timestamptz"}
)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement that was parsed, and the columns of its rows."""

    text: str
    columns: Columns


def trimmed(query: str) -> str:
    """Return the statement without what may follow it.

    Raises:
        ApiError: `query.unreadable` when nothing is left, or it is not Unicode.
    """
    text = query.strip().rstrip("; \t\r\n")
    if not text:
        raise ApiError("The query is empty.", code="query.unreadable")
    if (not text.isascii() and HALF.search(text)) or "\0" in text:
        raise ApiError(
            "The query holds what is not a character.", code="query.unreadable"
        )
    return text


async def parse(raw: Any, text: str) -> Query:
    """Return the statement, parsed by PostgreSQL alone, so that a fault has its place.

    Raises:
        ApiError: `query.unreadable`, `query.one_statement`.
    """
    try:
        statement = await raw.prepare(text)
    except Exception as error:
        raise explained(error, text) from error
    if statement.get_parameters():
        raise ApiError(
            "The query has a parameter such as $1.",
            code="query.unreadable",
            hint="Write the value itself.",
        )
    columns = statement.get_attributes()
    return Query(text, tuple((each.name, _named(each.type)) for each in columns))


def _named(kind: Any) -> str:
    """Return the name of a datatype; rows of fields have one for all."""
    if kind.kind == "composite":
        return COMPOSITE
    is_own = kind.kind == "array" and kind.schema != "pg_catalog"
    return f"{COMPOSITE}[]" if is_own else str(kind.name)


async def parse_reading(raw: Any, text: str) -> Query:
    """Return a statement that reads: one that can be a subquery.

    Raises:
        ApiError: what `parse` raises, `query.not_read_only`.
    """
    query = await parse(raw, text)
    try:
        await raw.prepare(f"select from (\n{text}\n) as q")
    except Exception as error:
        if getattr(error, "sqlstate", "") in {"42601", "0A000"}:
            raise not_read_only() from error
        raise explained(error, text) from error
    return query


def not_read_only() -> ApiError:
    """Return the error for a statement that is not one of those that may be sent."""
    return ApiError(
        "Only a statement that reads may be sent here.",
        code="query.not_read_only",
        hint="One of SELECT, WITH … SELECT, VALUES, TABLE.",
    )


def explained(
    error: Exception,
    text: str = "",
    *,
    catalog: Catalog | None = None,
    secret: frozenset[str] = frozenset(),
) -> ApiError:
    """Return the error for what PostgreSQL has against a caller's own statement."""
    state = str(getattr(error, "sqlstate", None) or "")
    if type(error).__name__ == "InternalClientError" and "resolve" in str(error):
        return ApiError(
            "The query has a column with a datatype that cannot be sent.",
            code="query.unreadable",
            hint="Cast it to text.",
        )
    if state == READ_ONLY:
        return not_read_only()
    if state == "42601" and (
        getattr(error, "server_source_function", "") == "exec_parse_message"
    ):
        return ApiError("Send one statement.", code="query.one_statement")
    line = shown_line(str(getattr(error, "message", "")))
    if state == DENIED:
        return _denied(line, catalog, secret)
    if not (state[:2] in {"42", "22", "21", "25", "0A", "54"} or state == "55000"):
        return translate(error)
    return ApiError(
        f"The query cannot be run: {line}{place(error, text)}.",
        code="query.unreadable",
    )


def _denied(line: str, catalog: Catalog | None, secret: frozenset[str]) -> ApiError:
    """Return the error for a right that is missing; a secret column is named."""
    found = RELATION.search(line)
    table = catalog.tables.get(found[1]) if found and catalog else None
    names = list(table.columns) if table else []
    hidden = [name for name in names if is_secret(name, secret)]
    if not hidden or found is None:
        return Forbidden(
            f"The query may not be run: {line}.",
            code="query.forbidden",
            hint="Tables and views that hold no secret may be read, column by column.",
        )
    listed = ", ".join(f"'{name}'" for name in hidden)
    rest = ", ".join(name for name in names if name not in hidden)
    return Forbidden(
        f"Of '{found[1]}' these columns are secret: {listed}.",
        code="query.secret",
        hint=f"Name the columns you need: {rest[:500]}",
    )


def is_secret(column: str, secret: frozenset[str]) -> bool:
    """Whether a column never leaves the server, in whatever table it is."""
    word = column.casefold()
    return word in secret or "password" in word


def shown_line(text: str) -> str:
    """Return the first line of a message, cut to a readable length."""
    line = text.partition("\n")[0][:200]
    return "".join(c if c.isprintable() else "?" for c in line)


def place(error: Exception, text: str) -> str:
    """Return where in the caller's text the fault is, "" when that is not known."""
    position = str(getattr(error, "position", None) or "")
    if not text or not position.isdigit():
        return ""
    before = text[: int(position) - 1]
    line = before.count("\n") + 1
    return f" (line {line}, column {len(before) - before.rfind(chr(10))})"


def _numbered(query: Query) -> str:
    names = ", ".join(f"c{n}" for n in range(len(query.columns)))
    return f"q({names})" if names else "q"


def _subquery(query: Query) -> str:
    return f"(\n{query.text}\n) as {_numbered(query)}"


def once(names: Iterable[str]) -> list[str]:
    """Return names that are all different, as an object needs them.

    >>> once(["id", "id", "title"])
    ['id', 'id_2', 'title']
    """
    made: list[str] = []
    for name in names:
        number, word = 1, name
        while word in made:
            number += 1
            word = f"{name[:50]}_{number}"
        made.append(word)
    return made


def as_json(query: Query, *, reads: bool, limit: int, most: int) -> str:
    """Build the statement with the rows of `query`, each as one JSON object.

    From the row on with which the answer would pass `most` bytes, rows are null.
    """
    shown = _json_fields(query.columns)
    head, source = "", _subquery(query)
    if not reads:
        head, source = f"with {_numbered(query)} as (\n{query.text}\n) ", "q"
    return (
        f"{head}select case when sum(octet_length(j)) over (rows unbounded preceding)"
        f" <= {most:d} then j end from (select row_to_json(r.*)::text as j from"
        f" (select {shown} from {source}) as r limit {limit:d}) as s"
    )


def _json_fields(columns: Columns) -> str:
    """Build the fields of the object that a row becomes, no two with one name."""
    names = once(name for name, _ in columns)
    return ", ".join(
        f"{_answered(kind, f'q.c{n}')} as {quote(name)}"
        for n, (name, (_, kind)) in enumerate(zip(names, columns, strict=True))
    )


def _answered(kind: str, column: str) -> str:
    return answered(
        datatype(kind), column, in_text=kind.removesuffix("[]") == COMPOSITE
    )


def as_cells(query: Query) -> str:
    """Build the statement with bytes as they are answered; most queries have none."""
    if all(kind != BYTES for _, kind in query.columns):
        return query.text
    shown = ", ".join(
        f"{_answered(kind, f'q.c{n}') if kind == BYTES else f'q.c{n}'} as {quote(name)}"
        for n, (name, kind) in enumerate(query.columns)
    )
    return f"select {shown} from {_subquery(query)}"


def formula_safe(query: Query) -> str:
    """Build the statement with cells a spreadsheet takes for text, never a formula."""
    shown = ", ".join(
        f"{_text(kind, f'q.c{n}')} as {quote(_inert(name))}"
        for n, (name, kind) in enumerate(query.columns)
    )
    return f"select {shown} from {_subquery(query)}"


def _inert(name: str) -> str:
    return f"'{name[:60]}" if name[:1] in tuple("=+-@\t\r\n") else name


def _text(kind: str, column: str) -> str:
    if kind in PLAIN:
        return column
    if kind == BYTES:
        column = _answered(kind, column)
    return (
        f"case when ascii({column}::text) in {FORMULA} then '''' || {column}::text"
        f" else {column}::text end"
    )


def as_lines(query: Query) -> str:
    """Build the statement with the rows of `query`, each as JSON on one line.

    Only between the parts of a value of datatype json can there be a line break: inside
    a text it is escaped.
    """
    return (
        "select replace(replace(row_to_json(r.*)::text, chr(10), ' '), chr(13), ' ')"
        f" from (select {_json_fields(query.columns)} from {_subquery(query)}) as r"
    )
