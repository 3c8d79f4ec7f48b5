"""A CSV file in blocks: the same rows whatever the block, every fault with its line."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.errors import ApiError
from atom.transfer.csv_file import EMPTY, Reader

CELL = st.text(st.sampled_from(list('ab,"\n\r é\u2028\x85\\;\t')), max_size=6).filter(
    lambda cell: "\0" not in cell
)


def read(data, block_bytes=1 << 18):
    """Return the header, the rows and the line of each."""
    reader = Reader(io.BytesIO(data), block_bytes=block_bytes)
    rows, lines = [], []
    for part in reader:
        rows += part.rows
        lines += part.lines
    return reader.header, rows, lines


def fault(data, block_bytes=1 << 18):
    """Return what is said of a file that cannot be read."""
    with pytest.raises(ApiError) as caught:
        read(data, block_bytes)
    assert 400 == caught.value.status
    return caught.value.message


@given(
    st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=12),
    st.integers(1, 40),
    st.sampled_from(["\n", "\r\n"]),
)
def test_rows_come_back_as_they_were_written(rows, block_bytes, end):
    """However cells look and wherever a block ends, also inside a character."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["x", "y"], *rows])

    _, found, _ = read(out.getvalue().encode(), block_bytes)

    assert [[cell or EMPTY for cell in row] for row in rows] == found


@given(
    st.lists(st.lists(st.text("ab é\u2028;"), min_size=2, max_size=2), max_size=12),
    st.integers(1, 40),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_rows_without_quotes_go_on_as_they_stand(rows, block_bytes, end, closed):
    """Their text is handed on whole, with line feeds alone, and is the same rows."""
    lines = ["x,y", *(",".join(row) for row in rows)]
    data = end.join(lines) + (end if closed else "")
    reader = Reader(io.BytesIO(data.encode()), block_bytes=block_bytes)

    parts = list(reader)

    assert rows == [row for part in parts for row in part.rows]
    assert "".join(line + "\n" for line in lines[1:]) == "".join(
        part.text for part in parts
    )


@given(
    st.lists(
        st.sampled_from(["1,2\n", '"a\nb",2\n', "\n", "\r\n", '"",\n', "3,4\r\n"]),
        max_size=15,
    ),
    st.integers(1, 30),
)
def test_every_row_has_the_line_it_ends_on(pieces, block_bytes):
    """Header, empty lines and rows of several lines are all counted."""
    line, expected = 1, []
    for piece in pieces:
        line += piece.count("\n")
        if piece.strip():
            expected.append(line)

    _, _, lines = read(("x,y\n" + "".join(pieces)).encode(), block_bytes)

    assert expected == lines


@given(
    st.lists(st.sampled_from(["1,2\n", '"a\nb",2\n', "\n"]), max_size=15),
    st.integers(1, 30),
)
def test_a_line_of_copy_is_turned_into_one_of_the_file(pieces, block_bytes):
    """COPY counts neither the header nor empty lines."""
    reader = Reader(
        io.BytesIO(("\nx,y\n" + "".join(pieces)).encode()), block_bytes=block_bytes
    )
    lines = [line for part in reader for line in part.lines]
    copied, ends = 0, []
    for piece in pieces:
        if piece.strip():
            copied += piece.count("\n")
            ends.append(copied)

    assert lines == [reader.line(end) for end in ends]


def test_an_empty_cell_differs_from_an_empty_text():
    """Nothing is NULL, two quotes are the text that is empty, four are two quotes."""
    _, rows, _ = read(b'x,y,z\n,"",""""""\n')

    assert [["", EMPTY, '""']] == rows


def test_a_mark_at_the_beginning_is_passed_over():
    """Spreadsheets begin UTF-8 with a byte order mark."""
    header, rows, _ = read(b"\xef\xbb\xbfx,y\r\n1,2\r\n", 1)

    assert (["x", "y"], [["1", "2"]]) == (header, rows)


FAULTS = {
    b"": "The file is empty.",
    b"\n\n": "The file is empty.",
    b"x,y\n1,2\n1\n": "line 3: 1 cells where the header has 2.",
    b'x,y\n1,2\n"a\nb",2,3\n': "line 4: 3 cells where the header has 2.",
    b'x,y\n1,2\n\n"open,2\n3,4\n': "line 4: a quote is left open.",
    b'x,y\n"a"b,2\n3,4\n': "line 2: cannot be read as CSV.",
    b'x,"y\n1,2\n': "line 1: a quote is left open.",
    b"x,y\r1,2\r": "line 1: a carriage return without quotes.",
    b"x,y\n1,2\r3,4\n": "line 2: a carriage return without quotes.",
    b'x,y\n"1",2\r3,4\n': "line 2: a carriage return without quotes.",
    b"x,y\n1,2\n\xff,2\n": "line 3: not UTF-8.",
    b"\xff\xfex\0,\0y\0": "line 1: not UTF-8.",
    b"x,y\n1,2\n1,\xc3": "line 3: not UTF-8.",
    b"x,y\n1,2\n1,\0\n": "line 3: holds a NUL.",
    b'x,y\n"1","\0"\n': "line 2: holds a NUL.",
}


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 1 << 18])
@pytest.mark.parametrize("data", FAULTS)
def test_a_file_that_cannot_be_read_says_where(data, block_bytes):
    """The message names the line, the same for every size of block."""
    assert FAULTS[data] == fault(data, block_bytes)


def test_a_row_without_end_is_refused():
    """An open quote, or a file without lines, does not fill the memory."""
    for start in (b'x\n"', b"x\n"):
        big = io.BytesIO(start + b"a" * (17 * 2**20) + b"\nb\n")
        with pytest.raises(ApiError) as caught:
            list(Reader(big, block_bytes=1 << 20))
        assert "line 2: a row of more than 16 MiB." == caught.value.message
        assert big.tell() < 18 * 2**20
