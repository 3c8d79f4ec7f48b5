"""The statements of import, export and the runner, as text. Pure."""

# ruff: noqa: S608 - SQL is written here, of quoted names, parameters and proven text.

from collections.abc import Iterable, Sequence

from atom.datatype.datatype import PLACES
from atom.datatype.geography import as_geojson
from atom.postgres.identifier import public, quote, quote_all

STAGE = quote("atom_import")
ORDINAL = quote("#")  # in the stage: which row of the file it was
SHAPE = quote("%")  # in the stage: which columns the row names

# Beginnings a spreadsheet takes for a formula: tab, both line ends, + - = @.
# Source: OWASP, CSV Injection.
FORMULA = "(9, 10, 13, 43, 45, 61, 64)"
PLAIN = frozenset(
    {"int2", "int4", "int8", "float4", "float8", "numeric", "bool", "uuid", "oid"}
    | {"date", "time", "timetz", "timestamp", "timestamptz"}
)


def proof(text: str) -> str:
    """Make the statement the body of a temporary function, for PostgreSQL to read."""
    return (
        "create function pg_temp.atom_proof() returns void language sql"
        f" begin atomic\n{text}\n;\nend"
    )


def _numbered(columns: Sequence[tuple[str, str]]) -> str:
    names = ", ".join(f"c{n}" for n in range(len(columns)))
    return f"({names})" if columns else ""


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


def as_json(
    text: str, columns: Sequence[tuple[str, str]], *, reads: bool, limit: int, most: int
) -> str:
    """Write the statement whose rows are those of `text`, each as one JSON object.

    From the row on with which the answer would pass `most` bytes, rows are null.
    """
    shown = _json_fields(columns)
    head, source = "", f"(\n{text}\n) as q{_numbered(columns)}"
    if not reads:
        head, source = f"with q{_numbered(columns)} as (\n{text}\n) ", "q"
    return (
        f"{head}select case when sum(octet_length(j)) over (rows unbounded preceding)"
        f" <= {most:d} then j end from (select row_to_json(r)::text as j from"
        f" (select {shown} from {source}) as r limit {limit:d}) as s"
    )


def _json_fields(columns: Sequence[tuple[str, str]]) -> str:
    """Write the fields of the object that a row becomes, no two of one name."""
    names = once(name for name, _ in columns)
    return ", ".join(
        f"{_json(datatype, f'q.c{n}')} as {quote(name)}"
        for n, (name, (_, datatype)) in enumerate(zip(names, columns, strict=True))
    )


def _json(datatype: str, column: str) -> str:
    if datatype in PLACES:
        return as_geojson(datatype, column)
    return column


def formula_safe(text: str, columns: Sequence[tuple[str, str]]) -> str:
    """Write the statement whose cells a spreadsheet takes for text, never a formula."""
    shown = ", ".join(
        f"{_text(datatype, f'q.c{n}')} as {quote(_inert(name))}"
        for n, (name, datatype) in enumerate(columns)
    )
    return f"select {shown} from (\n{text}\n) as q{_numbered(columns)}"


def _inert(name: str) -> str:
    return f"'{name[:60]}" if name[:1] in tuple("=+-@\t\r\n") else name


def _text(datatype: str, column: str) -> str:
    if datatype in PLAIN:
        return column
    return (
        f"case when ascii({column}::text) in {FORMULA} then '''' || {column}::text"
        f" else {column}::text end"
    )


def as_lines(text: str, columns: Sequence[tuple[str, str]]) -> str:
    """Write the statement whose rows are those of `text`, each as JSON on one line.

    A line break can stand only between the parts of a value of datatype json: inside a
    text it is escaped.
    """
    shown = _json_fields(columns)
    return (
        "select replace(replace(row_to_json(r)::text, chr(10), ' '), chr(13), ' ')"
        f" from (select {shown} from (\n{text}\n) as q{_numbered(columns)}) as r"
    )


def whole(table: str, columns: Iterable[str]) -> str:
    """Write the statement that reads a whole table."""
    return f"select {quote_all(columns)} from {public(table)}"


