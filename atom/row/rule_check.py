"""Every rule of `config_table` prepared against the live tables."""

# ruff: noqa: S608 - the text of rules is the operator's own.

import logging
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing import parent_process

from atom.config.table import TIERS, VERBS
from atom.own.declaration import SCHEMA
from atom.postgres.catalog import Catalog, Table
from atom.postgres.condition import Condition, UnreadableCondition
from atom.postgres.database import Database
from atom.postgres.identifier import public
from atom.row.rule import Policy
from atom.row.scope import RowConfig
from atom.row.sql.statement import Marks, Rule

Place = tuple[str, str, str]  # table, tier, verb

log = logging.getLogger(__name__)


async def faults(database: Database, policy: Policy, live: Catalog) -> dict[Place, str]:
    """Return what PostgreSQL has against each rule, by table, tier and verb."""
    found: dict[Place, str] = {}
    rules = []
    for table in live.tables.values():
        for tier in TIERS:
            for verb in VERBS:
                if policy.is_plain(table.name, tier, verb):
                    continue
                try:
                    rule = policy.compile(table, tier, verb)
                except UnreadableCondition as error:
                    found[table.name, tier, verb] = str(error)
                else:
                    if rule is not None and rule.is_limit:
                        rules.append(((table.name, tier, verb), table, rule))
    async with database.connection() as connection:
        for place, table, rule in rules:
            try:
                for text in _texts(table, rule):
                    await connection.raw.prepare(text)
            except Exception as error:  # whatever it is, the rule cannot be applied
                found[place] = str(error)
    return found


def _texts(table: Table, rule: Rule) -> Iterator[str]:
    """Yield a statement for each condition and expression of a rule."""
    for condition in (rule.where, rule.check):
        if condition is not None:
            marks = Marks(condition.binds)
            yield (
                f"select 1 from {public(table.name)} as t"
                f" where {condition.render('t', marks.of_caller)}"
            )
    for name, expression in {**rule.default, **rule.preset}.items():
        marks = Marks(expression.binds)
        kind = table.columns[name].kind
        yield f"select {expression.render('t', marks.of_caller)}::{kind.bare}"


async def scope_faults(database: Database, policy: Policy) -> list[str]:
    """Return what PostgreSQL has against each query of `config_scope`."""
    found = []
    async with database.connection() as connection:
        for name, text in policy.declared.scopes.items():
            try:
                condition = policy.reader.read(text, "", ())
                query = _query(condition)
                await connection.raw.prepare(query)
            except Exception as error:  # of the text, or the database's words
                found.append(f"config_scope[{name!r}]: {error}")
    return found


def _query(condition: Condition) -> str:
    marks = Marks(condition.binds)
    return f"select 1 from {condition.render('t', marks.of_caller)} as one"


async def problems(
    database: Database, policy: Policy, declared: Mapping[str, object]
) -> list[str]:
    """Return every fault of the rules at the start, with its place."""
    live = database.catalog
    _remark(policy, live, declared)
    found = await scope_faults(database, policy)
    for (name, tier, verb), fault in (await faults(database, policy, live)).items():
        found.append(f"config_table[{name!r}][{tier!r}][{verb!r}]: {fault}")
    return found


async def close_broken(database: Database, rules: RowConfig, live: Catalog) -> bool:
    """Close what has a rule that fits live tables no more; open what fits again.

    Returns whether anything was closed or opened.
    """
    before = rules.broken
    rules.broken = await faults(database, rules.policy, live)
    for (name, tier, verb), fault in rules.broken.items():
        if (name, tier, verb) not in before:
            log.error(
                "config_table[%r][%r][%r] is broken, so it is closed: %s",
                *(name, tier, verb, fault),
            )
    return rules.broken.keys() != before.keys()


def _remark(policy: Policy, live: Catalog, declared: Iterable[str]) -> None:
    """Log what is probably not meant, once for all workers."""
    if parent_process() is not None:
        return
    missing = [name for name in policy.declared.tables if name not in live.tables]
    if missing := [name for name in missing if name not in SCHEMA["table"]]:
        log.warning(
            "config_table names tables that do not exist: %s", ", ".join(missing)
        )
    closed = [
        name
        for name in declared
        if name not in SCHEMA["table"]
        and not any(
            policy.verb(name, tier, verb) for tier in ("public", "my") for verb in VERBS
        )
    ]
    if closed:
        log.info(
            "closed to all but admins: %s. config_table opens tables.",
            ", ".join(closed),
        )
    if slow := without_index(policy, live):
        log.info("columns in config_table without an index: %s", ", ".join(slow))


def without_index(policy: Policy, live: Catalog) -> list[str]:
    """Return the columns that decide who reaches a row and have no index."""
    return sorted(set(_without_index(policy, live)))


def _without_index(policy: Policy, live: Catalog) -> Iterator[str]:
    for name in policy.declared.tables.keys() & live.tables.keys():
        table = live.tables[name]
        for tier, verbs in policy.declared.tables[name].items():
            for verb in verbs:
                try:
                    rule = policy.compile(table, tier, verb)
                except UnreadableCondition:
                    continue  # reported as a fault
                where = None if rule is None else rule.where
                for column in () if where is None else where.columns:
                    if not table.columns[column].indexed:
                        yield f"{name}.{column}"
