"""Which functions and system views a caller's own SQL may use: a closed list."""

from collections.abc import Mapping
from typing import Any

# Objects below this number were made by initdb, so nobody could swap them.
FIRST_USER_OID = 16_384

# Views of the system that tell only names and sizes.
CATALOG = frozenset(
    {
        ("information_schema", "tables"),
        ("information_schema", "columns"),
        ("pg_catalog", "pg_indexes"),
        ("pg_catalog", "pg_stat_user_tables"),
    }
)

# Extensions whose functions only compute. None of them takes SQL as a text.
EXTENSIONS = frozenset(
    {
        "pg_trgm",
        "postgis",
        "unaccent",
        "vector",
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "earthdistance",
        "fuzzystrmatch",
        "hstore",
        "intarray",
        "ltree",
        "pgcrypto",
        "uuid-ossp",
    }
)

# Volatile, and yet without an effect.
VOLATILE = frozenset(
    {
        "bernoulli",
        "clock_timestamp",
        "gen_random_uuid",
        "pg_database_size",
        "pg_indexes_size",
        "pg_relation_size",
        "pg_table_size",
        "pg_total_relation_size",
        "random",
        "random_normal",
        "system",
        "timeofday",
        "uuidv4",
        "uuidv7",
    }
)
# Of the functions that begin with pg_, those that tell nothing of the server.
COMPUTING = frozenset(
    {"pg_column_size", "pg_input_is_valid", "pg_size_bytes", "pg_size_pretty"}
    | {"pg_typeof"}
)
# Stable, and yet they run SQL of their own, or tell of the server and its sessions.
REFUSED = frozenset({"current_setting", "inet_client_addr", "inet_server_addr"})
REFUSED_STARTS = ("pg_", "lo_", "binary_upgrade_", "dblink")


def is_harmless(function: Mapping[str, Any]) -> bool:
    """Tell whether a function has no effect, and tells nothing it was not handed."""
    name, language = function["name"], function["language"]
    if function["extension"] is not None:
        return (
            function["extension"] in EXTENSIONS
            and function["volatile"] != "v"
            and language in {"c", "internal", "sql"}
        )
    if function["oid"] >= FIRST_USER_OID or function["schema"] != "pg_catalog":
        return False
    if language not in {"internal", "sql"}:
        return False
    if name in VOLATILE or name in COMPUTING:
        return True
    if function["volatile"] == "v" or name in REFUSED or "_to_xml" in name:
        return False
    return not name.startswith(REFUSED_STARTS)
