"""Reading against a second opinion: SQLAlchemy Core asks the same of the same rows.

Random tables, rows and questions. The answers are equal; the statement parses, names
these tables and columns alone, and holds none of the values.
"""

import asyncio
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from urllib.parse import quote, urlencode
from uuid import UUID

import asyncpg
import orjson
import pytest
import sqlalchemy as sa
import sqlglot
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql
from sqlglot import exp

from atom import row
from atom.config import keys
from atom.config import resolve as house
from atom.datatype.answer import COMPRESSED_MIN, LIST_GROWS, TEXT_GROWS
from atom.errors import ApiError
from atom.postgres import catalog
from atom.postgres.database import Database
from atom.postgres.lease import reset
from atom.row.scope import RowConfig
from atom.row.sql import cursor
from atom.row.sql import statement as answer
from atom.row.sql.statement import ANSWER_MAX
from tests.integration.row_world import database_url, row_url
from tests.rules import owned
from tests.soak import size

__all__ = ["database_url", "row_url"]

ME = 11
OURS = {"r", "x", "key", "key_", "page", "n", "body", "next", "count"}
TEXTS = [
    "zqa",
    "zqb",
    "ZQA",
    "zq%c",
    "zq_d",
    "zq'e",
    'zq"f',
    "zq;g",
    "zq\\h",
    "zq é",
    "",
]
DOCS = [{"zqa": 7004}, {"zqa": {"zqb": [1]}}, ["zqa"], "zqb", 7005]
VALUES = {
    "bigint": st.sampled_from([-7001, 0, 7002, 7003, 9_000_000_000]),
    "smallint": st.sampled_from([-71, 0, 72]),
    "numeric(8,2)": st.sampled_from([Decimal(n) for n in ("-7100.5", "0", "7100.25")]),
    "double precision": st.sampled_from([-7001.5, 0.0, 7002.25]),
    "text": st.sampled_from(TEXTS),
    "varchar(5)": st.sampled_from(["zqa", "ZQA", ""]),
    "boolean": st.booleans(),
    "date": st.sampled_from([date(1971, 7, 1), date(1972, 7, 2)]),
    "time": st.sampled_from([time(7, 17), time(17, 7, 7)]),
    "timestamptz": st.sampled_from(
        [datetime(1971, 7, 1, 7, tzinfo=UTC), datetime(1972, 7, 2, tzinfo=UTC)]
    ),
    "uuid": st.sampled_from([UUID("a7a7" * 8), UUID("b7b7" * 8)]),
    "mood": st.sampled_from(["zqglad", "zqsad"]),
    "jsonb": st.sampled_from(DOCS),
    "text[]": st.lists(st.sampled_from(["zqa", "zqb", "zq c"]), max_size=2),
    "bigint[]": st.lists(st.sampled_from([7001, 7002]), max_size=2),
}
CORE = {
    "bigint": sa.BigInteger(),
    "smallint": sa.SmallInteger(),
    "numeric(8,2)": sa.Numeric(8, 2),
    "double precision": sa.Double(),
    "text": sa.Text(),
    "varchar(5)": sa.String(5),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "time": sa.Time(),
    "timestamptz": sa.DateTime(timezone=True),
    "uuid": sa.Uuid(),
    "mood": postgresql.ENUM("zqglad", "zqsad", name="mood", create_type=False),
    "jsonb": postgresql.JSONB(),
    "text[]": postgresql.ARRAY(sa.Text()),
    "bigint[]": postgresql.ARRAY(sa.BigInteger()),
}
NUMBERS = ("bigint", "smallint", "numeric(8,2)", "double precision")
TEXTUAL = ("text", "varchar(5)")
LEAST = (*NUMBERS, *TEXTUAL, "date", "time", "timestamptz")
NAMES = ["a", "b", "Order", "two words", 'q"uote', "é", "select", "key"]

OPEN = ("wild", "branch", "leaf", "exotic")


