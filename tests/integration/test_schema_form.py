"""The forms of a declaration on a real PostgreSQL: made, compared, changed, dropped."""

from typing import ClassVar

import asyncpg
import pytest

from atom.errors import ConfigError, Conflict
from atom.row.sql import query_string
from atom.schema import apply as schema
from atom.schema import remark
from atom.schema.declaration import Declaration
from tests.database import dumped
from tests.integration.near import connected, database_url, fresh_database

__all__ = ["database_url"]

PRICED = [
    "price-numeric-0-0",
    "qty-integer-0-0",
    {"name": "total", "datatype": "numeric", "generated": "price * qty"},
]


def declare(*lines, **parts):
    """Declare the table test, and other parts by their names."""
    table = {"test": list(lines), **parts.pop("table", {})}
    return Declaration.parse({"table": table, **parts})


@pytest.fixture
async def url(database_url):
    """The address of an empty database."""
    async with fresh_database(database_url) as fresh:
        yield fresh


@pytest.fixture
async def raw(url):
    """A connection to the empty database."""
    connection = await connected(url)
    yield connection
    await connection.close()


async def settled(url, declared, **how):
    """Apply, and see that nothing is left to do and nothing differs."""
    done = await schema.apply(url, declared, **how)
    left = await schema.plan(url, declared, **how)
    assert ((), (), ()) == (left.steps, left.drift, left.refusals)
    return [step.sql for step in done.steps]


class TestGeneratedColumn:
    """`{"name": …, "generated": …}`."""

    async def test_is_made_with_its_table_and_to_one_that_has_rows(self, url, raw):
        """Old rows and new ones have the value."""
        await settled(url, declare(*PRICED[:2]))
        await raw.execute("insert into test (price, qty) values (2, 3)")

        await settled(url, declare(*PRICED))
        await settled(url, declare(*PRICED, table={"other": PRICED}))

        assert 6 == await raw.fetchval("select total from test")

    async def test_changed_expression_is_computed_again(self, url, raw):
        """No value is lost: they are all computed."""
        await settled(url, declare(*PRICED))
        await raw.execute("insert into test (price, qty) values (2, 3)")

        changed = {"name": "total", "datatype": "numeric", "generated": "price*qty+1"}
        await settled(url, declare(*PRICED[:2], changed))
        assert 7 == await raw.fetchval("select total from test")
        changed["datatype"] = "numeric(12,2)"
        await settled(url, declare(*PRICED[:2], changed))
        assert 7 == await raw.fetchval("select total from test")

    async def test_column_under_it_changes_its_datatype(self, url, raw):
        """It is dropped and made again around the change."""
        await settled(url, declare(*PRICED))
        await raw.execute("insert into test (price, qty) values (2, 3)")

        lines = ["price-numeric-0-0", "qty-bigint-0-0", PRICED[2]]
        await settled(url, declare(*lines), destructive=True)

        assert 6 == await raw.fetchval("select total from test")

    async def test_renamed_column_under_it_plans_nothing_more(self, url):
        """PostgreSQL follows the name; the declaration has it as well."""
        await settled(url, declare(*PRICED))
        cost = {"name": "cost", "datatype": "numeric", "old": "price"}
        total = {**PRICED[2], "generated": "cost * qty"}

        ran = await settled(url, declare(cost, PRICED[1], total))

        assert ['alter table "public"."test" rename column "price" to "cost"'] == ran

    async def test_plain_column_stays_until_it_may_go(self, url, raw):
        """Its values were not computed, so they would be lost."""
        plain = declare(*PRICED[:2], "total-numeric-0-0")
        await schema.apply(url, plain)

        planned = await schema.plan(url, declare(*PRICED))
        assert () == planned.steps
        assert "test.total is not computed, declared as generated" in planned.drift[0]
        await settled(url, declare(*PRICED), destructive=True)
        await settled(url, plain)

    async def test_made_by_a_query_it_is_neither_drift_nor_dropped(self, url, raw):
        """N8: `--destructive` dropped it, and the query did not run again."""
        query = (
            "alter table test add column total numeric generated always as (1) stored"
        )
        declared = declare(*PRICED[:2], query={"total": query})

        await settled(url, declared)
        await settled(url, declared, destructive=True)

        assert await raw.fetchval("select count(total) from test") == 0

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            ({"generated": "1", "default": 1}, "'generated' is computed and has no"),
            ({"generated": "(1"}, "'generated': the parentheses do not match"),
            (
                {"generated": "total + 1"},
                "'generated' uses 'total', which is",
            ),
            ({"keep": 1}, "'keep' needs 'old'"),
            ({"generatd": "1"}, "unknown key 'generatd'"),
        ],
    )
    def test_bad_combination_is_named_at_start(self, entry, words):
        """With place and cure."""
        with pytest.raises(ConfigError) as refused:
            declare({"name": "total", "datatype": "integer", **entry})

        assert words in str(refused.value)


