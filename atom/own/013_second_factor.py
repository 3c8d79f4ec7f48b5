"""The second factors of users: a secret that makes codes, and codes to recover by."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "totp": {
        "user_id": "bigint primary key",
        "secret": "bytea",  # encrypted; null until the first code has come
        "confirmed_at": "timestamp with time zone",
        "last_step": "bigint not null default 0",  # of the last code that was used
        "waiting": "bytea",  # a new secret, encrypted, until a code of it has come
        "waiting_since": "timestamp with time zone",
    },
    "recovery_code": {
        "code_hash": "bytea primary key",
        "user_id": "bigint not null",
        "created_at": "timestamp with time zone not null default now()",
    },
}
INDEXES = {"recovery_code_user_id": "recovery_code (user_id)"}

DROP_FACTORS = Function(
    "drop_factors",
    """begin
  delete from atom.totp where user_id = old.id;
  delete from atom.recovery_code where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_FACTORS,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_factors",
            "after delete on {table} for each row execute function atom.drop_factors()",
        )