def word(value):
    """Write a value as a caller does."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


COMPARED = {
    "=": lambda c, v: c == v,
    "!=": lambda c, v: c != v,
    "<>": lambda c, v: c != v,
    "is distinct from": lambda c, v: c.is_distinct_from(v),
}
ORDERED = {
    **COMPARED,
    ">": lambda c, v: c > v,
    "<": lambda c, v: c < v,
    ">=": lambda c, v: c >= v,
    "<=": lambda c, v: c <= v,
}
SIMPLE = sa.literal_column("'simple'")
MATCHED = {
    "like": lambda c, v: c.like(v),
    "ilike": lambda c, v: c.ilike(v),
    "~": lambda c, v: c.regexp_match(v),
    "~*": lambda c, v: c.regexp_match(v, flags="i"),
    "fts": lambda c, v: sa.func.to_tsvector(SIMPLE, c).bool_op("@@")(
        sa.func.websearch_to_tsquery(SIMPLE, v)
    ),
}
LISTED = {"in": lambda c, v: c.in_(v), "not in": lambda c, v: c.not_in(v)}
ARRAYS = {
    "contains": lambda c, v: c.contains(v),
    "overlap": lambda c, v: c.overlap(v),
    **COMPARED,
}
JSONS = {"contains": lambda c, v: c.bool_op("@>")(v), **COMPARED}


@st.composite
def asked(draw, table, kinds):
    """A filter: how a caller writes it, and how SQLAlchemy does."""
    name = draw(st.sampled_from(sorted(kinds)))
    kind, column = kinds[name], table.c[name]
    if draw(st.integers(0, 6)) == 0:
        said, made = draw(st.sampled_from(nothing(kind, column)))
        return (name, f"is,{said}"), made
    if kind.endswith("[]"):
        return draw(of_array(name, kind, column))
    if kind == "jsonb":
        return draw(of_json(name, column))
    choices = ["one", "list", "between"] + ["match"] * (2 if kind in TEXTUAL else 0)
    choice = draw(st.sampled_from(choices))
    if choice == "list":
        operator = draw(st.sampled_from(sorted(LISTED)))
        values = draw(st.lists(VALUES[kind], min_size=1, max_size=3))
        said = f"{operator},{'|'.join(map(word, values))}"
        return (name, said), LISTED[operator](column, values)
    if choice == "between":
        low, high = draw(VALUES[kind]), draw(VALUES[kind])
        said = f"between,{word(low)}|{word(high)}"
        bounds = [sa.literal(each, column.type) for each in (low, high)]
        return (name, said), column.between(*bounds)
    if choice == "match":
        operator = draw(st.sampled_from(sorted(MATCHED)))
        pattern = draw(st.sampled_from(["zq%", "%a", "z_a", "zq[ab]", "^zq", "zqa"]))
        return (name, f"{operator},{pattern}"), MATCHED[operator](column, pattern)
    operator = draw(st.sampled_from(sorted(ORDERED)))
    value = draw(VALUES[kind])
    bound = sa.literal(value, column.type)
    return (name, f"{operator},{word(value)}"), ORDERED[operator](column, bound)


def nothing(kind, column):
    """Return what `is` takes of a kind of column."""
    found = [("null", column.is_(None)), ("not null", column.is_not(None))]
    if kind == "boolean":
        found += [("true", column.is_(True)), ("false", column.is_(False))]
    return found


@st.composite
def of_array(draw, name, kind, column):
    """A filter of an array."""
    of = CORE[kind.removesuffix("[]")]
    choice = draw(st.sampled_from([*sorted(ARRAYS), "any"]))
    values = draw(VALUES[kind])
    if choice == "any":
        item = draw(VALUES[kind.removesuffix("[]")])
        return (name, f"any,{word(item)}"), sa.literal(item, of) == sa.any_(column)
    parted = "," if choice in COMPARED else "|"
    bound = sa.cast(postgresql.array(values, type_=of), column.type)
    said = f"{choice},{parted.join(map(str, values))}"
    return (name, said), ARRAYS[choice](column, bound)


@st.composite
def of_json(draw, name, column):
    """A filter of a JSON document."""
    choice = draw(st.sampled_from([*sorted(JSONS), "exists", "exists"]))
    if choice == "exists":
        key = draw(st.sampled_from(["zqa", "zqb", "zqc"]))
        return (name, f"exists,{key}"), column.has_key(key)
    text = json.dumps(draw(VALUES["jsonb"]))
    bound = sa.cast(sa.literal(text, sa.Text()), postgresql.JSONB())
    return (name, f"{choice},{text}"), JSONS[choice](column, bound)


@st.composite
def grouped(draw, table, kinds, depth=1):
    """A group of filters and of groups: both languages, and which word holds them."""
    word_ = draw(st.sampled_from(["or", "and"]))
    said, made = [], []
    for _ in range(draw(st.integers(1, 3))):
        if depth < 4 and draw(st.integers(0, 2)) == 0:
            inner, inside, where = draw(grouped(table, kinds, depth + 1))
            said.append(f"{inner}=({inside})")
        else:
            plain_ = {n: k for n, k in kinds.items() if not set(n) & set('",;=() ')}
            (name, text), where = draw(asked(table, plain_))
            text = text.replace(";", "\\;")
            if depth > 1:
                text = text.replace(")", "\\)")
            # A backslash at the end would hide the semicolon after it.
            assume(not text.endswith("\\"))
            said.append(f"{name}={text}")
        made.append(where)
    join = sa.or_ if word_ == "or" else sa.and_
    return word_, ";".join(said), join(*made)


@st.composite
def questions(draw):
    """A table, its rows, and one question in two languages."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    kinds = {name: draw(st.sampled_from(sorted(VALUES))) for name in names}
    table = sa.Table(
        "wild",
        sa.MetaData(schema="public"),
        sa.Column("id", sa.BigInteger()),
        sa.Column("created_by_id", sa.BigInteger()),
        *(sa.Column(name, CORE[kind]) for name, kind in kinds.items()),
    )
    cells = [VALUES[kind] | st.none() for kind in kinds.values()]
    owners = st.sampled_from([ME, ME, 12, None])
    rows = draw(st.lists(st.tuples(owners, *cells), max_size=8))
    return draw(question(table, kinds)), table, kinds, rows