class TestIndex:
    """`where`, `expression` and `exclude`."""

    ENTRIES = (
        {"index": ["state"], "where": "state <> 'done'"},
        {"index": ["state"], "where": "qty > 3"},
        {"index": ["qty"], "where": "state = 'open'", "unique": 1},
        {"expression": "state || qty", "unique": 1},
        {"expression": "lower(state)", "where": "qty in (1, 2)"},
        {"expression": "state", "type": "gin", "class": "gin_trgm_ops"},
        {"exclude": {"room_id": "=", "during": "&&"}, "where": "state = 'open'"},
    )
    COLUMNS = (
        "state-text-0-btree",
        "qty-integer-0-0",
        "room_id-bigint-0-0",
        "during-tstzrange-0-0",
    )

    async def test_each_is_made_once_and_goes_when_not_declared(self, url, raw):
        """On a table that is there, with nothing left of them afterwards."""
        names = (
            "select array_agg(indexname::text order by indexname) from pg_indexes"
            " where tablename = 'test'"
        )
        await settled(url, declare(*self.COLUMNS))
        before = await raw.fetchval(names)

        ran = await settled(url, declare(*self.COLUMNS, *self.ENTRIES))
        assert 7 == sum("index" in sql or "add constraint" in sql for sql in ran)
        await settled(url, declare(*self.COLUMNS))

        assert before == await raw.fetchval(names)

    async def test_changed_condition_is_replaced(self, url, raw):
        """Under the same name."""
        for state in ("open", "done", "it's"):
            quoted = state.replace("'", "''")
            entries = (
                {"index": ["qty"], "where": f"state = '{quoted}'", "unique": 1},
                {"exclude": {"room_id": "="}, "where": f"state = '{quoted}'"},
                {"expression": "lower(state)", "where": f"state = '{quoted}'"},
            )
            await settled(url, declare(*self.COLUMNS, *entries))

        names = await raw.fetch(
            "select indexname, indexdef from pg_indexes where tablename = 'test'"
            " and indexdef like '%it''''s%'"
        )
        assert 3 == len(names)

    async def test_rows_are_kept_apart(self, url, raw):
        """What is unique among some, and what overlaps."""
        await settled(url, declare(*self.COLUMNS, *self.ENTRIES))
        add = "insert into test (state, qty, room_id, during) values ($1, $2, 1, $3)"
        one = asyncpg.Range(None, None)
        await raw.execute(add, "open", 1, one)
        await raw.execute(add, "done", 1, one)

        with pytest.raises(asyncpg.UniqueViolationError):
            await raw.execute(add, "open", 1, None)
        with pytest.raises(asyncpg.ExclusionViolationError):
            await raw.execute("update test set state = 'open', qty = 9 where id = 2")

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            (
                {"index": ["qty"], "wher": "1"},
                "unknown key 'wher'. Did you mean",
            ),
            ({"index": ["qty"], "where": "a; b"}, "'where' is one SQL condition"),
            ({"index": ["qty"], "class": "x"}, "'class' is for an 'expression'"),
            ({"expression": ""}, "'expression' is empty"),
            ({"exclude": ["qty"]}, "'exclude' is a dict of columns and operators"),
            ({"exclude": {"qty": "equals"}}, "'equals' is not an operator"),
            ({"exclude": {"qtty": "="}}, "exclude: no column 'qtty'. Did you mean"),
        ],
    )
    def test_bad_entry_is_named_at_start(self, entry, words):
        """With place and cure."""
        with pytest.raises(ConfigError) as refused:
            declare("qty-integer-0-0", entry)

        assert words in str(refused.value)


