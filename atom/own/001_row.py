"""What Atom keeps on every table: `updated_at`, and rows that are protected."""

from collections.abc import Iterator, Mapping

from atom.datatype.declared import is_time
from atom.own.part import Function, Trigger

COUNTING = frozenset({"smallint", "integer", "bigint", "numeric"})

TOUCH = Function("touch", "begin\n  new.updated_at := now();\n  return new;\nend")

KEEP_PROTECTED = Function(
    "keep_protected",
    """begin
  raise exception 'Row % of "%" is protected and cannot be deleted.',
    to_jsonb(old) ->> 'id', tg_table_name;
end""",
)

FUNCTIONS = (TOUCH, KEEP_PROTECTED)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the triggers of every table, given its columns and their datatypes."""
    for table, columns in tables.items():
        if is_time(columns.get("updated_at", "")):
            rule = "before update on {table} for each row execute function atom.touch()"
            yield Trigger("public", table, "atom_touch", rule)
        if columns.get("is_protected") in COUNTING:
            rule = (
                "before delete on {table} for each row"
                " when (old.is_protected = 1) execute function atom.keep_protected()"
            )
            yield Trigger("public", table, "atom_keep_protected", rule)