@st.composite
def question(draw, table, kinds):
    """One question: parameters of ours, a statement of SQLAlchemy's, ours or all."""
    pairs, wheres = [("table", "wild")], []
    for pair, where in draw(st.lists(asked(table, kinds), max_size=3)):
        pairs.append(pair)
        wheres.append(where)
    if any(not set(n) & set('",;=() ') for n in kinds) and draw(st.booleans()):
        word_, inside, where = draw(grouped(table, kinds))
        pairs.append((word_, f"({inside})"))
        wheres.append(where)
    mine = draw(st.booleans())
    if mine:
        wheres.append(table.c.created_by_id == ME)
    if draw(st.booleans()):
        return pairs, mine, _listed(draw, table, kinds, wheres, pairs)
    return pairs, mine, _grouped(draw, table, kinds, wheres, pairs)


WAYS = {
    "": lambda c: c,
    " asc": lambda c: c.asc(),
    " desc": lambda c: c.desc(),
    " nulls first": lambda c: c.nulls_first(),
    " desc nulls last": lambda c: c.desc().nulls_last(),
    " asc nulls last": lambda c: c.asc().nulls_last(),
    " DESC NULLS FIRST": lambda c: c.desc().nulls_first(),
}


@st.composite
def orders(draw, table, kinds):
    """An order by some columns: both languages; the id settles what is equal."""
    known = ["id", "created_by_id", *kinds]
    sorted_ = [n for n in known if kinds.get(n) != "jsonb" and "," not in n]
    names = draw(st.lists(st.sampled_from(sorted_), max_size=3, unique=True))
    ways = [draw(st.sampled_from(sorted(WAYS))) for _ in names]
    said = ",".join(name + way for name, way in zip(names, ways, strict=True))
    made = [WAYS[way](table.c[n]) for n, way in zip(names, ways, strict=True)]
    if not names:
        return "", [table.c.id.desc()]
    if "id" not in names:
        downward = "desc" in ways[-1].lower()
        made.append(table.c.id.desc() if downward else table.c.id.asc())
    return said, made


def _listed(draw, table, kinds, wheres, pairs):
    names = list(table.c.keys())
    if draw(st.booleans()):
        usable = [name for name in names if "," not in name]
        names = draw(st.lists(st.sampled_from(usable), min_size=1, unique=True))
        pairs.append(("column", ",".join(names)))
    said, order = draw(orders(table, kinds))
    if said:
        pairs.append(("order", said))
    limit, page = draw(st.sampled_from([1, 3, 100])), draw(st.sampled_from([1, 2]))
    pairs += [("limit", limit), ("page", page)]
    pairs.append(("is_count", draw(st.sampled_from(["1", "true"]))))
    chosen = [table.c[name] for name in names]
    rows = sa.select(*chosen).where(*wheres).order_by(*order)
    rows = rows.limit(limit).offset((page - 1) * limit)
    return rows, sa.select(sa.func.count()).select_from(table).where(*wheres)


