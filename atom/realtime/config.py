"""What config sets for streams, and the triggers of the tables that are followed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.config.secret import secret_columns
from atom.config.table import TableRules, parse
from atom.config.view import view
from atom.own.part import Trigger

WORD = re.compile(r"\w+")
TRIGGERS = (  # the operation, and the rows it shows
    ("insert", " referencing new table as made"),
    ("update", " referencing old table as gone new table as made"),
    ("delete", " referencing old table as gone"),
    ("truncate", ""),
)


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """The keys of streams."""

    stream_table_list: tuple[str, ...]
    stream_keep_sec: int
    stream_max: int
    stream_caller_max: int
    column_secret_list: tuple[str, ...]
    postgres_schema: Mapping[str, Any]


def triggers(config: Mapping[str, Any]) -> tuple[Trigger, ...]:
    """Return the triggers that note changes, in the transaction of the write."""
    given, rules = view(StreamConfig, config), parse(config, [])
    return tuple(
        Trigger(
            "public",
            table,
            f"atom_change_{operation}",
            f"after {operation} on {{table}}{rows}"
            f" for each statement execute function atom.row_change({hidden})",
        )
        for table in given.stream_table_list
        for hidden in (_hidden(given, _judged(rules, table), table),)
        for operation, rows in TRIGGERS
    )


def _judged(rules: TableRules, table: str) -> set[str]:
    """Return the words of the rules of reading: columns that decide who could read it.

    Without them a row as it was would match for those who could not read it.
    """
    tiers = rules.tables.get(table, {}).values()
    reading = [tier["read"].where for tier in tiers if "read" in tier]
    tenant = rules.tenant.column if rules.tenant is not None else None
    texts = [*reading, rules.soft_delete.get(table), tenant]
    return {word for text in texts if text for word in WORD.findall(text)}


def _hidden(given: StreamConfig, judged: set[str], table: str) -> str:
    """Return the columns that are not kept of a row, as an argument in SQL."""
    secret = secret_columns(given.postgres_schema, given.column_secret_list, table)
    names = [name for name in secret if name not in judged]
    return "'" + ",".join(names).replace("'", "''") + "'"