class TestView:
    """`"view"`."""

    LOAD = "select test.id, count(*) as n from test group by 1"

    async def test_is_made_replaced_and_made_of_others_in_any_order(self, url, raw):
        """What it shows is before it."""
        views = {
            "b_top": {"sql": "select id, n from a_load where n > 0"},
            "a_load": {"sql": self.LOAD},
            "m_load": {"sql": "select id, n from b_top", "materialized": 1},
        }
        await settled(url, declare("poll-integer-0-0", view=views))
        await raw.execute("grant select on b_top to public")
        await raw.execute("comment on column b_top.n is 'it''s'")

        views["a_load"] = {
            "sql": "select id, count(poll) as n, 1 as x from test group by 1"
        }
        ran = await settled(url, declare("poll-integer-0-0", view=views))

        assert 6 == len(ran)
        assert (
            await raw.fetchval("select col_description('b_top'::regclass, 2)") == "it's"
        )
        assert await raw.fetchval(
            "select has_table_privilege('pg_monitor', 'b_top', 'select')"
        )
        await raw.execute("refresh materialized view concurrently m_load")

    async def test_changed_by_another_tool_it_is_put_right(self, url, raw):
        """The database is what counts, not what was applied once."""
        declared = declare(view={"a_load": {"sql": self.LOAD}})
        await settled(url, declared)
        await raw.execute(
            "create or replace view a_load as select id, 2::bigint as n from test"
        )

        planned = await schema.plan(url, declared)

        assert ["view", "view"] == [step.kind for step in planned.steps]
        await settled(url, declared)

    async def test_new_column_is_shown_at_once(self, url, raw):
        """By a star, and by a text that names it in the same declaration."""
        views = {
            "v": {"sql": "select * from test"},
            "w": {"sql": "select id from test"},
        }
        await settled(url, declare("a-text-0-0", view=views))

        views["w"]["sql"] = "select id, b from test"
        await settled(url, declare("a-text-0-0", "b-text-0-0", view=views))

        assert await raw.fetch("select v.b, w.b from v join w using (id)") == []

    async def test_kind_changes(self, url):
        """To a materialized one and back."""
        for materialized in (0, 1, 0):
            view = {"sql": self.LOAD, "materialized": materialized}
            await settled(url, declare(view={"a_load": view}))

    async def test_undeclared_stays_until_it_is_dropped(self, url, raw):
        """As a view does that another tool made."""
        await settled(url, declare(view={"a_load": {"sql": self.LOAD}}))

        await settled(url, declare())
        assert await raw.fetchval("select to_regclass('a_load')") is not None
        await settled(url, declare(drop=["a_load"]))
        assert await raw.fetchval("select to_regclass('a_load')") is None

    async def test_datatype_changes_under_it(self, url, raw):
        """F17: dropped and made again, with grants, comments, options and indexes."""
        lines = ["poll-integer-0-0", "note-text-0-0"]
        views = {"a_load": {"sql": "select id, poll from test"}}
        await settled(url, declare(*lines, view=views))
        await raw.execute(
            "create view by_hand with (security_barrier = true) as"
            " select poll from a_load;"
            "create materialized view kept as select poll from test;"
            "create index kept_poll on kept (poll);"
            "create schema away; create view away.poll as select poll from test;"
            "grant select (poll) on by_hand to public;"
            "comment on view by_hand is 'mine'; alter view a_load owner to current_user"
        )
        before = dumped(url)
        lines[0] = "poll-bigint-0-0"
        declared = declare(*lines, view=views)

        await schema.apply(url, declared, destructive=True)
        left = await schema.plan(url, declared)

        assert () == left.steps
        assert dumped(url) == before.replace(b"poll integer", b"poll bigint")

    async def test_column_that_a_view_shows_does_not_go(self, url):
        """The plan is refused before anything is changed."""
        views = {"a_load": {"sql": "select id, poll from test"}}
        await settled(url, declare("poll-integer-0-0", view=views))

        with pytest.raises(
            Conflict, match="test.poll cannot go: the view a_load shows"
        ):
            await schema.apply(url, declare(view=views, drop=["test.poll"]))
        views["a_load"]["sql"] = "select id from test"
        await settled(url, declare(view=views, drop=["test.poll"]))

    async def test_key_that_it_lacks_is_refused(self, url):
        """Rows are found by it."""
        view = {"a_load": {"sql": self.LOAD, "key": "idd"}}
        await schema.apply(url, declare())

        with pytest.raises(Conflict, match="View a_load has no column 'idd', its key"):
            await schema.apply(url, declare(view=view))

    async def test_fault_in_one_does_not_stop_the_rest(self, url):
        """It is named."""
        views = {"bad": {"sql": "select nothing from test"}, "good": {"sql": self.LOAD}}

        with pytest.raises(Conflict, match="View bad: it names a column that does not"):
            await schema.apply(url, declare(view=views))
        planned = await schema.plan(url, declare(view=views))
        assert ["bad"] == [step.name for step in planned.steps]

    @pytest.mark.parametrize(
        ("view", "words"),
        [
            ({"v": {"sql": ""}}, "view v: 'sql' is missing"),
            ({"v": {"sql": "drop table x"}}, "view v: 'sql' is one select"),
            (
                {"v": {"sql": "select 1; select 2"}},
                "'sql' is one select, without",
            ),
            ({"v": {"sql": "select 1", "kye": "a"}}, "view v: unknown key 'kye'."),
            ({"test": {"sql": "select 1"}}, "view test: a table is declared with this"),
            ({"v": "select 1"}, "view v: expected a dict with 'sql', 'key'"),
        ],
    )
    def test_bad_entry_is_named_at_start(self, view, words):
        """With place and cure."""
        with pytest.raises(ConfigError) as refused:
            declare(view=view)

        assert words in str(refused.value)

    async def test_role_without_temporary_tables_leaves_what_exists(self, url, raw):
        """It is noted; what is missing is made."""
        parts = {
            "view": {"v": {"sql": "select id from test"}},
            "function": {"f": {"sql": "select 1", "returns": "integer"}},
        }
        lines = (*PRICED, {"expression": "qty + 1"})
        await settled(url, declare(*lines, **parts))
        name = f"bare_{url.rpartition('_')[2]}"
        await raw.execute(
            f"create role {name} login; grant usage on schema public, atom to {name};"
            f"grant select on all tables in schema public, atom to {name};"
            f"revoke temporary on database {url.rpartition('/')[2]} from public"
        )
        bare = url.replace("near@", f"{name}@")

        parts["view"]["w"] = {"sql": "select id from v"}
        planned = await schema.plan(bare, declare(*lines, **parts))

        assert ["w"] == [step.name for step in planned.steps]
        assert "may not make temporary tables" in planned.notes[0]
        await raw.execute(f"drop owned by {name}; drop role {name}")


