"""What users are notified of; read by the routes of `/my/notification-…` alone."""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "notification": {
        "id": "bigint generated always as identity primary key",
        "user_id": "bigint not null",
        "created_at": "timestamp with time zone not null default now()",
        "kind": "text not null",
        "subject": "text not null",
        "message": "text not null",
        "link": "text",
        "read_at": "timestamp with time zone",
    },
}
INDEXES = {
    "notification_user_id": "notification (user_id, id)",
    "notification_unread": "notification (user_id, id) where read_at is null",
    "notification_created_at": "notification using brin (created_at)",
}

DROP_NOTIFICATIONS = Function(
    "drop_notifications",
    """begin
  delete from atom.notification where user_id = old.id;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_NOTIFICATIONS,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_notifications",
            "after delete on {table} for each row"
            " execute function atom.drop_notifications()",
        )
