"""What is done once in the life of a database, by name."""

TABLES = {
    "marker": {
        "name": "text primary key",
        "created_at": "timestamp with time zone not null default now()",
    },
}