class TestRemark:
    """What is declared and will be awkward to use."""

    async def test_column_called_like_a_parameter_is_noted(self, url):
        """F16: with the way to filter by it."""
        planned = await schema.plan(
            url, declare("order-integer-0-0", "ordered-text-0-0")
        )

        assert planned.notes == (
            "test.order is called like a parameter of the row routes:"
            " or=(order==,…) filters by it.",
        )

    async def test_view_that_cannot_be_read_is_noted(self, url):
        """Its key is not one that rows are found by."""
        view = {"v": {"sql": "select now() as at, id from test", "key": "at"}}
        await schema.apply(url, declare())

        (note,) = (await schema.plan(url, declare(view=view))).notes

        assert note.startswith("View v cannot be read by the row routes: its key at is")

    def test_every_parameter_is_known(self):
        """Those of a list of rows, as its reader has them."""
        assert {*query_string.FIXED, *query_string.ELSEWHERE} < remark.PARAMETERS


class TestRoutine:
    """`"function"` and `"trigger"`."""

    FUNCTIONS: ClassVar = {
        "net": {
            "arguments": "gross numeric",
            "returns": "numeric",
            "volatility": "immutable",
            "sql": "select gross / 2",
        },
        "cheap": {
            "returns": "setof test",
            "volatility": "stable",
            "sql": "select * from test where net(price) < 5",
        },
        "stamp": {
            "returns": "trigger",
            "language": "plpgsql",
            "sql": "begin new.qty = 7; return new; end;",
        },
    }
    STAMPED: ClassVar = {"table": "test", "on": "before insert", "function": "stamp"}
    NET: ClassVar = {"name": "net", "datatype": "numeric", "generated": "net(price)"}

    async def test_are_made_in_the_order_of_what_they_need(self, url, raw):
        """A column is computed with one, another returns rows of the table."""
        views = {"cheap_one": {"sql": "select id from cheap()"}}
        declared = declare(
            *PRICED[:2],
            self.NET,
            function=self.FUNCTIONS,
            trigger={"stamped": self.STAMPED},
            view=views,
        )
        await settled(url, declared)

        await raw.execute("insert into test (price) values (6)")

        row = await raw.fetchrow(
            "select qty, net, (select id from cheap_one) from test"
        )
        assert (7, 3, 1) == tuple(row)

    async def test_changed_ones_are_replaced(self, url, raw):
        """A body in place, other arguments by a new one; a trigger as well."""
        await settled(url, declare(*PRICED[:2], function=self.FUNCTIONS))
        functions = {
            **self.FUNCTIONS,
            "net": {**self.FUNCTIONS["net"], "arguments": "gross numeric, by int = 3"},
        }
        functions["net"]["sql"] = "select gross / by"
        when = {**self.STAMPED, "when": "new.qty is null"}
        for trigger in (self.STAMPED, when):
            stamped = {"stamped": trigger}
            declared = declare(*PRICED[:2], function=functions, trigger=stamped)
            await settled(url, declared)

        assert 2 == await raw.fetchval("select net(6)")
        await raw.execute("insert into test (qty) values (5), (null)")
        assert 12 == await raw.fetchval("select sum(qty) from test")

    async def test_trigger_on_a_view(self, url, raw):
        """Instead of the write that the view has not."""
        seat = "begin insert into test (qty) values (new.qty); return new; end"
        function = {"returns": "trigger", "language": "plpgsql", "sql": seat}
        on = {"table": "v", "on": "instead of insert", "function": "seat"}
        parts = {"view": {"v": {"sql": "select id, qty from test"}}}
        parts |= {"function": {"seat": function}, "trigger": {"seated": on}}
        await settled(url, declare("qty-integer-0-0", **parts))
        await settled(url, declare("qty-bigint-0-0", **parts), destructive=True)
        parts["view"]["v"] = {"sql": "select id, qty, 1 as one from test"}
        await settled(url, declare("qty-bigint-0-0", **parts))

        await raw.execute("insert into v (qty) values (5)")

        assert 5 == await raw.fetchval("select qty from test")

    async def test_trigger_by_hand_stays_as_it_was(self, url, raw):
        """Around a change of the column that it depends on; a drop is refused."""
        functions = {"stamp": self.FUNCTIONS["stamp"]}
        await settled(url, declare("qty-integer-0-0", function=functions))
        await raw.execute(
            "create trigger by_hand before update of qty on test for each row"
            " when (new.qty > 1) execute function stamp()"
        )

        declared = declare("qty-bigint-0-0", function=functions)
        await settled(url, declared, destructive=True)

        await raw.execute("insert into test (qty) values (1); update test set qty = 2")
        assert 7 == await raw.fetchval("select qty from test")
        with pytest.raises(Conflict, match="cannot go: the trigger by_hand depends"):
            await schema.apply(url, declare(function=functions, drop=["test.qty"]))

    async def test_dropped_by_name(self, url, raw):
        """What is named goes, with its arguments known."""
        net = {"net": self.FUNCTIONS["net"]}
        await settled(url, declare(function=net))

        await settled(url, declare(drop=["net"]))

        assert await raw.fetchval("select to_regproc('net')") is None

    async def test_trigger_stays_when_a_column_changes(self, url, raw):
        """It is made again around the change."""
        functions = {"stamp": self.FUNCTIONS["stamp"]}
        when = {**self.STAMPED, "when": "new.qty is null"}
        parts = {"function": functions, "trigger": {"stamped": when}}
        await settled(url, declare("qty-integer-0-0", **parts))

        await settled(url, declare("qty-bigint-0-0", **parts), destructive=True)

        await raw.execute("insert into test default values")
        assert 7 == await raw.fetchval("select qty from test")

    @pytest.mark.parametrize(
        ("parts", "words"),
        [
            (
                {"function": {"f": {"sql": "x", "language": "c"}}},
                "'language': 'c' is",
            ),
            ({"function": {"f": {"body": "x"}}}, "function f: unknown key 'body'"),
            (
                {"trigger": {"t": {"table": "test", "on": "now"}}},
                "'on': 'now' is",
            ),
            (
                {
                    "trigger": {
                        "t": {"table": "tst", "on": "after delete", "function": "f"}
                    }
                },
                "trigger t: 'tst' is not a declared table or view. Did you mean 'test'",
            ),
        ],
    )
    def test_bad_entry_is_named_at_start(self, parts, words):
        """With place and cure."""
        with pytest.raises(ConfigError) as refused:
            declare(**parts)

        assert words in str(refused.value)


