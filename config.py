# Yours from the first start on: change it, or add more config files next to it.

# What holds for each path; docs/config.md lists the keys. `"POST /path"` is one method.
config_api = {
    "/test": {
        "id": 7,
        "is_access": 0,
        "cache_sec": ["inmemory", 60],
        "ratelimiter_times_sec": [1, 3],
    },
    "/postgres-create": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/postgres-update": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/redis-producer": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/rabbitmq-producer": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/kafka-producer": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/celery-producer": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/posthog": {"is_token": 1, "ratelimiter_times_sec": [10, 60]},
    "/ws": {"is_token": 1},
}

# One text a column: name-datatype-mandatory-index. Every table has an id as well.
# The tables of Atom (users, message, test, …) are there already: docs/schema.md. Under
# their names you add columns, as in "users": ["nickname-text-0-btree"].
config_postgres_schema = {
    "table": {
        # "note": ["created_at-timestamptz-0-brin", "title-text-1-0"],
    },
}
