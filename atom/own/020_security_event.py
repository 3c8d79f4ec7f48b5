"""Logins, refusals, limits, revocations and changes of rights, one row each.

What anyone may cause as often as they like has `minute` and is counted: one row for a
minute, a kind, a reason, a user and a network.
"""

TABLES = {
    "security_event": {
        "id": "bigint generated always as identity primary key",
        "created_at": "timestamp with time zone not null default now()",
        "last_at": "timestamp with time zone not null default now()",
        "kind": "text not null",
        "reason": "text not null default ''",
        "user_id": "bigint",
        "created_by_id": "bigint",
        "address": "text",
        "request_id": "text",
        "count": "bigint not null default 1",
        "minute": "bigint",
        "detail": "jsonb not null default '{}'",
    },
}
INDEXES = {
    "security_event_minute": "unique security_event (minute, kind, reason,"
    " coalesce(user_id, 0), coalesce(address, '')) where minute is not null",
    "security_event_user_id": "security_event (user_id, id)",
    "security_event_kind": "security_event (kind, id)",
    "security_event_created_at": "security_event using brin (created_at)",
}