def _grouped(draw, table, kinds, wheres, pairs):
    plain = [n for n in sorted(kinds) if "," not in n and "(" not in n]
    sorted_ = [n for n in plain if kinds[n] != "jsonb"]
    groups = []
    if sorted_:
        groups = draw(st.lists(st.sampled_from(sorted_), max_size=2, unique=True))
    if groups:
        pairs.append(("group_by", ",".join(groups)))
    functions, said = [sa.func.count().label("count")], ["count"]
    for name in plain:
        fits = ["count"]
        fits += ["sum", "avg"] if kinds[name] in NUMBERS else []
        fits += ["min", "max"] if kinds[name] in LEAST else []
        for each in draw(st.lists(st.sampled_from(fits), max_size=3, unique=True)):
            said.append(f"{each}({name})")
            made = getattr(sa.func, each)(table.c[name])
            functions.append(made.label(f"{each}_{name}"))
    pairs += [("aggregate", ",".join(said)), ("is_count", "1")]
    columns = [table.c[name] for name in groups]
    order = columns
    if groups and draw(st.booleans()):
        ways = [draw(st.sampled_from(sorted(WAYS))) for _ in groups]
        zipped = list(zip(groups, ways, strict=True))
        pairs.append(("order", ",".join(name + way for name, way in zipped)))
        order = [WAYS[way](table.c[name]) for name, way in zipped]
    rows = sa.select(*columns, *functions).select_from(table).where(*wheres)
    rows = rows.group_by(*columns).order_by(*order).limit(100)
    inner = sa.select(sa.literal_column("1")).select_from(table).where(*wheres)
    inner = inner.group_by(*columns).subquery()
    return rows, sa.select(sa.func.count()).select_from(inner)


class Heard(Database):
    """A database that remembers what it was asked."""

    said = ""

    async def value(self, text, *values, seconds=None):
        self.said = text
        return await super().value(text, *values, seconds=seconds)

    async def row(self, text, *values, seconds=None):
        self.said = text
        return await super().row(text, *values, seconds=seconds)


@pytest.fixture(scope="module")
def asking(row_url):
    """A loop of this module's own, and a database."""
    with asyncio.Runner() as runner:

        async def opened():
            # Tables change under it: no statement may be remembered.
            options = {
                "statement_cache_size": 0,
                "reset": reset,
                "server_settings": {"timezone": "UTC"},
            }
            pool = await asyncpg.create_pool(row_url, min_size=1, max_size=2, **options)
            await pool.execute("create type mood as enum ('zqglad', 'zqsad')")
            return Heard(pool)

        database = runner.run(opened())
        yield runner, database
        runner.run(database.pool.close())


DIALECT = postgresql.dialect(paramstyle="named")


def text_of(statement):
    """Write a statement of SQLAlchemy's with its values in it."""
    compiled = statement.compile(
        dialect=DIALECT, compile_kwargs={"literal_binds": True}
    )
    return str(compiled)


