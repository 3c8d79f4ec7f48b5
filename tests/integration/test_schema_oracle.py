"""A second opinion: Alembic finds that the database is what was declared.

The metadata is made here, from the texts of the declaration and by a table of its own;
nothing of Atom's own reading of datatypes takes part.
"""

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.integration.near import connected, database_url, fresh_database
from tests.soak import size

__all__ = ["database_url"]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sqlalchemy as sa
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy.dialects import postgresql as pg
    from sqlalchemy.ext.asyncio import create_async_engine

    # What is written, what it is to SQLAlchemy, defaults with their SQL, good indexes.
    TYPES = {
        "smallint": (sa.SmallInteger(), {7: "7", -1: "'-1'"}, "btree hash brin"),
        "int": (sa.Integer(), {0: "0"}, "btree hash brin"),
        "bigint": (sa.BigInteger(), {5: "5"}, "btree hash brin"),
        "text": (sa.Text(), {"it's": "'it''s'", "": "''"}, "btree hash"),
        "varchar(9)": (sa.String(9), {"a": "'a'"}, "btree"),
        "numeric(10,2)": (sa.Numeric(10, 2), {1.5: "1.5"}, "btree brin"),
        "float": (sa.Double(), {0.1: "0.1"}, "btree"),
        "real": (sa.REAL(), {2: "2"}, "btree"),
        "bool": (sa.Boolean(), {True: "true"}, "btree"),
        "date": (sa.Date(), {"2026-01-02": "'2026-01-02'"}, "btree brin"),
        "timestamptz": (sa.DateTime(timezone=True), {"now()": "now()"}, "btree brin"),
        "timestamp": (sa.DateTime(), {"now()": "now()"}, "btree brin"),
        "uuid": (sa.Uuid(), {"gen_random_uuid()": "gen_random_uuid()"}, "btree hash"),
        "jsonb": (pg.JSONB(), {"{}": "'{}'"}, "gin"),
        "bytea": (sa.LargeBinary(), {}, "btree"),
        "inet": (pg.INET(), {}, "btree"),
        "text[]": (pg.ARRAY(sa.Text()), {}, "gin"),
        "bigint[]": (pg.ARRAY(sa.BigInteger()), {}, "gin"),
    }

NAMES = st.sampled_from(["a", "b_c", "order", "title", "name", "z" * 20])
TABLES = ("test", "user", "a_b")
ORDERED = ("smallint", "int", "bigint", "text", "uuid", "date")


@st.composite
def columns(draw):
    """Draw columns in either form."""
    lines = []
    for name in sorted(draw(st.sets(NAMES, min_size=1, max_size=5))):
        written = draw(st.sampled_from(sorted(TYPES)))
        _, defaults, able = TYPES[written]
        method = draw(st.sampled_from(["0", *able.split()]))
        mandatory = draw(st.integers(0, 1))
        if draw(st.booleans()):
            lines.append(f"{name}-{written}-{mandatory}-{method}")
            continue
        line = {"name": name, "datatype": written, "is_mandatory": mandatory}
        line |= {"index": method}
        if defaults and draw(st.booleans()):
            line["default"] = draw(st.sampled_from(list(defaults)))
        if "btree" in able and draw(st.booleans()):
            line["unique"] = 1
        if written == "bigint" and draw(st.booleans()):
            line["references"] = draw(st.sampled_from(TABLES))
            actions = ["cascade", "restrict", ""] + ["set null"] * (not mandatory)
            line["on_delete"] = draw(st.sampled_from(actions))
        if written == "text" and draw(st.booleans()):
            line["regex"] = "^|"
        lines.append(line)
    return lines


def parts(line):
    """Return name, datatype, mandatory, methods and the rest of a line."""
    if isinstance(line, str):
        name, written, mandatory, method = line.split("-")
        return name, written, mandatory == "1", method, {}
    return line["name"], line["datatype"], line["is_mandatory"], line["index"], line


@st.composite
def declarations(draw):
    """Draw three tables, with indexes on several columns."""
    tables = {}
    for table in TABLES:
        lines = draw(columns())
        able = [parts(line)[0] for line in lines if parts(line)[1] in ORDERED]
        if len(able) > 1 and draw(st.booleans()):
            several = draw(st.permutations(able))[:2]
            lines.append({"index": several, "unique": draw(st.integers(0, 1))})
        tables[table] = lines
    return tables


