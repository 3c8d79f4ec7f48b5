"""The numbered files of this folder: each is one part of what Atom keeps in a database.

`<number>_<name>.py` holds any of: `TABLES` and `INDEXES` of schema `atom`, which no row
route ever reaches, `FUNCTIONS`, and `triggers(tables)`. A feature brings its own file.
Its tables are made before the declared ones; a column that a later version adds to one
of them is added to the table that is there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

from atom.postgres.identifier import quote
from atom.schema.declaration import digest

# Who asked, for triggers, as Atom has set it for the transaction. Not of the logins
# that run SQL of callers (`atom/sandbox/role.py`), which could set it themselves.
ABOUT = """case when session_user ~ '^atom_(reader|writer|exporter)_' then '{}'
    else coalesce(nullif(current_setting('atom.event', true), ''), '{}') end"""
NUMBERED = re.compile(r"\d{3}_[a-z_]+")
Datatypes = Mapping[str, Mapping[str, str]]  # of each declared table, by column


@dataclass(frozen=True)
class Function:
    """A trigger function in schema `atom`."""

    name: str
    body: str
    # Runs with its owner's rights: a change made by another role must count as well.
    definer: bool = False

    @property
    def create(self) -> str:
        """Return the statement that makes it, whatever was there before."""
        definer = " security definer" if self.definer else ""
        return (
            f"create or replace function atom.{self.name}() returns trigger"
            f" language plpgsql{definer} set search_path = pg_catalog, pg_temp"
            f" as $atom$\n{self.body}\n$atom$"
        )

    @property
    def mark(self) -> str:
        """A digest of this version, to compare with an earlier one."""
        return f"atom:{digest(self.create)}"

    @property
    def source(self) -> str:
        """Return the body as the catalog keeps it."""
        return f"\n{self.body}\n"

    @property
    def sql(self) -> str:
        """Return everything that is run for it."""
        return (
            f"{self.create};\n"
            f"revoke all on function atom.{self.name}() from public;\n"
            f"comment on function atom.{self.name}() is '{self.mark}'"
        )


@dataclass(frozen=True)
class Trigger:
    """A trigger of Atom's on one table; `rule` is the SQL around the table's name."""

    schema: str
    table: str
    name: str
    rule: str

    @property
    def create(self) -> str:
        """Return the statement that makes it, whatever was there before."""
        table = f"{self.schema}.{quote(self.table)}"
        return f"create or replace trigger {self.name} " + self.rule.format(table=table)

    @property
    def mark(self) -> str:
        """A digest of this version, to compare with an earlier one."""
        return f"atom:{digest(self.create)}"

    @property
    def sql(self) -> str:
        """Return everything that is run for it."""
        table = f"{self.schema}.{quote(self.table)}"
        return f"{self.create};\n" + (
            f"comment on trigger {self.name} on {table} is '{self.mark}'"
        )


@dataclass(frozen=True)
class Part:
    """What one numbered file holds."""

    name: str
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    functions: tuple[Function, ...] = ()
    triggers: Callable[[Datatypes], Iterable[Trigger]] = lambda _: ()


@cache
def parts() -> tuple[Part, ...]:
    """Return every part, by number.

    Raises:
        ValueError: for two files that hold the same table, index or function.
    """
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    found = []
    for name in filter(NUMBERED.fullmatch, names):
        module = vars(import_module(f"{__package__}.{name}"))
        found.append(
            Part(
                name,
                module.get("TABLES", {}),
                module.get("INDEXES", {}),
                module.get("FUNCTIONS", ()),
                module.get("triggers", Part.triggers),
            )
        )
    kept = [
        word
        for part in found
        for word in (*part.tables, *part.indexes, *(f.name for f in part.functions))
    ]
    if twice := sorted({word for word in kept if kept.count(word) > 1}):
        raise ValueError(f"atom/own has two of {', '.join(twice)}")
    return tuple(found)


def create_table(name: str, columns: Mapping[str, str]) -> str:
    """Return the statement that makes a table of schema `atom` where there is none."""
    inside = ", ".join(f"{column} {rule}" for column, rule in columns.items())
    return f"create table if not exists atom.{name} ({inside})"


def create_index(name: str, rule: str) -> str:
    """Return the statement that makes an index; its rule may begin with `unique`.

    >>> create_index("inbox_key", "unique inbox (message_id)")
    'create unique index inbox_key on atom.inbox (message_id)'
    """
    unique, table = "unique " * rule.startswith("unique "), rule.removeprefix("unique ")
    return f"create {unique}index {name} on atom.{table}"
