"""Columns that hold a file: as declared, and the triggers that keep them true."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.config.view import view
from atom.own.part import Trigger
from atom.schema.declaration import Declaration
from atom.schema.entry_file import FileRule
from atom.schema.index import shorten

Columns = Mapping[str, Mapping[str, FileRule]]  # by table and column


@dataclass(frozen=True, slots=True)
class ColumnConfig:
    """What config sets for columns of files."""

    postgres_schema: Mapping[str, Any]
    s3_upload_max_kb: int


def columns(config: Mapping[str, Any]) -> Columns:
    """Return the columns of datatype file, of the tables that have some."""
    schema = view(ColumnConfig, config).postgres_schema
    declared = Declaration.parse(schema).tables
    found = {
        table: {each.name: each.file for each in inside.values() if each.file}
        for table, inside in declared.items()
    }
    return {table: inside for table, inside in found.items() if inside}


def triggers(config: Mapping[str, Any]) -> tuple[Trigger, ...]:
    """Return the triggers that tie a file to the row that names it."""
    most, found = view(ColumnConfig, config).s3_upload_max_kb, list[Trigger]()
    for table, inside in columns(config).items():
        for name, rule in inside.items():
            kilobytes = rule.max_kb or most
            media = ",".join(each.replace("*", "%") for each in rule.media) or "%"
            # Doubled, because the rule is a format.
            arguments = f"'{name}', '{kilobytes * 1024}', '{{{{{media}}}}}'"
            found.append(
                Trigger(
                    "public",
                    table,
                    shorten(f"atom_file_{name}"),
                    "after insert or update or delete on {table} for each row"
                    f" execute function atom.hold_file({arguments})",
                )
            )
        found.append(
            Trigger(
                "public",
                table,
                "atom_release_files",
                "after truncate on {table} for each statement"
                " execute function atom.release_files()",
            )
        )
    return tuple(found)
