"""Whole tables in and out of files, as CSV or JSON lines.

Read in this order; each line needs only the lines above it:

    request       what an import is to do, checked against the table
    statement     the SQL of an import
    csv_file      a CSV file as rows, in blocks
    jsonl_file    a file of JSON lines as objects, in blocks
    cell          cells of CSV as COPY takes them
    jsonl_cell    values of JSON as COPY takes them
    fault         the line and column that PostgreSQL refuses
    source        CSV on its way to COPY, one block ahead
    jsonl_source  JSON lines on their way to COPY
    stage         rows in a temporary table, applied to those that exist
    hooked        the same, with the hooks of their table
    load          an import, whole
    document      a file as documents, for stores without columns
    redis         a file into Redis
    mongodb       a file into a collection of MongoDB
    export        the rows of a query as a stream
"""

from atom.transfer.export import Export
from atom.transfer.load import import_file
from atom.transfer.mongodb import import_file as import_mongodb
from atom.transfer.redis import create as create_redis
from atom.transfer.redis import import_file as import_redis
from atom.transfer.request import format_of, unzipped

__all__ = [
    "Export",
    "create_redis",
    "format_of",
    "import_file",
    "import_mongodb",
    "import_redis",
    "unzipped",
]
