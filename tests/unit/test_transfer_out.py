"""What leaves as CSV: how its lines end."""

from hypothesis import given
from hypothesis import strategies as st

from atom.transfer.export import LineEnds

CELL = st.text('a,"\n\ré=', max_size=5)


def lines(rows, end):
    """Write rows as COPY does, with this end of a record."""
    quoted = '"{}"'.format
    return "".join(
        ",".join(
            quoted(cell.replace('"', '""')) if set(cell) & set(',"\n\r') else cell
            for cell in row
        )
        + end
        for row in rows
    ).encode()


@given(st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=8), st.data())
def test_only_the_ends_of_records_become_two_characters(rows, data):
    """Wherever the stream is cut, a line feed inside quotes stays one."""
    sent = lines(rows, "\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    ends, made = LineEnds(), b""
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        made += ends.convert(sent[start:stop])

    assert lines(rows, "\r\n") == made
