"""Rows of any table: the verbs of the generic row routes, in one place."""

from atom.feature.row_read import Answer, parents, read
from atom.feature.row_write import create, delete_any, delete_ids, update, update_ids

__all__ = [
    "Answer",
    "create",
    "delete_any",
    "delete_ids",
    "parents",
    "read",
    "update",
    "update_ids",
]