def plain(value):
    """Return a value as JSON has it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, date | time) else value


def shown(kind, value):
    """Return a value SQLAlchemy found as JSON has it, by the kind of its column."""
    return json.loads(value) if kind == "jsonb" and value is not None else plain(value)


def kept(kind, value):
    """Return a value as the driver takes it."""
    return json.dumps(value) if kind == "jsonb" and value is not None else value


async def add(database, kinds, number, each):
    """Insert one row."""
    places = ", ".join(f"${n}" for n in range(1, len(kinds) + 3))
    cells = (kept(k, v) for k, v in zip(kinds.values(), each[1:], strict=True))
    await database.pool.execute(
        f"insert into wild values ({places})", number, each[0], *cells
    )


async def fill(database, table, kinds, rows, solid=()):
    """Make the table and its rows; `solid` columns are not null."""
    columns = "".join(
        f', "{name.replace(chr(34), chr(34) * 2)}" {kind}'
        + (" not null" if name in solid else "")
        for name, kind in kinds.items()
    )
    await database.pool.execute(
        "drop table if exists wild; create table wild (id bigint generated by default"
        f" as identity primary key, created_by_id bigint{columns})"
    )
    for number, each in enumerate(rows, 1):
        await add(database, kinds, number, each)
    database.catalog = await catalog.read(database)


@pytest.mark.soak
@settings(
    max_examples=size(150, 3_000),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(questions())
def test_answers_are_those_of_sqlalchemy(asking, drawn):
    """The same rows, order and count; nothing in the text but names."""
    (pairs, mine, (rows, count)), table, kinds, made = drawn
    runner, database = asking
    rules = RowConfig(
        house.resolve(keys.KEYS, []).replace({"config_table": owned(*OPEN)})
    )
    reach = rules.my(ME) if mine else rules.admin(1)
    raw = urlencode(pairs).encode()

    async def both():
        await fill(database, table, kinds, made)
        ours = await row.read(database, reach, raw)
        theirs = await database.pool.fetch(text_of(rows))
        return ours, theirs, await database.pool.fetchval(text_of(count))

    ours, theirs, counted = runner.run(both())
    expected = [
        {name: shown(kinds.get(name), v) for name, v in each.items()} for each in theirs
    ]
    assert expected == orjson.loads(ours.body)
    assert counted == ours.extra["count"]
    names_only(database.said, table)


# Values that rows hold and questions ask for.
KEPT_OUT = {"zq", "700", "71", "72", "9000000000", "197", "a7a7", "b7b7"}
# Limits of ours, the words of fts, and what a regular expression is tried on.
# The largest size of an answer in bytes is written out, and what it is divided by: how
# much a value may grow, and how many columns may be long.
ALLOWED = {"0", "0.5", "1", "2", "3", "5", "100", "simple", "", str(ANSWER_MAX.most)}
ALLOWED |= {str(answer.LIKELY * ANSWER_MAX.most)}
ALLOWED |= {str(n) for n in (TEXT_GROWS, LIST_GROWS, COMPRESSED_MIN, *range(30))}


def names_only(text, table):
    """Check that a statement names these columns alone, and holds no value."""
    (tree,) = sqlglot.parse(text, read="postgres")
    assert isinstance(tree, exp.Select)
    named = {each.name for each in tree.find_all(exp.Table) if each.db}
    assert {"wild"} == named
    columns = {each.name for each in tree.find_all(exp.Column)}
    names = list(table.c.keys())
    grouped = {f"{each}_{name}" for each in ("min", "max") for name in names}
    assert columns <= {*names, *grouped, *OURS, "*"}  # a whole row, (r.*)
    for literal in tree.find_all(exp.Literal):
        numbered = isinstance(literal.parent, exp.Parameter)
        assert numbered or literal.this in ALLOWED, literal
    # Whole words, and those that number a parameter are none.
    tokens = list(sqlglot.tokenize(text, read="postgres"))
    words = {
        token.text
        for before, token in pairwise([None, *tokens])
        if before is None or before.text != "$"
    }
    assert not words & KEPT_OUT


@st.composite
def walks(draw):
    """A table, its rows, an order, a size of page, and rows that come in between."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    kinds = {name: draw(st.sampled_from(sorted(VALUES))) for name in names}
    table = sa.Table(
        "wild",
        sa.MetaData(schema="public"),
        sa.Column("id", sa.BigInteger()),
        sa.Column("created_by_id", sa.BigInteger()),
        *(sa.Column(name, CORE[kind]) for name, kind in kinds.items()),
    )
    cells = [VALUES[kind] | st.none() for kind in kinds.values()]
    row_ = st.tuples(st.sampled_from([ME, ME, ME, 12, None]), *cells)
    rows, later = draw(st.lists(row_, max_size=12)), draw(st.lists(row_, max_size=4))
    mine, limit = draw(st.booleans()), draw(st.sampled_from([1, 2, 3, 5, 7]))
    solid = [n for n in names if draw(st.booleans())]  # not null, where no value is
    return table, kinds, draw(orders(table, kinds)), rows, later, mine, limit, solid


