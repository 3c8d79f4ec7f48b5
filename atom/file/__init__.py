"""Files of users: on S3 or in a folder, recorded in `atom.file`, opened by links.

Read in this order; each module needs only those above it:

    config  what config sets, and which store it chooses
    disk    the folder: written whole, never over another
    link    signed links
    serve   a local file as an answer
    record  the rows of `atom.file`: quota, deletion, what nothing holds
    store   uploads, links and deletions in the store that config chooses
    column  columns that hold a file, and their triggers
    of_row  the link of a file that a row holds
"""

from atom.file.column import columns, triggers
from atom.file.config import FileConfig, check
from atom.file.of_row import address, answer_link
from atom.file.serve import LocalFile
from atom.file.store import Files

__all__ = [
    "FileConfig",
    "Files",
    "LocalFile",
    "address",
    "answer_link",
    "check",
    "columns",
    "triggers",
]
