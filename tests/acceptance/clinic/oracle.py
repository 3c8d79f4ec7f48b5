"""What PostgreSQL's row level security makes of a request: its rows, or a refusal."""

import json
from pathlib import Path
from typing import Any

import asyncpg

from tests.acceptance.clinic import world
from tests.acceptance.clinic.ask import CREATES, PARENTS, READS, UPSERTS, Ask

SCRIPT = Path(__file__).parent / "oracle.sql"
REFUSED = "refused"
REFUSALS = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.RaiseError,
)
# Not compared: what differs from run to run.
LOOSE = ("created_at", "updated_at")


def literal(value: Any) -> str:
    """Write a value that this test has drawn itself."""
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else f"'{value}'"


def where(ask: Ask) -> str:
    """Write the filters over a table called `t`."""
    parts = []
    for name, operator, value in ask.filters:
        column, _, inner = name.partition(".")
        test = _test(f"t.{column}", operator, value)
        if inner:
            of = PARENTS[ask.table][column]
            test = f"exists (select 1 from oracle.{of} p where p.id = t.{column}"
            test += f" and {_test(f'p.{inner}', operator, value)})"
        parts.append(test)
    return " and ".join(parts) or "true"


def _test(found: str, operator: str, value: Any) -> str:
    if operator == "in":
        return f"{found} in ({', '.join(map(literal, value))})"
    if operator == "is":
        return f"{found} is {value}"
    return f"{found} {operator} {literal(value)}"


