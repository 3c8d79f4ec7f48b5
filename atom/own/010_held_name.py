"""Names in normal form that several older users of one type would have.

No one else gets such a name while one of them is spelt as they were: who signs up with
it would be taken for them.
"""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "held_name": {
        "type": "bigint not null",
        "normal": "text not null",
        "kind": "text not null",
        "user_id": "bigint not null",
        "spelt": "text not null",
    },
}
INDEXES = {"held_name_key": "unique held_name (type, normal, kind, user_id)"}

KEEP_HELD_NAMES = Function(
    "keep_held_names",
    """declare
  made jsonb := to_jsonb(new);
  was jsonb;
  held text;
begin
  if tg_op = 'UPDATE' then
    was := to_jsonb(old);
  end if;
  select h.kind into held
  from atom.held_name h join public.users u on u.id = h.user_id
  where h.type = new.type
    and h.normal in (made->>'username', made->>'email', made->>'mobile')
    and h.normal = made->>h.kind and h.user_id <> new.id
    and to_jsonb(u)->>h.kind = h.spelt
    and (was is null or was->>h.kind is distinct from h.normal
         or was->>'type' is distinct from made->>'type')
  limit 1;
  if found then
    raise exception 'Another user has the same %.', held;
  end if;
  return new;
end""",
    definer=True,
)
FUNCTIONS = (KEEP_HELD_NAMES,)
COLUMNS = ("type", "username", "email", "mobile")


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared with a type."""
    users = tables.get("users", {})
    if "type" in users:
        named = ", ".join(name for name in COLUMNS if name in users)
        yield Trigger(
            "public",
            "users",
            "atom_keep_held_names",
            f"before insert or update of {named} on {{table}} for each row"
            " execute function atom.keep_held_names()",
        )
