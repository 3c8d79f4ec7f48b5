"""`python main.py schema rls`: the rules of a tier as policies of PostgreSQL."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

# ruff: noqa: S608 - SQL is written here, of quoted names and the operator's own text.
from atom.config.resolve import Config
from atom.config.table import TIERS
from atom.errors import ConfigError
from atom.postgres.catalog import Catalog, Table
from atom.postgres.condition import ME, Condition, Reader
from atom.postgres.database import Database
from atom.postgres.identifier import quote
from atom.row.rule import Policy
from atom.row.scope import RowConfig
from atom.row.sql.statement import OWNER, Rule
from atom.runtime import command_database

SCHEMA = "atom_rule"  # where the functions of scopes and roles are made
SETTING = "nullif(current_setting('atom.{}', true), '')"
HEAD = """\
-- The rules of tier {tier} as policies for role {role}, made by `schema rls`.
-- Who asks is {me}.
-- Tables keep their owner, whom no policy holds: Atom must own them or bypass policies.
-- A preset is a condition here; `most` and rows marked as deleted by a delete are not.
begin;
create schema if not exists {schema};
grant usage on schema {schema}, public to {role};
"""


def rls_command(
    context: typer.Context,
    role: Annotated[str, typer.Option(help="The role that is held to the rules.")],
    tier: Annotated[str, typer.Option(help="public, my or admin.")] = "my",
    me: Annotated[
        str, typer.Option(help="SQL of the caller's id, instead of atom.user_id.")
    ] = SETTING.format("user_id"),
) -> None:
    """Print the rules of config_table as `create policy` statements."""
    with context.obj.database() as (config, url):
        if tier not in TIERS:
            raise ConfigError(f"There is no tier {tier}: {', '.join(TIERS)}.")
        sys.stdout.write(asyncio.run(_script(config, url, tier, role, me)))


async def _script(config: Config, url: str, tier: str, role: str, me: str) -> str:
    async with command_database(config, url) as database:
        policies = Policies(config, tier, role, me)
        types = await policies.types(database)
        return "\n".join(policies.script(database.catalog, types)) + "\n"


class Policies:
    """Writes the rules of one tier for one role of PostgreSQL."""

    def __init__(self, config: Config, tier: str, role: str, me: str) -> None:
        self.tier, self.role, self.me = tier, quote(role), me
        self.rules = RowConfig(config)
        self.policy = Policy(config)
        declared = self.policy.declared
        self.queries = {**declared.scopes, **_prefixed(declared.roles)}
        # A set is read with the rights of its function, not with those of the role.
        self.policy.reader = Reader(
            {name: f"select * from {_function(name)}" for name in declared.scopes},
            {
                name: f"select * from {_function(f'role_{name}')}"
                for name in declared.roles
            },
        )

    async def types(self, database: Database) -> dict[str, str]:
        """Return the datatype of each scope and role, by name."""
        found = {}
        async with database.connection() as connection:
            for name, text in self.queries.items():
                inlined = Reader(
                    self.policy.declared.scopes, self.policy.declared.roles
                ).read(text, "", ())
                statement = await connection.raw.prepare(self._text(inlined, ""))
                found[name] = statement.get_attributes()[0].type.name
        return found

    def script(self, catalog: Catalog, types: Mapping[str, str]) -> Iterator[str]:
        """Yield the statements of every table."""
        yield HEAD.format(tier=self.tier, role=self.role, me=self.me, schema=SCHEMA)
        for name, text in self.queries.items():
            yield from self._set(name, text, types[name])
        for table in sorted(catalog.tables.values(), key=lambda each: each.name):
            yield from self._table(table)
        yield "commit;"

    def _text(self, condition: Condition, alias: str) -> str:
        marks = {
            name: f"({self.me if name == ME else SETTING.format(name)})"
            for name in condition.binds
        }
        return condition.render(alias, marks)

    def _set(self, name: str, text: str, datatype: str) -> Iterator[str]:
        body = self._text(self.policy.reader.read(text, "", ()), "")
        function = _function(name)
        yield (
            f"create or replace function {function} returns setof {datatype} stable"
            f" language sql security definer set search_path = public, pg_temp"
            f" set check_function_bodies = off\nas $atom${body}$atom$;"
        )
        yield f"revoke all on function {function} from public;"
        yield f"grant execute on function {function} to {self.role};\n"

    def _table(self, table: Table) -> Iterator[str]:
        name = quote(table.name)
        yield f"alter table {name} enable row level security;"
        yield f"revoke all on {name} from {self.role};"
        for verb, command in (
            ("read", "select"),
            ("create", "insert"),
            ("update", "update"),
            ("delete", "delete"),
        ):
            policy = quote(f"atom_{self.tier}_{verb}")
            yield f"drop policy if exists {policy} on {name};"
            rule = self.policy.compile(table, self.tier, verb)
            if rule is None or (verb == "delete" and rule.soft is not None):
                continue
            where, check = self._conditions(table, verb, rule)
            yield (
                f"create policy {policy} on {name} for {command} to {self.role}"
                + (f"\n  using {where}" if verb != "create" else "")
                + (f"\n  with check {check}" if verb in {"create", "update"} else "")
                + ";"
            )
            columns = "" if verb == "delete" else self._columns(table, verb, rule)
            if columns or verb == "delete":
                yield f"grant {command} {columns} on {name} to {self.role};"
        yield ""

    def _conditions(self, table: Table, verb: str, rule: Rule) -> tuple[str, str]:
        name = quote(table.name)
        where = "(true)" if rule.where is None else self._text(rule.where, name)
        checks = [] if rule.check is None else [self._text(rule.check, name)]
        if verb == "create" and self.tier == "my" and OWNER in table.columns:
            owner = self.policy.reader.read(f'"{OWNER}" = :{ME}', "", (OWNER,))
            checks.append(self._text(owner, name))
        checks += [
            f"({name}.{quote(column)} is not distinct from {self._text(value, name)})"
            for column, value in rule.preset.items()
        ]
        return where, f"({' and '.join(checks) or 'true'})"

    def _columns(self, table: Table, verb: str, rule: Rule) -> str:
        """Return the columns of a grant in parentheses, empty when there are none."""
        names = [
            name
            for name in table.columns
            if (rule.columns is None or name in rule.columns or name in rule.preset)
            and name.casefold() not in self.rules.secret
            and (verb == "read" or not self.rules.managed(table.name, name))
        ]
        if verb == "create" and self.tier == "my" and OWNER in table.columns:
            names.append(OWNER)
        return f"({', '.join(map(quote, names))})" if names else ""


def _prefixed(roles: Mapping[str, str]) -> dict[str, str]:
    return {f"role_{name}": text for name, text in roles.items()}


def _function(name: str) -> str:
    return f"{SCHEMA}.{quote(name)}()"
