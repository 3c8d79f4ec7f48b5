"""Additions to `/docs` and `/openapi.json` that FastAPI does not make by itself.

In this order; each module needs only those above it:

    parameter  parameters and bodies of the row routes
    route      what a route documents that reads the request itself
    shape      a column as JSON Schema
    file       columns that hold files, and their links
    rows       the row routes of each table, typed by the catalog
    rpc        the answers of config_rpc, typed by their statements
    operation  who may call each route, its refusals, its name
    document   the whole document, as an object and as bytes
"""

from atom.openapi.document import description, install
from atom.openapi.parameter import IdsDelete, IdsUpdate
from atom.openapi.route import (
    CHANGES,
    COUNT,
    DONE,
    ENTRIES,
    IDS_MADE,
    KEY,
    LIST,
    OBJECT,
    PREFER,
    ROWS,
    TEXT,
    WRITTEN,
    answers,
    documented,
    failures,
    success,
)

__all__ = [
    "CHANGES",
    "COUNT",
    "DONE",
    "ENTRIES",
    "IDS_MADE",
    "KEY",
    "LIST",
    "OBJECT",
    "PREFER",
    "ROWS",
    "TEXT",
    "WRITTEN",
    "IdsDelete",
    "IdsUpdate",
    "answers",
    "description",
    "documented",
    "failures",
    "install",
    "success",
]