@pytest.mark.soak
@settings(
    max_examples=size(150, 3_000),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(walks())
def test_pages_of_a_cursor_are_the_whole(asking, drawn):
    """In any order, with equal values and nulls; rows that come later hurt none."""
    table, kinds, (said, order), made, later, mine, limit, solid = drawn
    runner, database = asking
    rules = RowConfig(
        house.resolve(keys.KEYS, []).replace({"config_table": owned(*OPEN)})
    )
    reach = rules.my(ME) if mine else rules.admin(1)
    wheres = [table.c.created_by_id == ME] if mine else []
    whole = sa.select(table.c.id).where(*wheres).order_by(*order)
    places = list(kinds)
    solid = [
        name
        for name in solid
        if all(each[1 + places.index(name)] is not None for each in (*made, *later))
    ]

    async def walk(between):
        pages, cursor, texts = [], "", []
        while cursor is not None:
            pairs = [("table", "wild"), ("limit", limit), ("cursor", cursor)]
            pairs += [("is_count", "1")] + ([("order", said)] if said else [])
            answer = await row.read(database, reach, urlencode(pairs).encode())
            found = orjson.loads(answer.body)
            assert len(found) <= limit
            pages.append([each["id"] for each in found])
            texts.append(database.said)
            cursor = answer.extra["next_cursor"]
            assert len(pages) <= 40
            await between(len(pages))
        return pages, texts

    async def still(page):
        pass

    async def growing(page):
        if page <= len(later):
            await add(database, kinds, len(made) + page, later[page - 1])

    async def both():
        await fill(database, table, kinds, made, solid)
        ids = [each["id"] for each in await database.pool.fetch(text_of(whole))]
        quiet, texts = await walk(still)
        grown, _ = await walk(growing)
        after = [each["id"] for each in await database.pool.fetch(text_of(whole))]
        return ids, quiet, texts, grown, after

    ids, quiet, texts, grown, after = runner.run(both())
    assert ids == [each for page in quiet for each in page]
    assert all(len(page) == limit for page in quiet[:-1])
    seen = [each for page in grown for each in page]
    assert ids == [each for each in seen if each in set(ids)]
    assert seen == [each for each in after if each in set(seen)]
    for text in texts:
        names_only(text, table)


FAMILY = """
drop table if exists leaf, branch, users;
create table users (id bigint primary key, created_by_id bigint, username text,
  email text);
create table branch (id bigint primary key, created_by_id bigint, parent_id bigint,
  user_id bigint, title text);
create table leaf (id bigint primary key, created_by_id bigint, branch_id bigint,
  title text);
insert into users values (11, null, 'a', 'a@x'), (12, null, 'c', 'c@x');
"""
IDS = st.sampled_from([1, 2, 3, None])
OWNERS = st.sampled_from([ME, 12, None])
BRANCHES = st.lists(st.tuples(OWNERS, IDS, OWNERS), max_size=4)
LEAVES = st.lists(st.tuples(OWNERS, IDS), max_size=8)


@pytest.mark.soak
@settings(
    max_examples=size(60, 1_000),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(BRANCHES, LEAVES, st.booleans(), st.integers(1, 4))
def test_relations_are_what_python_finds(asking, branches, leaves, mine, most):
    """Children, counts and parents, from rows that Python joins by hand."""
    runner, database = asking
    rules = RowConfig(
        house.resolve(keys.KEYS, []).replace({"config_table": owned(*OPEN)})
    )
    reach = rules.my(ME) if mine else rules.admin(1)
    raw = (
        f"table=branch&column=id&relation=leaf(id,title):{most},leaf:count,"
        "parent_id(id,leaf:count),user_id(username)"
    ).encode()

    async def answer():
        await database.pool.execute(FAMILY)
        for n, (owner, parent, user) in enumerate(branches, 1):
            values = (n, owner, parent, user, f"b{n}")
            await database.pool.execute(
                "insert into branch values ($1, $2, $3, $4, $5)", *values
            )
        for n, (owner, branch) in enumerate(leaves, 1):
            await database.pool.execute(
                "insert into leaf values ($1, $2, $3, $4)", n, owner, branch, f"l{n}"
            )
        database.catalog = await catalog.read(database)
        return await row.read(database, reach, raw)

    def seen(owner):
        return not mine or owner == ME

    def below(branch):
        return [
            {"id": n, "title": f"l{n}"}
            for n, (owner, of) in enumerate(leaves, 1)
            if of == branch and seen(owner)
        ][::-1]

    def above(parent):
        if (
            parent is None
            or parent > len(branches)
            or not seen(branches[parent - 1][0])
        ):
            return None
        return {"id": parent, "leaf_count": len(below(parent))}

    people = {ME: {"username": "a"}, 12: {"username": "c"}, None: None}
    expected = [
        {
            "id": n,
            "leaf": below(n)[:most],
            "leaf_count": len(below(n)),
            "parent": above(parent),
            "user": people[user],
        }
        for n, (owner, parent, user) in enumerate(branches, 1)
        if seen(owner)
    ][::-1]
    assert expected == orjson.loads(runner.run(answer()).body)


EXOTIC = """
drop table if exists exotic;
create table exotic (id bigint primary key, created_by_id bigint, shape polygon,
  frame box, road path, edge line, part lseg, round circle, sheet xml, way jsonpath,
  mark xid, raw json, raws json[], spots point[], many bigint, title text, mood mood,
  moods mood[], ip inet, ratio double precision);
insert into exotic (id, created_by_id, ratio)
values (1, 11, 1.7e308), (2, 11, 1.7e308), (-1, 12, 1);
"""
INCOMPARABLE = ("shape", "frame", "road", "edge", "part", "round", "sheet", "way")
INCOMPARABLE += ("mark", "raw", "raws", "spots")
COMPARING = [
    *("=,1", "!=,x", ">,(0,0)", "in,a|b", "not in,a", "between,a|b", "contains,a"),
    *("overlap,a", "any,a", "is distinct from,1", "like,%", "exists,a", "fts,a"),
]


@pytest.fixture(
    scope="module",
    params=["force_generic_plan", "force_custom_plan"],
    ids=["once", "new"],
)
def exotic(asking, row_url, request):
    """A table of odd datatypes; its plans are made once for all, or each time."""
    runner, _ = asking
    habits = {"timezone": "UTC", "plan_cache_mode": request.param}

    async def opened():
        pool = await asyncpg.create_pool(
            row_url, min_size=1, max_size=1, reset=reset, server_settings=habits
        )
        await pool.execute(EXOTIC)
        database = Database(pool)
        database.catalog = await catalog.read(database)
        return database

    database = runner.run(opened())
    reach = RowConfig(
        house.resolve(keys.KEYS, []).replace({"config_table": owned(*OPEN)})
    ).my(ME)

    def ask(query):
        raw = f"table=exotic&{query}".encode()
        return runner.run(row.read(database, reach, raw))

    yield ask
    runner.run(database.pool.close())


@pytest.mark.parametrize("name", INCOMPARABLE)
def test_what_cannot_be_compared_is_refused_before_it_is_asked(exotic, name):
    """With the words of the column and what it has instead, by 400 and not by 500."""
    for operation in COMPARING:
        with pytest.raises(ApiError) as caught:
            exotic(f"{name}={quote(operation)}")
        assert 400 == caught.value.status
        assert name in caught.value.message
        assert "is" in caught.value.hint
    for shape in ("order={}", "group_by={}", "aggregate=max({})", "order=id,{} desc"):
        with pytest.raises(ApiError) as caught:
            exotic(shape.format(name))
        assert 400 == caught.value.status
    assert [{f"count_{name}": 0}] == orjson.loads(
        exotic(f"{name}=is,null&aggregate=count({name})").body
    )


@pytest.mark.parametrize(
    "query",
    [
        "title=~,[",
        "title=~*,(",
        "mood==,nope",
        "mood=in,zqglad|nope",
        "mood=between,zqglad|nope",
        "moods=contains,nope",
        "moods=any,nope",
        "ip=>,999.1.1.1",
        "or=(id==,0;and=(id==,0;title=~,[))",
        "or=(id==,0;ip==,x)",
        "created_by_id==,0&moods=contains,zqglad |zqsad",  # nobody is 0 and 11
        "created_by_id==,0&title=~,[",
        "id==,1&id==,2&mood==,nope&is_count=1&cursor=",
        "created_by_id==,0&mood==,nope&group_by=many",
    ],
)
def test_a_value_is_judged_though_there_is_no_row(exotic, query):
    """The answer depends on what is asked: a plan made for all values must look too."""
    with pytest.raises(ApiError) as caught:
        exotic(quote(query, safe="=&,()|;"))
    assert 400 == caught.value.status


def test_sums_and_forged_cursors_that_are_too_large_are_refused(exotic):
    """In words of the question: no column is written here."""
    with pytest.raises(ApiError) as caught:
        exotic("aggregate=sum(ratio)&id=>,0")
    assert 400 == caught.value.status
    assert "too large" in caught.value.message
    made = cursor.encode('exotic: order by t."id" desc', '["' + "9" * 40 + '"]')
    nothing_ = cursor.encode('exotic: order by t."id" desc', "[null]")
    for forged in (made, nothing_):
        with pytest.raises(ApiError) as caught:
            exotic(f"cursor={forged}")
        assert (400, "'cursor' cannot be read.") == (
            caught.value.status,
            caught.value.message,
        )