class TestViewOverView:
    """A view that is declared, under one that is not."""

    async def test_a_column_that_is_shown_above_does_not_go(self, url, raw):
        """The plan says which view shows it, before anything is done."""
        full = {"sql": "select id, a, b from test", "key": "id"}
        less = {"sql": "select id, a from test", "key": "id"}
        columns = ("a-text-0-0", "b-text-0-0")
        await settled(url, declare(*columns, view={"shown": full}))
        await raw.execute("create view above as select a from shown")
        await settled(url, declare(*columns, view={"shown": less}))
        await settled(url, declare(*columns, view={"shown": full}))
        await raw.execute("create view higher as select id, b as c from shown")

        planned = await schema.plan(url, declare(*columns, view={"shown": less}))

        words = (
            "View shown cannot lose b: the view higher, which is not declared, shows"
        )
        (refusal,) = planned.refusals
        assert words in refusal
        with pytest.raises(Conflict, match="View shown cannot lose b"):
            await schema.apply(url, declare(*columns, view={"shown": less}))
        await raw.execute("drop view higher")
        await settled(url, declare(*columns, view={"shown": less}))


class TestDrop:
    """`"drop"`."""

    async def test_names_what_goes_and_nothing_else_goes(self, url, raw):
        """A column, a table, an index; a fresh database has nothing to do."""
        await settled(url, declare("a-text-0-0", "b-text-0-0", table={"gone": []}))
        await raw.execute("create index by_hand on test (a); create table left_over ()")

        declared = declare(drop=["test.a", "gone", "by_hand", "never"])
        planned = await schema.plan(url, declared)
        await schema.apply(url, declared)

        assert 3 == len(planned.steps)
        left = await schema.plan(url, declared)
        drift = (
            "test.b is not declared: is_destructive=1 drops it.",
            "Table left_over is not declared.",
        )
        assert ((), drift) == (left.steps, left.drift)

    async def test_view_that_another_shows_does_not_go(self, url):
        """Unless that goes as well."""
        views = {"a": {"sql": "select id from test"}, "b": {"sql": "select id from a"}}
        await settled(url, declare(view=views))

        with pytest.raises(Conflict, match="a cannot go: the view b shows it"):
            await schema.apply(url, declare(drop=["a"]))
        await settled(url, declare(drop=["a", "b"]))

    async def test_column_that_another_is_computed_with_does_not_go(self, url):
        """Whether that is declared or left over."""
        await settled(url, declare(*PRICED))

        for lines in ([PRICED[1]], [PRICED[1], PRICED[2]]):
            with pytest.raises(Conflict, match="price cannot go: test.total is"):
                await schema.apply(url, declare(*lines, drop=["test.price"]))

    async def test_what_is_computed_goes_first(self, url):
        """A column, what is computed with it, and the indexes that mention them."""
        lines = [
            *PRICED,
            {"expression": "total + 1"},
            {"index": ["qty"], "where": "price > 1"},
        ]
        await settled(url, declare(*lines))

        drop = ["test.price", "test.total"]
        await settled(url, declare("qty-bigint-0-0", drop=drop), destructive=True)

    def test_what_is_declared_does_not_go(self):
        """One of the two is a mistake."""
        for name in ("test", "test.a", "test.id"):
            with pytest.raises(ConfigError, match="is declared as well: take one of"):
                declare("a-text-0-0", drop=[name])
        with pytest.raises(ConfigError, match="drop 'a b': expected a table, a view"):
            declare(drop=["a b"])