class Oracle:
    """A second schema with policies of PostgreSQL, and a role for each verb."""

    def __init__(self, connection: asyncpg.Connection, ids: dict[str, int]) -> None:
        self.connection, self.ids = connection, ids

    async def build(self) -> None:
        """Make the schema, fill both schemas with the rows of the world."""
        run = self.connection.execute
        await run(SCRIPT.read_text())
        await run("drop schema if exists seed cascade; create schema seed")
        await run("set session_replication_role = replica")  # triggers rest
        for table, rows in world.rows(self.ids).items():
            await run(f"create table seed.{table} (like public.{table})")
            names = [*rows[0]]
            for row in rows:
                assert [*row] == names
                values = ", ".join(map(literal, row.values()))
                listed = ", ".join(names)
                await run(f"insert into seed.{table} ({listed}) values ({values})")
            for schema in ("oracle", "public"):
                await run(
                    f"insert into {schema}.{table} overriding system value"
                    f" select * from seed.{table};"
                    f"alter table {schema}.{table} alter column id restart with 1000"
                )
        await run("set session_replication_role = origin")

    async def restore(self, *tables: str) -> None:
        """Put the rows of the world back where Atom has written."""
        for table in tables:
            await self.connection.execute(
                f"delete from public.{table};"
                f"insert into public.{table} overriding system value"
                f" select * from seed.{table}"
            )

    async def changes(self, schema: str, table: str) -> list[str]:
        """Return how the rows of a table differ from those of the world."""
        loose = " ".join(f"- '{name}'" for name in LOOSE)
        one, two = (f"select to_jsonb(t) {loose}" for _ in range(2))
        found = await self.connection.fetch(
            f"""select '+', r from ({one} r from {schema}.{table} t
                except {two} from seed.{table} t) x
            union all select '-', r from ({one} r from seed.{table} t
                except {two} from {schema}.{table} t) x"""
        )
        changed = []
        for sign, text in found:
            row = json.loads(text)
            if row["id"] >= 1000:
                row["id"] = "new"
            changed.append(f"{sign} {json.dumps(row, sort_keys=True)}")
        return sorted(changed)

    async def expect(self, ask: Ask) -> Any:
        """Return the rows, what would change, or `REFUSED`."""
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            user = str(self.ids[ask.who]) if ask.who else ""
            if ask.tier == "public":
                user = ""
            await self.connection.execute(
                f"set local role oracle_{self._role(ask)};"
                f"set local app.user_id = '{user}'"
            )
            if ask.way in READS:
                return await self._read(ask)
            if not await self._write(ask):
                return REFUSED
            await self.connection.execute("reset role")
            return await self.changes("oracle", ask.table)
        except REFUSALS:
            return REFUSED
        finally:
            await transaction.rollback()

    def _role(self, ask: Ask) -> str:
        if ask.tier != "my":
            return "admin" if ask.tier == "admin" else "public_read"
        if ask.way in READS:
            return "my_read"
        if ask.way in CREATES:
            return "my_create"
        if ask.way in UPSERTS:
            return "my_upsert"
        return "my_delete" if "delete" in ask.way else "my_update"

    async def columns(self, table: str) -> str:
        """Return the columns that may be seen."""
        found = await self.connection.fetch(
            "select attname from pg_attribute where attrelid = $1::regclass"
            " and attnum > 0 and not attisdropped"
            " and has_column_privilege(attrelid, attnum, 'select') order by attnum",
            f"oracle.{table}",
        )
        return ", ".join(name for (name,) in found) or "id"

    async def _read(self, ask: Ask) -> Any:
        table, test = ask.table, where(ask)
        columns = ", ".join(dict.fromkeys(ask.columns)) or await self.columns(table)
        tail = f"order by t.{ask.order or 'id desc'}"
        if ask.limit is not None:
            tail += f" limit {ask.limit}"
        source = f"from oracle.{table} t where {test}"
        match ask.way:
            case "count":
                return await self.connection.fetchval(f"select count(*) {source}")
            case "group":
                query = f"select {ask.column}, count(*) {source} group by {ask.column}"
            case "single":
                query = f"select {columns} {source} and t.id = {ask.ids[0]}"
            case "parents":
                of = PARENTS[table][ask.column]
                columns = await self.columns(of)
                query = f"select {columns} from oracle.{of} t where id in"
                query += f" (select {ask.column} from oracle.{table}) order by id desc"
            case "relation":
                query = await self._relation(ask, source)
            case "cursor":
                query = f"select id {source}"
            case _:
                query = f"select {columns} {source} {tail}"
        found = await self.connection.fetch(f"select to_jsonb(x) from ({query}) x")
        rows = [json.loads(row) for (row,) in found]
        if ask.way == "single" and not rows:
            return REFUSED
        return rows

    async def _relation(self, ask: Ask, source: str) -> str:
        assert ask.relation is not None
        name, shape = ask.relation
        if shape == "parent":
            of = PARENTS[ask.table][name]
            inner = f"(select jsonb_build_object('id', p.id) from oracle.{of} p"
            inner += f" where p.id = t.{name})"
            name = name.removesuffix("_id")
        elif shape == "count":
            inner = f"(select count(*) from oracle.{name} p"
            inner += f" where p.{ask.table}_id = t.id)"
            name += "_count"
        else:
            inner = "(select coalesce(jsonb_agg(x order by x.id desc), '[]') from"
            inner += f" (select p.id from oracle.{name} p where p.{ask.table}_id = t.id"
            inner += " order by p.id desc limit 3) x)"
        return f"select t.id, {inner} as {name} {source} order by t.id desc"

    async def _write(self, ask: Ask) -> bool:
        """Do what is asked. Return False when it does not reach every row it names."""
        run = self.connection.execute
        table = ask.table
        if ask.way == "merge":  # what is there is updated, what is not is inserted
            for row in ask.rows:
                clinic, doctor, time = map(literal, row.values())
                assert [*row] == ["clinic_id", "doctor_id", "starts_at"]
                told = await run(
                    f"update oracle.slot set clinic_id = {clinic}"
                    f" where doctor_id = {doctor} and starts_at = {time}"
                )
                if told == "UPDATE 0":
                    await run(
                        "insert into oracle.slot (clinic_id, doctor_id, starts_at)"
                        f" values ({clinic}, {doctor}, {time})"
                    )
            return True
        if ask.way in CREATES or ask.way in UPSERTS:
            names = [*ask.rows[0]]
            values = ", ".join(
                "(" + ", ".join(literal(row[name]) for name in names) + ")"
                for row in ask.rows
            )
            query = f"insert into oracle.{table} ({', '.join(names)}) values {values}"
            if ask.way == "ignore":  # what is there, and may be read, is left alone
                listed = ", ".join(
                    "starts_at::timestamptz" if name == "starts_at" else name
                    for name in names
                )
                query = f"""insert into oracle.slot ({", ".join(names)})
                    select {listed} from (values {values}) x ({", ".join(names)})
                    where not exists (select from oracle.slot t
                        where t.clinic_id = any(oracle.clinics())
                            and t.doctor_id = x.doctor_id
                            and t.starts_at = x.starts_at::timestamptz)
                    on conflict (doctor_id, starts_at) do nothing"""
            await run(query)
            return True
        if ask.way == "ids_update":
            ids = ", ".join(map(str, ask.ids))
            given = literal(ask.value)
            await run(
                f"update oracle.{table} set {ask.column} = {given} where id in ({ids})"
            )
            return True
        if "delete" not in ask.way:
            done = 0
            for row in ask.rows:
                changed = ", ".join(
                    f"{name} = {literal(value)}"
                    for name, value in row.items()
                    if name != "id"
                )
                told = await run(
                    f"update oracle.{table} set {changed} where id = {row['id']}"
                )
                done += int(told.split()[1])
            return done == len(ask.rows)
        ids = ", ".join(map(str, ask.ids))
        test = f"t.id in ({ids})" if ids else where(ask)
        told = await run(
            f"update oracle.booking t set is_deleted = 1 where {test}"
            if table == "booking"
            else f"delete from oracle.{table} t where {test}"
        )
        return ask.way != "delete_one" or int(told.split()[1]) == 1
