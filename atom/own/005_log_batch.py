"""Batches of log_api that are committed, kept for an hour."""

TABLES = {
    "log_batch": {
        "id": "uuid primary key",
        "created_at": "timestamp with time zone not null default now()",
    },
}
