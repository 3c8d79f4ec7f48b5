"""What Atom keeps on `users`: the first one, and all of them against one mistake."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

# How many users one statement may delete.
BULK_DELETE_MAX = 1

KEEP_FIRST_USER = Function(
    "keep_first_user",
    "begin\n  raise exception 'User 1 cannot be deleted.';\nend",
)

LIMIT_DELETE = Function(
    "limit_delete",
    """begin
  if (select count(*) from gone) > tg_argv[0]::bigint then
    raise exception 'Of "%" at most % row(s) may be deleted at once.',
      tg_table_name, tg_argv[0];
  end if;
  return null;
end""",
)

REFUSE_TRUNCATE = Function(
    "refuse_truncate",
    "begin\n  raise exception 'Table \"%\" cannot be emptied.', tg_table_name;\nend",
)

FUNCTIONS = (KEEP_FIRST_USER, LIMIT_DELETE, REFUSE_TRUNCATE)
RULES = {
    "atom_keep_first_user": "before delete on {table} for each row"
    " when (old.id = 1) execute function atom.keep_first_user()",
    "atom_limit_delete": "after delete on {table} referencing old table as gone"
    f" for each statement execute function atom.limit_delete('{BULK_DELETE_MAX}')",
    "atom_refuse_truncate": "before truncate on {table}"
    " for each statement execute function atom.refuse_truncate()",
}


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the triggers of `users`, where it is declared."""
    if "users" in tables:
        for name, rule in RULES.items():
            yield Trigger("public", "users", name, rule)
