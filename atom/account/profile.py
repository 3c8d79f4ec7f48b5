"""The statement that reads one user as one JSON object."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from functools import lru_cache

from atom.postgres.catalog import Table
from atom.row.sql.clause import select_list


@lru_cache(64)
def read(view: Table) -> str:
    """Write the read of the user whose id is $1, with the columns of a view."""
    columns = select_list(view, tuple(view.columns))
    return (
        f"select row_to_json(r)::text"
        f" from (select {columns} from public.users t where t.id = $1) r"
    )
