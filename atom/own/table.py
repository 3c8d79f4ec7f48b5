"""Atom's own tables, in schema `atom`: no row route ever reaches them."""

from collections.abc import Mapping

TABLES: Mapping[str, Mapping[str, str]] = {
    "token_version": {
        "user_id": "bigint primary key",
        "version": "integer not null",
    },
    "session": {
        "id": "uuid primary key",
        "user_id": "bigint not null",
        "family": "uuid not null",
        "token_hash": "bytea not null unique",
        "created_at": "timestamp with time zone not null default now()",
        "expires_at": "timestamp with time zone not null",
        "used_at": "timestamp with time zone",
        "revoked_at": "timestamp with time zone",
    },
    "marker": {  # what is done once in the life of a database
        "name": "text primary key",
        "created_at": "timestamp with time zone not null default now()",
    },
    "log_batch": {  # batches of log_api that are committed, for an hour
        "id": "uuid primary key",
        "created_at": "timestamp with time zone not null default now()",
    },
    "applied_query": {
        "label": "text primary key",
        "mark": "text not null",
        "applied_at": "timestamp with time zone not null default now()",
    },
}
INDEXES = {
    "session_user_id": "session (user_id)",
    "session_family": "session (family)",
}
