"""Keys and values in one column, of the extension hstore: answered as an object."""

from typing import Any

from atom.datatype import text
from atom.datatype.family import EQUAL, Family


def parse(datatype: str, raw: Any) -> str:
    """Return an object of texts and nulls, or PostgreSQL's own text, as that text."""
    if not isinstance(raw, dict):
        return text.parse(datatype, raw)
    return ",".join(
        f"{_word(key)}=>{'NULL' if value is None else _word(value)}"
        for key, value in raw.items()
    )


def _word(raw: Any) -> str:
    word = text.parse("text", raw).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"'


HSTORE = Family(
    "hstore",
    ("hstore",),
    takes=lambda _: 'an object of texts such as {"a": "b"}, or text such as a=>b',
    parse=parse,
    traits=EQUAL | {"is", "unparsed"},
    sends_text=True,
    text_is_json=lambda raw: raw.startswith("{"),
    declared={"hstore": "btree hash gin gist"},
    extensions={"hstore": "hstore"},
    example={"a": "b"},
)