def metadata(tables):
    """Say the same in SQLAlchemy's words."""
    found = sa.MetaData()
    for table, lines in tables.items():
        made = sa.Table(
            table,
            found,
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        )
        for line in lines:
            if "name" not in line and not isinstance(line, str):
                several, unique = line["index"], bool(line["unique"])
                kind = "unique" if unique else "btree"
                name = f"index_{table}_{'_'.join(several)}_{kind}"
                sa.Index(name, *(made.c[c] for c in several), unique=unique)
                continue
            name, written, mandatory, method, more = parts(line)
            datatype, defaults, _ = TYPES[written]
            default = defaults[more["default"]] if "default" in more else None
            made.append_column(
                sa.Column(
                    name,
                    datatype,
                    nullable=not mandatory,
                    server_default=sa.text(default) if default else None,
                )
            )
            if method != "0":
                index = f"index_{table}_{name}_{method}"
                sa.Index(index, made.c[name], postgresql_using=method)
            if more.get("unique"):
                sa.Index(f"index_{table}_{name}_unique", made.c[name], unique=True)
            if "references" in more:
                made.append_constraint(
                    sa.ForeignKeyConstraint(
                        [name],
                        [f"{more['references']}.id"],
                        name=f"foreign_{table}_{name}",
                        ondelete=more["on_delete"].upper() or None,
                    )
                )
    return found


async def differences(url, wanted):
    """Return what Alembic would do to make a database what it should be."""

    def compared(connection):
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, wanted)

    engine = create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:"), poolclass=sa.NullPool
    )
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compared)
    finally:
        await engine.dispose()


@pytest.mark.soak
@settings(
    max_examples=size(10, 200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(first=declarations(), second=declarations())
async def test_alembic_finds_no_difference(database_url, first, second):
    """From nothing, and from the tables of another declaration."""
    async with fresh_database(database_url) as url:
        await schema.apply(url, Declaration.parse({"table": first}))
        once = await differences(url, metadata(first))
    async with fresh_database(database_url) as url:
        kept = {table: _alike(first[table], lines) for table, lines in second.items()}
        await schema.apply(url, Declaration.parse({"table": kept}))
        after = Declaration.parse({"table": second})
        await schema.apply(url, after, destructive=True)
        left = await schema.plan(url, after, destructive=True)
        twice = await differences(url, metadata(second))

    assert [] == once
    assert ((), []) == (left.steps, twice)


def _alike(lines, others):
    """Take from a table's lines what the other's can be made from.

    A datatype that cannot become the other is left out, and so is a default that the
    other does not name: that would stay.
    """
    wanted = {parts(line)[0]: parts(line) for line in others if _is_column(line)}
    found = []
    for line in filter(_is_column, lines):
        name, written, *_, more = parts(line)
        other = wanted.get(name)
        if other is not None and other[1] != written:
            continue
        if other is not None and "default" in more and "default" not in other[-1]:
            line = {key: value for key, value in more.items() if key != "default"}
        found.append(line)
    return found


def _is_column(line):
    return isinstance(line, str) or "name" in line


@pytest.mark.parametrize(
    "change",
    [
        'alter table "user" alter column name drop not null',
        "alter table \"user\" alter column name set default 'b'",
        'alter table "user" alter column name type varchar(5)',
        "drop index index_user_name_unique",
        'alter table "user" drop constraint foreign_user_boss_id',
        'alter table "user" add column other int',
    ],
)
async def test_oracle_and_plan_both_see_a_change(database_url, change):
    """An oracle that finds nothing must be able to find something."""
    lines = [
        {
            "name": "name",
            "datatype": "text",
            "is_mandatory": 1,
            "index": "0",
            "default": "it's",
            "unique": 1,
        },
        {
            "name": "boss_id",
            "datatype": "bigint",
            "is_mandatory": 0,
            "index": "0",
            "references": "user",
            "on_delete": "cascade",
        },
    ]
    TYPES_WANTED = {"user": lines}
    declared = Declaration.parse({"table": TYPES_WANTED})
    async with fresh_database(database_url) as url:
        await schema.apply(url, declared)
        before = await differences(url, metadata(TYPES_WANTED))
        raw = await connected(url)
        await raw.execute(change)
        await raw.close()
        after = await differences(url, metadata(TYPES_WANTED))
        planned = await schema.plan(url, declared)

    assert [] == before
    assert 1 == len(after)
    assert planned.steps or planned.drift
