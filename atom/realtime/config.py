"""What config sets for streams, and the triggers of the tables that are followed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.config.secret import secret_columns
from atom.config.view import view
from atom.own.part import Trigger

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
    given = view(StreamConfig, config)
    return tuple(
        Trigger(
            "public",
            table,
            f"atom_change_{operation}",
            f"after {operation} on {{table}}{rows}"
            f" for each statement execute function atom.row_change({hidden})",
        )
        for table in given.stream_table_list
        for hidden in (_hidden(given, table),)
        for operation, rows in TRIGGERS
    )


def _hidden(given: StreamConfig, table: str) -> str:
    """Return the columns that are not kept of a row, as an argument in SQL."""
    names = secret_columns(given.postgres_schema, given.column_secret_list, table)
    return "'" + ",".join(names).replace("'", "''") + "'"
