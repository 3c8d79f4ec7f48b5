"""API keys of users, by their hash. One is never changed, but for its last use."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "api_key": {
        "id": "bigint generated always as identity primary key",
        "user_id": "bigint not null",
        "name": "text not null",
        "key_hash": "bytea not null unique",
        "route": "text[] not null",
        "version": "integer not null",  # of the user's tokens: a new password ends it
        "created_at": "timestamp with time zone not null default now()",
        "expires_at": "timestamp with time zone not null",
        "last_used_at": "timestamp with time zone",
    },
}
INDEXES = {"api_key_user_id": "api_key (user_id)"}

DROP_KEYS = Function(
    "drop_api_keys",
    """begin
  delete from atom.api_key where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_KEYS,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of keys, and that of `users` where it is declared."""
    yield Trigger(
        "atom",
        "api_key",
        "atom_tell_api_key",
        "after delete or update of expires_at, version on {table} for each row"
        " execute function atom.tell_session()",
    )
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_api_keys",
            "after delete on {table} for each row"
            " execute function atom.drop_api_keys()",
        )
