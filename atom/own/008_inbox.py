"""Messages that were done, and how often the others have failed."""

TABLES = {
    "inbox": {
        "consumer": "text not null",
        "message_id": "text not null",
        "created_at": "timestamp with time zone not null default now()",
    },
    "message_failure": {
        "consumer": "text not null",
        "message_id": "text not null",
        "attempts": "integer not null default 1",
        "error": "text not null",
        "failed_at": "timestamp with time zone not null default now()",
    },
}
INDEXES = {
    "inbox_key": "unique inbox (consumer, message_id)",
    "inbox_created_at": "inbox using brin (created_at)",
    "message_failure_key": "unique message_failure (consumer, message_id)",
}
