"""JSON lines in blocks, and their values as cells for COPY."""

import io
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn
from atom.transfer.jsonl_cell import Column
from atom.transfer.jsonl_file import Reader

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
OBJECT = st.dictionaries(st.text(max_size=4), VALUE, max_size=4)


def read(data, block_bytes=1 << 18):
    """Return the objects, and the line of each."""
    rows, numbers = [], []
    for part in Reader(io.BytesIO(data), block_bytes=block_bytes):
        rows += part.rows
        numbers += part.numbers
    return rows, numbers


@given(
    st.lists(OBJECT | st.none(), max_size=8),
    st.integers(1, 40),
    st.sampled_from([b"\n", b"\r\n", b" \n"]),
    st.booleans(),
    st.booleans(),
)
def test_objects_come_back_as_they_were_written(rows, block_bytes, end, closed, marked):
    """Wherever a block ends; None stands for an empty line, which is passed over."""
    lines = [b"" if row is None else orjson.dumps(row) for row in rows]
    data = end.join(lines) + (end if closed else b"")
    data = b"\xef\xbb\xbf" + data if marked and block_bytes > 2 else data

    found, numbers = read(data, block_bytes)

    assert [row for row in rows if row is not None] == found
    assert [n for n, row in enumerate(rows, 1) if row is not None] == numbers


UNREADABLE = {
    b'{"a":1}\n{"a":}\n': "line 2: is not JSON (character 6).",
    b'{"a":1},{"b":2}\n{"a":[1\n2]}\n': "line 1: is not JSON (character 8).",
    b'\n\n"a"\n': "line 3: is not a JSON object: one object a line.",
    b'{"a":"\xff"}\n': "line 1: not UTF-8.",
    b'{"a":"\\ud800"}\n': "line 1: holds half of a surrogate pair",
    b'{"a":NaN}\n': "line 1: is not JSON (character 6).",
}


@pytest.mark.parametrize("block_bytes", [1, 1 << 18])
@pytest.mark.parametrize(("data", "message"), UNREADABLE.items())
def test_a_line_that_is_no_object_is_named(data, message, block_bytes):
    """With the place in it."""
    with pytest.raises(ApiError) as caught:
        read(data, block_bytes)

    assert caught.value.message.startswith(message), caught.value.message


@pytest.mark.parametrize(
    ("data", "hint"),
    [(b'{\n "a": 1\n}\n', "One whole object a line."), (b"[{}]", "Not a list")],
)
def test_a_file_of_another_kind_of_json_is_told_what_this_is(data, hint):
    """Pretty-printed JSON and one long list are what people have."""
    with pytest.raises(ApiError) as caught:
        read(data)

    assert caught.value.hint.startswith(hint)


def test_a_line_without_an_end_is_not_read_for_ever():
    """A gigabyte without a line break is refused at some megabytes."""

    class Endless:
        given = 0

        def read(self, size):
            self.given += size
            return b"x" * size

    file = Endless()
    with pytest.raises(ApiError) as caught:
        list(Reader(file))

    assert caught.value.message == "line 1: a line of more than 16 MiB."
    assert file.given < 20_000_000


LONG = "12345678901234567890.123456789"


@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_long_numbers_keep_their_digits(size):
    """Wherever a block of the file ends, and whatever the lines beside them hold."""
    lines = ['{"a": 0.5}', f'{{"a": {LONG}}}', '{"a": 1e400}', f'{{"b": [{LONG}]}}']

    rows, _ = read("\n".join(lines).encode(), size)

    number = Decimal(LONG)
    assert rows == [{"a": 0.5}, {"a": number}, {"a": Decimal("1e400")}, {"b": [number]}]


def cells(datatype, *values, name="x", filled=False):
    """Return what COPY is sent for these values."""
    column = Column(LiveColumn(name, datatype), filled=filled)
    return list(column.cells(values, range(1, len(values) + 1)))


CELLS = [
    ("bigint", [1, None, "+7"], ["1", "\\N", "7"]),
    ("numeric(10,3)", [1, 2.5, "1e2"], ["1", "2.5", "1E+2"]),
    ("double precision", [1, 2.5], ["1", "2.5"]),
    ("real", [0.1], ["0.10000000149011612"]),
    ("boolean", [True, None, False], ["t", "\\N", "f"]),
    ("boolean", [True, "false"], ["true", "false"]),
    ("text", ["a", ""], ["a", ""]),
    ("text", ["a\tb\\N\r\n", None], ["a\\tb\\\\N\\r\\n", "\\N"]),
    ("text", ["\\."], ["\\\\."]),
    ("jsonb", [{"a": "\t\\"}, None, "x"], ['{"a":"\\\\t\\\\\\\\"}', "\\N", '"x"']),
    ("date", ["2026-01-31", "20260131"], ["2026-01-31", "2026-01-31"]),
    ("text[]", [["a\tb", None], []], ['{"a\\tb",NULL}', "{}"]),
    ("point", [{"type": "Point", "coordinates": [1, 2]}], ["(1.0,2.0)"]),
    ("bytea", ["\\x00ff", "AP8="], ["\\\\x00ff", "\\\\x00ff"]),
]


@pytest.mark.parametrize(("datatype", "values", "expected"), CELLS)
def test_a_value_becomes_a_cell_of_copy(datatype, values, expected):
    """Tabs, line ends and backslashes are escaped, NULL is none of them."""
    assert expected == cells(datatype, *values)


REFUSED = [
    ("bigint", [1, 2**63], 2),
    ("bigint", [1.5], 1),
    ("bigint", [True], 1),
    ("smallint", [1, 40_000], 2),
    ("numeric", [1, True], 2),
    ("numeric", ["x"], 1),
    ("real", [1, 1e39], 2),
    ("boolean", [True, 1], 2),
    ("text", ["a", 1], 2),
    ("text", ["a\0", "b"], 1),
    ("date", ["2026-01-31\x002026-01-31"], 1),
    ("timestamp with time zone", ["2026-01-31T12:00:00Z", "now"], 2),
    ("jsonb", [{"a": "\0"}], 1),
    ("bigint[]", [[1, "x"]], 1),
    ("bytea", ["abc"], 1),
    ("bytea[]", [["\\x0"]], 1),
    ("point", [[1, 2]], 1),
]


@pytest.mark.parametrize(("datatype", "values", "line"), REFUSED)
def test_a_value_the_column_cannot_hold_is_named(datatype, values, line):
    """The message names line, column and what it takes."""
    with pytest.raises(ApiError) as caught:
        cells(datatype, *values)

    assert caught.value.message.startswith(f"line {line}, column x: takes ")
    assert "transfer.unreadable_value" == caught.value.code


def test_a_value_that_must_be_there_may_not_be_null():
    """Told with its line, before PostgreSQL is asked."""
    with pytest.raises(ApiError) as caught:
        cells("bigint", 1, None, filled=True)

    assert "line 2, column x: is null." == caught.value.message


@pytest.mark.parametrize("raw", ["open sesame", 123456])
def test_a_password_is_refused_and_not_repeated(raw):
    """Only a hash may be written past the routes that make hashes."""
    with pytest.raises(ApiError) as caught:
        cells("text", raw, name="password")

    assert "Argon2id" in caught.value.message
    assert str(raw) not in caught.value.message
