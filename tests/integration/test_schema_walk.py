"""A walk over declarations with every form: each one applied leaves an empty plan."""

import random

import pytest

from atom.errors import Conflict
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.integration.near import connected, database_url, fresh_database

__all__ = ["database_url"]

STEPS = 5
MAY_GO = ("test.total", "test.state", "test.price", "v1", "v0", "f2")
CONDITIONS = ("state = 'a'", "state = 'b' and qty > 1")


class Walk:
    """Declarations that differ in whatever a seed decides."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def often(self):
        """Return whether something is declared this time."""
        return self.random.random() < 0.6

    def one(self, *choices):
        """Return one of these."""
        return self.random.choice(choices)

    def columns(self):
        """Return columns; the price may have a new name."""
        price = self.one("price", "cost")
        first = {"name": price, "datatype": self.one("numeric", "numeric(12,2)")}
        if price == "cost":
            first |= {"old": "price", "keep": self.one(0, 1)}
        lines = [f"qty-{self.one('integer', 'bigint')}-0-{self.one('0', 'btree')}"]
        lines.append(first)
        if self.often():
            text = self.one(f"{price} * qty", f"{price}+qty", "qty", f"f1({price})")
            total = {"name": "total", "datatype": self.one("numeric", "numeric(12,2)")}
            index = self.one("0", "btree")
            lines.append(total | {"generated": f"({text})::numeric", "index": index})
        return lines

    def indexes(self):
        """Return indexes on the column state, and what excludes rows."""
        where, qty = self.one(*CONDITIONS), {"qty": "=", "state": "="}
        words, method = (
            self.one("lower(state)", "state || qty"),
            self.one("gist", "btree"),
        )
        entries = [
            {"index": ["qty"], "where": where, "unique": self.one(0, 1)},
            {"expression": words},
            {
                "exclude": qty,
                "type": method,
                "where": self.one("qty > 5", "state = 'x'"),
            },
        ]
        return [entry for entry in entries if self.often()]

    def views(self, price):
        """Return a view, and one that shows it."""
        shown = ("*", f"id, qty, {price} as p", "id, max(qty) as n")
        first = f"select {self.one(*shown)} from test"
        first += " group by id" if "max" in first else ""
        second = self.one("select id from v1", "select * from v1")
        views = {"v1": {"sql": first, "materialized": self.one(0, 0, 1)}}
        if self.often():
            views["v0"] = {"sql": second, "materialized": self.one(0, 1)}
        return views if self.often() else {}

    def parts(self):
        """Return a whole declaration."""
        lines = self.columns()
        price = lines[1]["name"]
        state = ["state-text-0-0", *self.indexes()] if self.often() else []
        views = self.views(price)
        half = {"arguments": "x numeric", "returns": "numeric"}
        half |= {"volatility": "immutable", "sql": self.one("select x", "select x / 2")}
        stamp = {"language": "plpgsql", "sql": "begin return new; end"}
        functions = {"f1": half, "st": {"returns": "trigger", **stamp}}
        if self.often():
            functions["f2"] = {"returns": "setof test", "sql": "select * from test"}
        on = self.one("before insert", "before update of qty", "after insert or update")
        when = self.one("new.qty > 0", "new.id > 1")
        trigger = {"table": "test", "on": on, "function": "st", "when": when}
        triggers = {"t1": trigger} if self.often() else {}
        there = {f"test.{line['name']}" for line in lines[1:]} | {*views, *functions}
        there |= {"test.state"} if state else set()
        drop = [name for name in MAY_GO if name not in there and self.often()]
        tables = {"test": lines + state}
        forms = {"view": views, "function": functions, "trigger": triggers}
        return {"table": tables, **forms, "drop": drop}


@pytest.mark.parametrize("seed", range(8))
async def test_each_declaration_is_reached_from_the_one_before(database_url, seed):
    """Or refused in words before anything is changed; rows are there all the while."""
    walk = Walk(seed)
    async with fresh_database(database_url) as url:
        raw = await connected(url)
        reached = 0
        for _ in range(STEPS):
            declared = Declaration.parse(walk.parts())
            how = {"destructive": walk.often()}
            try:
                await schema.apply(url, declared, **how)
            except Conflict as refused:
                # A view by hand, by now, shows a column that another view lost.
                words = ("cannot go", "new name", "View v0: it names a column")
                assert any(word in refused.message for word in words), refused.message
                continue
            left = await schema.plan(url, declared, **how)
            assert [] == [step.sql for step in left.steps]
            reached += 1
            await raw.execute("insert into test (qty) values (0)")
        assert reached == await raw.fetchval("select count(*) from test") > 0
        await raw.close()