SPLIT = {
    "2026_12_split": {
        "when": "test.name exists and test.first missing",
        "sql": "update test set first = split_part(name, ' ', 1)",
        "before": "drop",
    }
}


class TestMigration:
    """`"migration"`."""

    FIRST = "first-text-1-0"

    async def test_old_database_is_split_in_one_transaction(self, url, raw):
        """The new column is mandatory, filled, and the old one goes."""
        await settled(url, declare("name-text-0-0"))
        await raw.execute("insert into test (name) values ('Ada Lovelace')")

        ran = await settled(
            url, declare(self.FIRST, migration=SPLIT, drop=["test.name"])
        )

        assert "Ada" == await raw.fetchval("select first from test")
        assert 4 == len(ran)
        assert await raw.fetchval("select is_run from atom.applied_migration")

    async def test_fresh_database_records_that_it_was_not_needed(self, url, raw):
        """It never runs there, even when its condition comes to hold."""
        await settled(url, declare(self.FIRST, migration=SPLIT, drop=["test.name"]))
        assert False is await raw.fetchval("select is_run from atom.applied_migration")

        await raw.execute("alter table test add name text, drop first")
        planned = await schema.plan(url, declare(self.FIRST, migration=SPLIT))

        assert not [step for step in planned.steps if step.kind == "migration"]

    async def test_failed_one_undoes_the_plan_around_it(self, url, raw):
        """Nothing is half done, and it runs when it is put right."""
        await settled(url, declare("name-text-0-0"))
        await raw.execute("insert into test (name) values ('Ada Lovelace')")
        before = dumped(url)
        bad = {
            "2026_12_split": {
                **SPLIT["2026_12_split"],
                "sql": "update test set first = 1/0",
            }
        }

        with pytest.raises(Conflict, match="Migration 2026_12_split: "):
            await schema.apply(
                url, declare(self.FIRST, migration=bad, drop=["test.name"])
            )
        assert before == dumped(url)
        await settled(url, declare(self.FIRST, migration=SPLIT, drop=["test.name"]))

    async def test_each_phase_has_its_order(self, url, raw):
        """Before columns, before drops, before nulls, before constraints, and last."""
        await settled(url, declare("note-text-0-0", "old-text-0-0"))
        await raw.execute("insert into test (note) values ('')")
        phases = ["column", "drop", "null", "constraint", ""]
        migration = {
            f"m_{phase or 'last'}": {
                "sql": f"update test set note = note || '{phase or 'last'} '",
                "before": phase,
            }
            for phase in reversed(phases)
        }
        await settled(
            url, declare("note-text-1-0", migration=migration, drop=["test.old"])
        )

        assert "column drop null constraint last " == await raw.fetchval(
            "select note from test"
        )

    async def test_changed_text_does_not_run_again(self, url):
        """It is noted."""
        once = {"m": {"sql": "select 1"}}
        await settled(url, declare(migration=once))

        planned = await schema.plan(url, declare(migration={"m": {"sql": "select 2"}}))

        assert () == planned.steps
        assert planned.notes == (
            "Migration m has run with another text, and does not run again.",
        )

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            ({"when": "x"}, "migration m: 'sql' is missing"),
            ({"sql": "select 1", "when": "if"}, "'when': 'if' is not such as 'doctor."),
            (
                {"sql": "select 1", "before": "drops"},
                "'before': 'drops' is not known.",
            ),
            ({"sql": "vacuum test"}, "'sql' runs in a transaction: use a query"),
            ({"sql": "select 1; commit"}, "'sql' runs in a transaction: use a query"),
            ({"sql": "select 1", "befor": ""}, "unknown key 'befor'. Did you mean"),
        ],
    )
    def test_bad_entry_is_named_at_start(self, entry, words):
        """With place and cure."""
        with pytest.raises(ConfigError) as refused:
            declare(migration={"m": entry})

        assert words in str(refused.value)


