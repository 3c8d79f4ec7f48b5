"""Who a user is at a sign-in service: its issuer, and their subject there."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "identity": {
        "issuer": "text not null",
        "subject": "text not null",
        "type": "bigint not null",
        "user_id": "bigint not null",
        "created_at": "timestamp with time zone not null default now()",
    },
}
INDEXES = {
    "identity_subject": "unique identity (issuer, subject, type)",
    "identity_user_id": "identity (user_id)",
}

DROP_IDENTITIES = Function(
    "drop_identities",
    """begin
  delete from atom.identity where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_IDENTITIES,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_identities",
            "after delete on {table} for each row"
            " execute function atom.drop_identities()",
        )
