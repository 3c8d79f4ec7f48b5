"""One-use tokens that were mailed, by their hash, and users who wait to be let in."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "account_token": {
        "id": "bigint generated always as identity primary key",
        "purpose": "text not null",
        "token_hash": "bytea not null unique",
        "user_id": "bigint",  # null: of an invitation
        "type": "bigint not null",
        "email": "text not null",
        "detail": "jsonb not null default '{}'",
        "created_by_id": "bigint",
        "created_at": "timestamp with time zone not null default now()",
        "expires_at": "timestamp with time zone not null",
    },
    "pending_user": {
        "user_id": "bigint primary key",
        "reason": "text not null",
        "type": "bigint not null",
        "email": "text",  # becomes the user's once it is confirmed
        "created_at": "timestamp with time zone not null default now()",
    },
}
INDEXES = {
    "account_token_user_id": "account_token (user_id)",
    "account_token_expires_at": "account_token (expires_at)",
    "pending_user_email": "pending_user (type, email)",
}

DROP_TOKENS = Function(
    "drop_account_tokens",
    """begin
  delete from atom.account_token where user_id = old.id;
  delete from atom.pending_user where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_TOKENS,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_account_tokens",
            "after delete on {table} for each row"
            " execute function atom.drop_account_tokens()",
        )
