"""The expression that turns a column into what is answered for it.

PostgreSQL's own JSON is the answer for most datatypes; these are the others. What they
answer, `value.from_json` takes back.
"""

from atom.datatype import geography
from atom.datatype.binary import as_base64
from atom.datatype.datatype import PLACES, Datatype

# Families of values that are short however they are written: 800 digits at most.
SHORT = frozenset(
    {"boolean", "date", "float", "integer", "moment", "number", "point", "time", "uuid"}
)
LISTS = frozenset({"json", "hstore"})
# How much longer than stored a value may be in JSON: by control characters; by numbers
# of 400 digits, and nulls.
TEXT_GROWS, LIST_GROWS = 6, 40
COMPRESSED_MIN = 64  # what is stored in fewer bytes was never long


def answered(kind: Datatype, column: str, *, in_text: bool = False) -> str:
    """Build the expression for a column; the column itself where nothing is changed.

    >>> answered(Datatype("bytea", "bytes"), "t.raw")
    "translate(encode(t.raw, 'base64'), E'\\\\n', '')"
    >>> answered(Datatype("text", "text"), "t.title")
    't.title'
    """
    if kind.family in PLACES:
        return geography.as_geojson(kind.family, column)
    if kind.family == "bytes":
        return as_base64(column)
    if in_text:
        return f"{column}::text{'[]' if kind.element else ''}"
    return column


def exceeds(kind: Datatype, column: str, most: str, *, in_text: bool = False) -> str:
    """Build whether an answered value may take more than `most` bytes as JSON.

    It reads no more of the value than its length. Empty for datatypes that are short.

    >>> exceeds(Datatype("text", "text"), "r.title", "900")
    'octet_length(r.title) > 900 / 6'
    >>> exceeds(Datatype("integer", "integer"), "r.id", "900")
    ''
    """
    if kind.family in SHORT:
        return ""
    if kind.family in PLACES:
        return f"pg_column_size({column}) > {most}"
    if kind.element is not None or kind.family in LISTS:
        return _stored(column, f"{most} / {LIST_GROWS}")
    if kind.family not in ("text", "bytes") and not in_text:
        column += "::text"
    return f"octet_length({column}) > {most} / {TEXT_GROWS}"


def _stored(column: str, most: str) -> str:
    """Build whether a value is stored in more bytes than `most`, or compressed."""
    size = f"pg_column_size({column})"
    return (
        f"{size} > {COMPRESSED_MIN}"
        f" and ({size} > {most} or pg_column_compression({column}) is not null)"
    )
