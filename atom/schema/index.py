"""Indexes a declaration asks for: their names, and what they can be built on."""

from dataclasses import dataclass
from hashlib import sha256

from atom.datatype.families import DECLARED
from atom.datatype.text import TEXT
from atom.postgres.identifier import MAX_BYTES
from atom.schema.column import element


@dataclass(frozen=True)
class Part:
    """One column of an index."""

    column: str
    operator_class: str = ""


@dataclass(frozen=True)
class Index:
    """An index as it should be."""

    name: str
    table: str
    method: str
    parts: tuple[Part, ...]
    unique: bool = False


def fits(method: str, datatype: str) -> bool:
    """Whether PostgreSQL can build this kind of index on a canonical datatype."""
    methods = DECLARED.get(element(datatype), "").split()
    if datatype.endswith("[]"):  # as comparable as what it holds
        return ("btree" if method == "gin" else method) in methods and (
            method in {"btree", "gin", "hash"}
        )
    return method in methods


def trigram(method: str, datatype: str) -> str:
    """Return the operator class pg_trgm lends to this index, or ""."""
    word = element(datatype)
    is_text = not datatype.endswith("[]") and word in TEXT.declared
    if not is_text or method not in TEXT.declared[word].split():
        return ""
    return {"gin": "gin_trgm_ops", "gist": "gist_trgm_ops"}.get(method, "")


def shorten(name: str, whole: str = "") -> str:
    """Cut a name to what PostgreSQL keeps; the end distinguishes cut names.

    With `whole` the name is given that end even when it is short enough.
    """
    if len(name) <= MAX_BYTES and not whole:
        return name
    digest = sha256((whole or name).encode()).hexdigest()[:8]
    return f"{name[: MAX_BYTES - 9]}_{digest}"


# The word that stands for the method in the name of an index that is a rule as well.
UNIQUE = "unique"


def _whole(table: str, columns: str, method: str) -> str:
    return f"index_{table}_{columns.replace(',', '_')}_{method}"


def index_name(table: str, columns: str, method: str) -> str:
    """Return the name of an index; several columns have commas between.

    >>> index_name("test", "title", "gin"), index_name("test", "a,b", "unique")
    ('index_test_title_gin', 'index_test_a_b_unique')
    """
    return shorten(_whole(table, columns, method))


def other_name(table: str, columns: str, method: str) -> str:
    """Return a name for an index that shares its own: a_b + c and a + b_c meet."""
    return shorten(_whole(table, columns, method), f"{table}.{columns}.{method}")
