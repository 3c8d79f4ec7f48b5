"""Rows of any table: the verbs of the generic row routes.

Begin with the function `read`: one row read, whole. Then in this order; each module
needs only those above it:

    scope        which tables, rows and columns a caller reaches
    payload      the values of a body, parsed by the columns they are for
    explain_error  which column, filter or row it is that PostgreSQL refuses
    read         rows read
    write        rows created, updated and deleted
    many         rows of several tables, later ones referring to earlier ones
    upsert       rows that may be there already
    batch        who writes the rows of a request, and when; those of many together
"""

from atom.row.batch import PARAMETERS as CREATE_PARAMETERS
from atom.row.batch import submit
from atom.row.many import create_many
from atom.row.payload import parse_body
from atom.row.read import Answer, Rows, parents, read
from atom.row.sql.query_string import FIXED as READ_PARAMETERS
from atom.row.sql.query_string import PARENTS as PARENT_PARAMETERS
from atom.row.sql.query_string import parameters as parse_parameters
from atom.row.upsert import PARAMETERS as UPSERT_PARAMETERS
from atom.row.write import create, delete_any, delete_ids, update, update_ids

__all__ = [
    "CREATE_PARAMETERS",
    "PARENT_PARAMETERS",
    "READ_PARAMETERS",
    "UPSERT_PARAMETERS",
    "Answer",
    "Rows",
    "create",
    "create_many",
    "delete_any",
    "delete_ids",
    "parents",
    "parse_body",
    "parse_parameters",
    "read",
    "submit",
    "update",
    "update_ids",
]
