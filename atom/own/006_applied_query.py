"""Queries of the declaration that have run, and with which text."""

TABLES = {
    "applied_query": {
        "label": "text primary key",
        "mark": "text not null",
        "applied_at": "timestamp with time zone not null default now()",
    },
}
