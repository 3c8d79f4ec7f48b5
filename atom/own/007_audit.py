"""What was done to the rights of users, by whom."""

TABLES = {
    "audit": {
        "id": "bigint generated always as identity primary key",
        "created_at": "timestamp with time zone not null default now()",
        "created_by_id": "bigint",
        "action": "text not null",
        "user_id": "bigint not null",
        "before": "jsonb not null",
        "after": "jsonb not null",
    },
}
INDEXES = {"audit_user_id": "audit (user_id)"}
