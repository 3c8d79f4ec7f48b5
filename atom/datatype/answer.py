"""The expression that turns a column into what is answered for it.

PostgreSQL's own JSON is the answer for most datatypes; these are the others. What they
answer, `value.from_json` takes back.
"""

from atom.datatype import geography
from atom.datatype.binary import as_base64
from atom.datatype.datatype import PLACES, Datatype


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
