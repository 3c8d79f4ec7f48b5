"""Looks at a statement as PostgreSQL stored it; refuses what is not known to be safe.

What is read are node trees (`pg_node_tree`): text in which every function, operator and
relation stands by its number and every column that is read as a bit. A name a caller
chose cannot forge one: PostgreSQL escapes blanks and brackets in it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError, Forbidden
from atom.postgres.catalog import shown
from atom.postgres.database import Connection
from atom.sandbox.known import CATALOG, EXTENSIONS, is_harmless

SELECT, INSERT_UPDATE_DELETE = 1, frozenset({2, 3, 4})
# Attribute numbers in a bit map start at PostgreSQL's lowest system column.
WHOLE_ROW = 7
WRITING = 1 | 4 | 8  # the rights INSERT, UPDATE and DELETE

COMMAND = re.compile(r":commandType (\d+)")
RELATION = re.compile(r":relid (\d+)")
OPERATOR = re.compile(r":opno (\d+)|:opnos \(o([ \d]+)\)")
FUNCTION = re.compile(
    r":(?:funcid|opfuncid|hashfuncid|negfuncid|aggfnoid|winfnoid|tsmhandler"
    r"|startInRangeFunc|endInRangeFunc) (\d+)"
)
RIGHTS = (
    r":requiredPerms (\d+) :checkAsUser \d+ :selectedCols \(b([ \d]*)\)"
    r" :insertedCols \(b([ \d]*)\) :updatedCols \(b([ \d]*)\)"
)
GRANTED = re.compile(RIGHTS)
ACCESS = re.compile(r":relid (\d+)(?:(?!:relid ).)*?" + RIGHTS, re.DOTALL)

FUNCTIONS = """
select p.oid, p.proname as name, n.nspname as schema, p.provolatile::text as volatile,
       l.lanname as language,
       (select e.extname from pg_depend d join pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
          and d.refclassid = 'pg_extension'::regclass limit 1) as extension
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_language l on l.oid = p.prolang
where p.oid = any ($1::oid[])
   or p.oid in (select o.oprcode from pg_operator o where o.oid = any ($2::oid[]))
"""
RELATIONS = """
select c.oid, n.nspname as schema, c.relname as name, c.relkind::text as kind,
       array (select a.attnum from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as numbers,
       array (select a.attname::text from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as names,
       (select r.ev_action::text from pg_rewrite r
        where r.ev_class = c.oid and r.rulename = '_RETURN') as view
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = any ($1::oid[])
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a statement may do."""

    secret: frozenset[str] = frozenset()  # names of columns, in lower case
    writes: bool = False
    every_schema: bool = False  # beyond `public`; never Atom's and PostgreSQL's own

    def is_secret(self, column: str) -> bool:
        """Tell whether a column never leaves the server, in whatever table it is."""
        word = column.casefold()
        return word in self.secret or "password" in word

    def opens(self, schema: str, name: str) -> bool:
        """Tell whether a relation may be named at all."""
        if schema == "public" or (schema, name) in CATALOG:
            return True
        if schema.startswith("pg_") or schema in {"information_schema", "atom"}:
            return False
        return self.every_schema


def refused() -> ApiError:
    """Say that a statement is none of those that may be sent."""
    return ApiError(
        "Only a statement that reads may be sent here.",
        code="transfer.not_read_only",
        hint="One of SELECT, WITH … SELECT, VALUES, TABLE.",
    )


async def judge(connection: Connection, tree: str, bounds: Bounds) -> tuple[str, ...]:
    """Refuse what is not known to be harmless. Return the tables it writes."""
    commands = {int(number) for number in COMMAND.findall(tree)}
    if not commands <= {SELECT} | (INSERT_UPDATE_DELETE if bounds.writes else set()):
        raise refused()
    written: list[str] = []
    trees, seen = [tree], set[int]()
    while trees:
        tree = trees.pop()
        await _judge_functions(connection, tree)
        asked = {int(oid) for oid in RELATION.findall(tree)} - {0}
        found = await connection.rows(RELATIONS, list(asked))
        relations = {row["oid"]: row for row in found}
        for oid in asked:
            _judge_relation(relations.get(oid), bounds)
        written += _judge_access(tree, relations, bounds)
        for row in found:
            if row["view"] and row["oid"] not in seen and not _listed(row):
                seen.add(row["oid"])
                trees.append(row["view"])
    return tuple(dict.fromkeys(written))


async def _judge_functions(connection: Connection, tree: str) -> None:
    functions = [int(oid) for oid in set(FUNCTION.findall(tree))]
    operators = [
        int(oid)
        for one, many in OPERATOR.findall(tree)
        for oid in (one, *many.split())
        if oid
    ]
    for row in await connection.rows(FUNCTIONS, functions, operators):
        if not is_harmless(row):
            raise Forbidden(
                f"Function '{shown(row['name'])}' may not be called here.",
                code="transfer.function",
                hint="PostgreSQL's own functions that only compute may, and those of "
                f"{', '.join(sorted(EXTENSIONS)[:4])} and the like.",
            )


def _listed(row: Mapping[str, Any]) -> bool:
    return (row["schema"], row["name"]) in CATALOG


def _judge_relation(row: Mapping[str, Any] | None, bounds: Bounds) -> None:
    if (
        row is not None
        and row["kind"] in {"r", "p", "v", "m"}
        and bounds.opens(row["schema"], row["name"])
    ):
        return
    name = "relation" if row is None else f"{row['schema']}.{row['name']}"
    raise Forbidden(f"'{shown(name)}' may not be used here.", code="transfer.relation")


def _judge_access(
    tree: str, relations: Mapping[int, Mapping[str, Any]], bounds: Bounds
) -> Iterable[str]:
    """Refuse every column that is secret, also as part of a whole row."""
    known = 0
    for oid, rights, *bitmaps in ACCESS.findall(tree):
        bits = [{int(bit) for bit in bitmap.split()} for bitmap in bitmaps]
        if not any(bits) and not int(rights) & WRITING:
            continue
        known += 1
        row = relations[int(oid)]
        if not _listed(row):
            _judge_columns(row, set.union(*bits), bounds)
        if int(rights) & WRITING:
            if not bounds.writes:
                raise refused()  # locks rows, as SELECT … FOR UPDATE does
            if row["kind"] not in {"r", "p"} or row["schema"] != "public":
                raise Forbidden(
                    f"'{shown(row['name'])}' may not be written here.",
                    code="transfer.relation",
                )
            yield row["name"]
    every = [
        1
        for rights, *bitmaps in GRANTED.findall(tree)
        if any(bitmap.strip() for bitmap in bitmaps) or int(rights) & WRITING
    ]
    if known != len(every):
        # A shape we cannot take apart with certainty is not let through.
        raise Forbidden(
            "This query is too unusual to be proven harmless.",
            code="transfer.relation",
            hint="Write it without TABLESAMPLE of a subquery.",
        )


def _judge_columns(row: Mapping[str, Any], bits: set[int], bounds: Bounds) -> None:
    names = dict(zip(row["numbers"], row["names"], strict=True))
    for number, name in names.items():
        if not bounds.is_secret(name):
            continue
        if WHOLE_ROW in bits or number + WHOLE_ROW in bits:
            fit = [word for word in names.values() if not bounds.is_secret(word)]
            raise Forbidden(
                f"Column '{name}' of '{shown(row['name'])}' is secret.",
                code="transfer.secret",
                hint=f"Name the columns you need: {', '.join(fit)[:500]}",
            )
