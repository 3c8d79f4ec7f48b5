"""Indexes a declaration asks for: their names, and what they can be built on."""

from dataclasses import dataclass
from hashlib import sha256

from atom.postgres.identifier import MAX_BYTES
from atom.schema.column import element, words

GEOMETRIC = frozenset({"point", "line", "lseg", "box", "path", "polygon", "circle"})
RANGES = words("int4range,int8range,numrange,tsrange,tstzrange,daterange")
MULTIRANGES = words(
    "int4multirange,int8multirange,nummultirange,"
    "tsmultirange,tstzmultirange,datemultirange"
)
TEXTS = frozenset({"text", "character varying", "citext"})
UNORDERED = GEOMETRIC | {"json", "xml", "geography"}
UNHASHED = UNORDERED | words(
    "bit,bit varying,money,tsvector,tsquery,cube,ltree,vector,halfvec,geography"
)
BRIN = RANGES | words(
    "smallint,integer,bigint,real,double precision,numeric,date,interval,uuid,"
    "time without time zone,time with time zone,"
    "timestamp without time zone,timestamp with time zone,"
    "inet,cidr,macaddr,macaddr8,bit,bit varying,bytea,text,character varying,"
    "character,box"
)
GIN = TEXTS | {"jsonb", "tsvector", "hstore"}
GIST = (
    TEXTS
    | RANGES
    | MULTIRANGES
    | words(
        "point,box,polygon,circle,tsvector,tsquery,ltree,cube,hstore,geography,geometry"
    )
)


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
    """Whether PostgreSQL can build this kind of index on a canonical datatype.

    Source: `pg_opclass` of PostgreSQL 18 and of its contributed extensions.
    """
    word = element(datatype)
    if datatype.endswith("[]"):
        # An array is as comparable as what it holds.
        if method == "hash":
            return word not in UNHASHED
        return method in {"btree", "gin"} and word not in UNORDERED
    if method == "btree":
        return word not in UNORDERED
    if method == "hash":
        return word not in UNHASHED
    return word in {"gin": GIN, "gist": GIST, "brin": BRIN}[method]


def trigram(method: str, datatype: str) -> str:
    """Return the operator class pg_trgm lends to this index, or ""."""
    if datatype.endswith("[]") or element(datatype) not in TEXTS:
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
