"""Documents in MongoDB: rows in, by an insert or an upsert.

Read in this order; each line needs only the lines above it:

    document   a row as MongoDB stores it
    operation  upserts as data: what finds a document, and what is set
    fault      errors of the driver as those of a caller
    write      inserts and upserts, in chunks
    database   the databases that config lists
"""

from atom.mongodb.database import listed, opened
from atom.mongodb.write import bulk_upsert, create

__all__ = ["bulk_upsert", "create", "listed", "opened"]
