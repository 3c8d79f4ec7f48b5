"""Cells of a file: read as rows are read everywhere, written for COPY."""

import csv
import io

import pytest

from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn
from atom.transfer.cell import Column, for_copy
from atom.transfer.csv_file import Reader

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaGhhc2hoYXNo"


def written(datatype, *cells, name="x", quoted=False, filled=False):
    """Return what COPY is sent for these cells, without the line's end."""
    out = io.StringIO()
    style = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    # A second column keeps an empty cell from making an empty line.
    writer = csv.writer(out, lineterminator="\n", quoting=style)
    writer.writerows([[name, "y"], *([cell, "-"] for cell in cells)])
    columns = [
        Column(LiveColumn(name, datatype), filled=filled),
        Column(LiveColumn("y", "text")),
    ]
    reader = Reader(io.BytesIO(out.getvalue().encode()))
    sent = b"".join(for_copy(columns, rows) for rows in reader).decode()
    return [line.removesuffix(",-") for line in sent.splitlines()]


READ = [
    ("bigint", "12", "12"),
    ("smallint", "-3", "-3"),
    ("numeric(10,3)", "4.500", "4.500"),
    ("double precision", "1e3", '"1000.0"'),
    ("real", "0.5", "0.5"),
    ("boolean", "true", "true"),
    ("boolean", "t", "t"),
    ("text", "a b", "a b"),
    ("text", " padded ", " padded "),
    ("text", r"a\b", r'"a\b"'),
    ("text", r"\.", r'"\."'),
    ("text", "a,b", '"a,b"'),
    ("text", 'say "x"', '"say ""x"""'),
    ("jsonb", '{"a": 1}', '"{""a"": 1}"'),
    ("jsonb", "12345678901234567890", "12345678901234567890"),
    ("date", "2026-01-31", "2026-01-31"),
    ("date", "20260131", '"2026-01-31"'),
    ("timestamp with time zone", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    ("timestamp with time zone", "2026-01-31 12:00:00+05:30", None),
    ("timestamp with time zone", "2026-01-31 12:00:00.5+00", None),
    ("timestamp with time zone", "2026-01-31", '"2026-01-31T00:00:00+00:00"'),
    ("timestamp without time zone", "2026-01-31T12:00", "2026-01-31T12:00"),
    (
        "timestamp without time zone",
        "2026-01-31T12:00:00+05:30",
        '"2026-01-31T06:30:00"',
    ),
    ("time without time zone", "12:00:00", "12:00:00"),
    ("uuid", "0f8fad5b-d9cb-469f-a165-70867728950e", None),
    (
        "uuid",
        "0f8fad5bd9cb469fa16570867728950e",
        '"0f8fad5b-d9cb-469f-a165-70867728950e"',
    ),
    ("point", "POINT(77.2 28.6)", '"(77.2,28.6)"'),
    ("point", "(77.2,28.6)", '"(77.2,28.6)"'),
    ("point", '{"type":"Point","coordinates":[77.2,28.6]}', '"(77.2,28.6)"'),
    ("geography(Point,4326)", "POINT(77.2 28.6)", '"SRID=4326;POINT(77.2 28.6)"'),
    ("geography(Point,4326)", "0101000020E6100000", '"0101000020E6100000"'),
    ("text[]", "a,b", '"{""a"",""b""}"'),
    ("text[]", '["a,b", null]', '"{""a,b"",NULL}"'),
    ("text[]", '{a,"b c"}', '"{a,""b c""}"'),
    ("bigint[]", "1,2", '"{""1"",""2""}"'),
    ("bytea", r"\x00ff", r'"\x00ff"'),
    ("bytea", "AP8=", r'"\x00ff"'),
    *[("boolean", v, v) for v in ("1", "0", "TRUE", "True", "t", "F")],
    ("interval", "1 day", "1 day"),
    ("numeric", "NaN", '"NaN"'),
    ("double precision", "-Infinity", '"-inf"'),
    ("timestamp with time zone", "infinity", '"infinity"'),
    ("date", "0044-03-15 BC", '"0044-03-15 BC"'),
    ("time without time zone", "24:00:00", '"24:00:00"'),
    ("bigint[]", "[[1,2],[3,null]]", '"{{""1"",""2""},{""3"",NULL}}"'),
]


@pytest.mark.parametrize(("datatype", "cell", "expected"), READ)
def test_a_cell_is_read_by_the_datatype_of_its_column(datatype, cell, expected):
    """What the column takes goes to PostgreSQL in a spelling that it reads alike."""
    assert [expected or cell] == written(datatype, cell)


REFUSED = [
    ("bigint", "1_000"),
    ("bigint", "x"),
    ("bigint", "1.0"),
    ("bigint", " 1"),
    ("bigint", "١"),
    ("bigint", "0x1f"),
    ("smallint", "70000000000000000000"),
    ("numeric", "nan"),
    ("numeric", "infinity"),
    ("bigint", "NaN"),
    ("double precision", "1e999"),
    ("boolean", "yes"),
    ("date", "today"),
    ("date", "31/01/2026"),
    ("timestamp with time zone", "now"),
    ("timestamp with time zone", "Infinity"),
    ("time without time zone", "24:00:01"),
    ("uuid", "x"),
    ("point", "POINT(200 0)"),
    ("point", "(x,1)"),
    ("geography(Point,4326)", "somewhere"),
    ("bigint[]", "1,x"),
    ("text[]", "[1"),
    ("bytea", "abc"),
    ("bigint", "1\n2"),
]


@pytest.mark.parametrize(("datatype", "cell"), REFUSED)
def test_a_cell_the_column_cannot_hold_is_named(datatype, cell):
    """The message names line, column, what it takes and what stood there."""
    with pytest.raises(ApiError) as caught:
        written(datatype, cell)

    at = 2 + cell.count("\n")
    assert 400 == caught.value.status
    assert caught.value.message.startswith(f"line {at}, column x: takes ")
    assert f"not '{cell[:3]}"[:6] in caught.value.message


def test_null_and_the_empty_text_stay_apart():
    """Nothing stays nothing; two quotes stay two quotes."""
    assert ["", "a"] == written("text", "", "a")
    assert ['""', '"a"'] == written("text", "", "a", quoted=True)


def test_the_empty_text_is_no_number():
    """Two quotes in a column of numbers are a fault, not a NULL."""
    with pytest.raises(ApiError) as caught:
        written("bigint", "", quoted=True)

    assert "column x" in caught.value.message


def test_a_mandatory_cell_may_not_be_empty():
    """A NULL where none may be is told with its line, before PostgreSQL is asked."""
    with pytest.raises(ApiError) as caught:
        written("bigint", "1", "", filled=True)

    assert "line 3, column x: is empty." == caught.value.message


@pytest.mark.parametrize("name", ["password", "password_bigint"])
def test_a_password_is_refused_and_not_repeated(name):
    """Only a hash may be written past the routes that make hashes."""
    with pytest.raises(ApiError) as caught:
        written("text", "open sesame", name=name)

    assert "Argon2id" in caught.value.message
    assert "sesame" not in caught.value.message


@pytest.mark.parametrize("quoted", [False, True])
def test_a_hash_of_a_password_is_taken(quoted):
    """Accounts can be moved from one database to another."""
    sent = written("text", HASH, name="password", quoted=quoted)

    assert [f'"{HASH}"'] == sent


@pytest.mark.parametrize("word", ["$argon2id$", HASH + "\nx", "x" + HASH, HASH[:-17]])
def test_what_only_begins_like_a_hash_is_none(word):
    """The whole cell must be one."""
    with pytest.raises(ApiError):
        written("text", word, name="password")