class TestKeep:
    """`"old"` with `"keep"`."""

    STATE: ClassVar = {"name": "state", "datatype": "text", "old": "order", "keep": 1}

    async def test_old_name_shows_the_new_value_until_it_is_dropped(self, url, raw):
        """Expand, then contract."""
        await settled(url, declare("order-text-0-btree"))
        await raw.execute("insert into test (\"order\") values ('new')")

        await settled(url, declare(self.STATE))
        await raw.execute("update test set state = 'paid'")
        assert "paid" == await raw.fetchval('select "order" from test')

        contract = {**self.STATE, "keep": 0}
        planned = await schema.plan(url, declare(contract))
        assert (
            "test.order, computed from state, is still there: name it in 'drop'.",
        ) == planned.drift
        await settled(url, declare(self.STATE, drop=["test.order"]))
        await settled(url, declare("state-text-0-0", drop=["test.order"]))

    async def test_new_column_changes_its_datatype_with_it(self, url, raw):
        """The old name has the new datatype."""
        await settled(url, declare("order-integer-0-0"))
        whole = {**self.STATE, "datatype": "integer"}
        await settled(url, declare(whole))

        await settled(url, declare({**whole, "datatype": "bigint"}), destructive=True)

        kind = "select data_type from information_schema.columns where column_name = $1"
        assert "bigint" == await raw.fetchval(kind, "order")

    async def test_name_and_datatype_change_at_once(self, url, raw):
        """With a column that is computed with it and a view that shows it."""
        await settled(url, declare(*PRICED, view={"v": {"sql": "select * from test"}}))
        await raw.execute("insert into test (price, qty) values (2, 3)")
        cost = {"name": "cost", "datatype": "numeric(9,1)", "old": "price", "keep": 1}
        total = {**PRICED[2], "generated": "cost * qty"}

        declared = declare(
            cost, PRICED[1], total, view={"v": {"sql": "select * from test"}}
        )
        await settled(url, declared, destructive=True)

        assert await raw.fetch("select cost, price, total from v") == [(2, 2, 6)]

    async def test_fresh_database_has_the_new_name_alone(self, url):
        """No one reads the old one there."""
        ran = await settled(url, declare(self.STATE))

        assert not any('"order"' in sql for sql in ran)