# As `atom.postgres.notify` sends it, in the transaction: a receiver sees the rows.
TELL = (
    "select pg_notify('atom',"
    " json_build_object('topic', 'table', 'value', $1::text)::text)"
)
# A time without an offset is UTC, whatever the role's habit; a slow pipe may take its
# time.
PREPARE = (
    "select set_config('timezone', 'UTC', true),"
    " set_config('idle_in_transaction_session_timeout', '0', true)"
)


def stage(table: str, columns: Sequence[str]) -> str:
    """Write the temporary table that holds a file while it is applied."""
    listed = quote_all(columns)
    return (
        f"create temporary table {STAGE} on commit drop as select 0::bigint as"
        f" {ORDINAL}, 0 as {SHAPE}, {listed} from {public(table)} with no data"
    )


def number_stage() -> str:
    """Write the statement that has the stage count its rows, where none is told.

    The shape of a row tells which columns it names; untold, all name the same.
    """
    return (
        f"alter table pg_temp.{STAGE} alter column {ORDINAL} set not null,"
        f" alter column {ORDINAL} add generated by default as identity,"
        f" alter column {SHAPE} set default 0"
    )


ANALYZE = f"analyze pg_temp.{STAGE}"
LAST = f"select max({ORDINAL}) from pg_temp.{STAGE}"


def repeated(keys: Sequence[str]) -> str:
    """Write the question which row of the stage has keys that came before."""
    listed = quote_all(keys)
    said = " || ',' || ".join(f"{quote(key)}::text" for key in keys)
    return (
        f"select {ORDINAL} as again, first, keys from (select {ORDINAL},"
        f" {said} as keys, min({ORDINAL}) over (partition by {listed}) as first"
        f" from pg_temp.{STAGE}) as s where {ORDINAL} > first"
        f" order by {ORDINAL} limit 1"
    )


def absent(table: str) -> str:
    """Write the question which row of the stage has an id the table has not."""
    return (
        f"select s.{ORDINAL} as ordinal, s.id from pg_temp.{STAGE} as s"
        f" where not exists (select from {public(table)} as t where t.id = s.id)"
        f" order by s.{ORDINAL} limit 1"
    )


# Each of the following takes the rows from $1 to $2 that are of shape $3.
CHOSEN = f"s.{ORDINAL} between $1 and $2 and s.{SHAPE} = $3"


def update(table: str, columns: Sequence[str]) -> str:
    """Write the update of the rows that stand in a part of the stage."""
    listed = ", ".join(f"{quote(n)} = s.{quote(n)}" for n in columns if n != "id")
    return (
        f"update {public(table)} as t set {listed} from pg_temp.{STAGE} as s"
        f" where t.id = s.id and {CHOSEN}"
    )


def delete(table: str) -> str:
    """Write the deletion of the rows that stand in a part of the stage."""
    return (
        f"delete from {public(table)} as t using pg_temp.{STAGE} as s"
        f" where t.id = s.id and {CHOSEN}"
    )


def upsert(
    table: str, columns: Sequence[str], keys: Sequence[str], *, merge: bool
) -> str:
    """Write the insert of a part of the stage, where rows with the keys may be there.

    Such a row is changed, but for its id, or left alone.
    """
    names = quote_all(columns)
    given = ", ".join(f"s.{quote(name)}" for name in columns)
    changed = [name for name in columns if name not in {*keys, "id"}]
    # Something has to be set, or the row would not be counted.
    listed = ", ".join(
        f"{quote(name)} = excluded.{quote(name)}" for name in changed or keys[:1]
    )
    then = f"update set {listed}" if merge else "nothing"
    return (
        f"insert into {public(table)} ({names}) select {given}"
        f" from pg_temp.{STAGE} as s where {CHOSEN} order by s.{ORDINAL}"
        f" on conflict ({quote_all(keys)}) do {then}"
    )


def advance(table: str) -> str:
    """Write the statement that lifts the counter of ids over the largest id.

    Never lowers it. $1 is the table's name as `pg_get_serial_sequence` takes it.
    """
    return (
        "select setval(s.name::regclass, m.most)"
        " from (select pg_get_serial_sequence($1, 'id') as name) as s,"
        f" (select max(id) as most from {public(table)}) as m"
        " where s.name is not null"
        " and m.most > coalesce(pg_sequence_last_value(s.name::regclass), 0)"
    )
