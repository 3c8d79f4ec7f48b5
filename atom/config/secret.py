"""The columns that never leave the server, of a table as it is declared."""

from collections.abc import Iterable, Mapping
from typing import Any


def secret_columns(
    schema: Mapping[str, Any], listed: Iterable[str], table: str
) -> list[str]:
    """Return their names: those of `config_column_secret_list`, and any password."""
    lines = schema.get("table", {}).get(table, ())
    columns = [str(line).partition("-")[0].strip() for line in lines]
    secret = {name.casefold() for name in listed}
    named = {
        name
        for name in columns
        if name.casefold() in secret or "password" in name.casefold()
    }
    return sorted(named | set(listed))
