"""Passkeys of users: the public key of each."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "passkey": {
        "credential_id": "bytea primary key",
        "user_id": "bigint not null",
        "public_key": "bytea not null",
        "sign_count": "bigint not null",
        "name": "text",
        "is_backed_up": "boolean not null",
        "created_at": "timestamp with time zone not null default now()",
        "last_used_at": "timestamp with time zone",
    },
}
INDEXES = {"passkey_user_id": "passkey (user_id)"}

DROP_PASSKEYS = Function(
    "drop_passkeys",
    """begin
  delete from atom.passkey where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_PASSKEYS,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_passkeys",
            "after delete on {table} for each row"
            " execute function atom.drop_passkeys()",
        )
