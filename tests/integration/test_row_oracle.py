"""Reading against a second opinion: SQLAlchemy Core asks the same of the same rows.

Random tables, rows and questions. The answers are equal; the statement parses, names
these tables and columns alone, and holds none of the values.
"""

import asyncio
from datetime import date
from decimal import Decimal
from urllib.parse import urlencode

import asyncpg
import orjson
import pytest
import sqlalchemy as sa
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql
from sqlglot import exp

from atom import keys
from atom import settings as house
from atom.feature import row
from atom.feature.reach import Rules
from atom.sql import catalog
from atom.sql.run import Database, reset
from tests.integration.row_world import database_url, row_url

__all__ = ["database_url", "row_url"]

ME = 11
OURS = {"r", "key", "page", "n", "body", "next", "count"}
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
VALUES = {
    "bigint": st.sampled_from([-7001, 0, 7002, 7003, 9_000_000_000]),
    "smallint": st.sampled_from([-71, 0, 72]),
    "numeric(8,2)": st.sampled_from([Decimal(n) for n in ("-7100.5", "0", "7100.25")]),
    "text": st.sampled_from(TEXTS),
    "boolean": st.booleans(),
    "date": st.sampled_from([date(1971, 7, 1), date(1972, 7, 2)]),
    "text[]": st.lists(st.sampled_from(["zqa", "zqb", "zq c"]), max_size=2),
}
CORE = {
    "bigint": sa.BigInteger(),
    "smallint": sa.SmallInteger(),
    "numeric(8,2)": sa.Numeric(8, 2),
    "text": sa.Text(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "text[]": postgresql.ARRAY(sa.Text()),
}
NUMBERS = ("bigint", "smallint", "numeric(8,2)")
NAMES = ["a", "b", "Order", "two words", 'q"uote', "é", "select"]


def word(value):
    """Write a value as a caller does."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


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
MATCHED = {
    "like": lambda c, v: c.like(v),
    "ilike": lambda c, v: c.ilike(v),
    "~": lambda c, v: c.regexp_match(v),
}
LISTED = {"in": lambda c, v: c.in_(v), "not in": lambda c, v: c.not_in(v)}
ARRAYS = {
    "contains": lambda c, v: c.contains(postgresql.array(v, type_=sa.Text())),
    "overlap": lambda c, v: c.overlap(postgresql.array(v, type_=sa.Text())),
}


@st.composite
def asked(draw, table, kinds):
    """A filter: how a caller writes it, and how SQLAlchemy does."""
    name = draw(st.sampled_from(sorted(kinds)))
    kind, column = kinds[name], table.c[name]
    if draw(st.integers(0, 6)) == 0:
        null = draw(st.booleans())
        said = "is,null" if null else "is,not null"
        return (name, said), column.is_(None) if null else column.is_not(None)
    if kind == "text[]":
        choice = draw(st.sampled_from(["contains", "overlap", "any"]))
        if choice == "any":
            item = draw(st.sampled_from(["zqa", "zq c"]))
            return (name, f"any,{item}"), sa.literal(item) == sa.any_(column)
        items = draw(st.lists(st.sampled_from(["zqa", "zqb"]), min_size=1, max_size=2))
        return (name, f"{choice},{'|'.join(items)}"), ARRAYS[choice](column, items)
    choice = draw(st.sampled_from(["one", "list", "between", "match"]))
    if choice == "list":
        operator = draw(st.sampled_from(sorted(LISTED)))
        values = draw(st.lists(VALUES[kind], min_size=1, max_size=3))
        said = f"{operator},{'|'.join(map(word, values))}"
        return (name, said), LISTED[operator](column, values)
    if choice == "between":
        low, high = draw(VALUES[kind]), draw(VALUES[kind])
        said = f"between,{word(low)}|{word(high)}"
        return (name, said), column.between(low, high)
    if choice == "match" and kind == "text":
        operator = draw(st.sampled_from(sorted(MATCHED)))
        pattern = draw(st.sampled_from(["zq%", "%a", "z_a", "zq[ab]", "^zq"]))
        return (name, f"{operator},{pattern}"), MATCHED[operator](column, pattern)
    operator = draw(st.sampled_from(sorted(ORDERED)))
    value = draw(VALUES[kind])
    bound = sa.literal(value, column.type)
    return (name, f"{operator},{word(value)}"), ORDERED[operator](column, bound)


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
    plain = [n for n in sorted(kinds) if not set(n) & set('",;=() ')]
    both = draw(st.lists(asked(table, kinds), min_size=2, max_size=3))
    if draw(st.booleans()) and all(
        pair[0] in plain and not pair[1].endswith("\\") for pair, _ in both
    ):
        said = ";".join(
            f"{n}={text.replace(';', chr(92) + ';')}" for (n, text), _ in both
        )
        pairs.append(("or", f"({said})"))
        wheres.append(sa.or_(*(where for _, where in both)))
    mine = draw(st.booleans())
    if mine:
        wheres.append(table.c.created_by_id == ME)
    if draw(st.booleans()):
        return pairs, mine, _listed(draw, table, wheres, pairs)
    return pairs, mine, _grouped(draw, table, kinds, wheres, pairs)


def _listed(draw, table, wheres, pairs):
    names = ["id", "created_by_id"]
    if draw(st.booleans()):
        names = draw(st.permutations(names))
        pairs.append(("column", ",".join(names)))
    else:
        names = list(table.c.keys())
    by = draw(st.sampled_from(["", "id", "created_by_id desc", "created_by_id nulls"]))
    order = [table.c.id.desc()]
    if by == "id":
        pairs.append(("order", "id"))
        order = [table.c.id]
    elif by == "created_by_id desc":
        pairs.append(("order", by))
        order = [table.c.created_by_id.desc(), table.c.id.desc()]
    elif by:
        pairs.append(("order", "created_by_id nulls first,id desc"))
        order = [table.c.created_by_id.nulls_first(), table.c.id.desc()]
    limit, page = draw(st.sampled_from([1, 3, 100])), draw(st.sampled_from([1, 2]))
    pairs += [("limit", limit), ("page", page), ("is_count", "1")]
    chosen = [table.c[name] for name in names]
    rows = sa.select(*chosen).where(*wheres).order_by(*order)
    rows = rows.limit(limit).offset((page - 1) * limit)
    return rows, sa.select(sa.func.count()).select_from(table).where(*wheres)


def _grouped(draw, table, kinds, wheres, pairs):
    plain = [n for n in sorted(kinds) if "," not in n and "(" not in n]
    groups = draw(st.lists(st.sampled_from(plain), max_size=2, unique=True))
    if groups:
        pairs.append(("group_by", ",".join(groups)))
    functions, said = [sa.func.count().label("count")], ["count"]
    for name in plain:
        if kinds[name] in NUMBERS and draw(st.booleans()):
            for each in ("sum", "min", "max"):
                said.append(f"{each}({name})")
                made = getattr(sa.func, each)(table.c[name])
                functions.append(made.label(f"{each}_{name}"))
    pairs += [("aggregate", ",".join(said)), ("is_count", "1")]
    columns = [table.c[name] for name in groups]
    rows = sa.select(*columns, *functions).select_from(table).where(*wheres)
    rows = rows.group_by(*columns).order_by(*columns).limit(100)
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
            options = {"statement_cache_size": 0, "reset": reset}
            pool = await asyncpg.create_pool(row_url, min_size=1, max_size=2, **options)
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
    return value.isoformat() if isinstance(value, date) else value


async def fill(database, table, kinds, rows):
    """Make the table and its rows."""
    columns = "".join(
        f', "{name.replace(chr(34), chr(34) * 2)}" {kind}'
        for name, kind in kinds.items()
    )
    await database.pool.execute(
        "drop table if exists wild; create table wild (id bigint generated by default"
        f" as identity primary key, created_by_id bigint{columns})"
    )
    places = ", ".join(f"${n}" for n in range(1, len(kinds) + 3))
    numbered = [(n, *each) for n, each in enumerate(rows, 1)]
    await database.pool.executemany(f"insert into wild values ({places})", numbered)
    database.catalog = await catalog.read(database)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(questions())
def test_answers_are_those_of_sqlalchemy(asking, drawn):
    """The same rows, order and count; nothing in the text but names."""
    (pairs, mine, (rows, count)), table, kinds, made = drawn
    runner, database = asking
    rules = Rules(house.resolve(keys.KEYS, []))
    reach = rules.my(ME) if mine else rules.admin(1)
    raw = urlencode(pairs).encode()

    async def both():
        await fill(database, table, kinds, made)
        ours = await row.read(database, reach, raw)
        theirs = await database.pool.fetch(text_of(rows))
        return ours, theirs, await database.pool.fetchval(text_of(count))

    ours, theirs, counted = runner.run(both())
    expected = [{name: plain(v) for name, v in each.items()} for each in theirs]
    assert expected == orjson.loads(ours.body)
    assert counted == ours.beside["count"]
    names_only(database.said, table)


def names_only(text, table):
    """Check that a statement names these columns alone, and holds no value."""
    (tree,) = sqlglot.parse(text, read="postgres")
    assert isinstance(tree, exp.Select)
    named = {each.name for each in tree.find_all(exp.Table) if each.db}
    assert {"wild"} == named
    columns = {each.name for each in tree.find_all(exp.Column)}
    assert columns <= {*table.c.keys(), *OURS}
    for literal in tree.find_all(exp.Literal):
        numbered = isinstance(literal.parent, exp.Parameter)
        assert numbered or literal.this in {"1", "3", "100"}, literal
    for value in ("zq", "700", "71", "72", "9000000000", "197"):
        assert value not in text


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


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(BRANCHES, LEAVES, st.booleans(), st.integers(1, 4))
def test_relations_are_what_python_finds(asking, branches, leaves, mine, most):
    """Children, counts and parents, from rows that Python joins by hand."""
    runner, database = asking
    rules = Rules(house.resolve(keys.KEYS, []))
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
