"""Data migrations of the declaration that have run, or were not needed."""

TABLES = {
    "applied_migration": {
        "name": "text primary key",
        "mark": "text not null",
        "is_run": "boolean not null",
        "applied_at": "timestamp with time zone not null default now()",
    },
}
