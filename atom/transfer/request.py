"""The request for an import: its mode, its format, and what each row must name."""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from atom.account.name import COLUMNS
from atom.errors import ApiError, nearest
from atom.postgres.catalog import LiveColumn, Table, require_written, shown
from atom.postgres.database import Database
from atom.row import upsert
from atom.row.sql.statement import require_key
from atom.row.upsert import Keys

MODES = ("create", "update", "upsert", "delete")
EXISTING = upsert.MODES
FORMATS = ("csv", "jsonl")
ENDINGS = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl"}
MEDIA = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl"}
    | {"application/x-jsonlines", "application/json-lines", "application/json"}
)
GZIP = ".gz"
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(slots=True)
class Progress:
    """How far an import or an export is."""

    rows: int = 0
    is_read: bool = False  # the file is with PostgreSQL, which applies it now
    is_closing: bool = False  # all is done but the commit


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """One import, checked against the table as far as that goes without the file."""

    mode: str
    table: Table
    keys: Keys = ()  # columns that find a row
    existing: str = "merge"

    def require(self, names: Iterable[str]) -> None:
        """Check that these columns are enough for the mode.

        Raises:
            ApiError: `transfer.unreadable_file`, naming the one that is missing.
        """
        found = set(names)
        for key in self.keys:
            if key not in found:
                raise lacking(f"Mode {self.mode} needs the column '{key}'.")
        if self.mode == "update" and len(found) == 1:
            raise lacking(f"Mode update needs another column than '{self.table.key}'.")

    def is_filled(self, live: LiveColumn) -> bool:
        """Whether a row without a value of this column is a fault."""
        key = self.table.key
        return live.name == key or live.name in self.keys or live.not_null

    def is_name(self, column: str) -> bool:
        """Whether a column holds usernames or addresses, kept in a normal form."""
        return self.table.name == "users" and column in COLUMNS


def lacking(what: str) -> ApiError:
    """Return the error for what a file, or a line of it, does not have."""
    return ApiError(what, code="transfer.unreadable_file")


async def parse_request(
    database: Database, mode: str, table: str, *, on_conflict: str, existing: str
) -> ImportRequest:
    """Return the request, checked against the table.

    Raises:
        ApiError: `transfer.unknown_mode`, `row.no_unique`, or what is missing.
        NotFound: `sql.unknown_table`.
    """
    if mode not in MODES:
        raise ApiError(
            f"There is no mode '{shown(mode)}': create, update, upsert or delete.",
            code="transfer.unknown_mode",
            hint=nearest(mode[:60], MODES),
        )
    live = database.catalog.table(table)
    require_written(live)
    if mode != "upsert":
        if on_conflict or existing:
            raise ApiError("'on_conflict' and 'existing' are for mode upsert.")
        if mode == "create":
            return ImportRequest(mode, live)
        return ImportRequest(mode, live, (require_key(live),))
    if existing and existing not in EXISTING:
        raise ApiError(
            "'existing' takes merge or ignore.", hint=nearest(existing[:60], EXISTING)
        )
    wanted = tuple(part.strip() for part in on_conflict.split(","))
    usable = await upsert.unique_rules(database, table)
    try:
        keys = upsert.choose_rule(table, usable, wanted)
    except ApiError as error:
        if not on_conflict:
            error.message = "Mode upsert needs 'on_conflict', columns of a unique rule."
        raise
    return ImportRequest(mode, live, keys, existing or "merge")


def format_of(wanted: str, name: str, media: str = "") -> str:
    """Return the format that is wanted, else that of a file's name or media type.

    Raises:
        ApiError: when it is unknown.

    >>> format_of("", "users.jsonl.gz")
    'jsonl'
    >>> format_of("", "users", "text/csv")
    'csv'
    """
    if wanted:
        if wanted not in FORMATS:
            raise ApiError(
                "'format' takes csv or jsonl.", hint=nearest(wanted[:60], FORMATS)
            )
        return wanted
    ending = name.lower().removesuffix(GZIP).rpartition(".")[2]
    if ending in ENDINGS:
        return ENDINGS[ending]
    return "jsonl" if media.partition(";")[0].strip().lower() in MEDIA else "csv"


class Unzipped:
    """A file that is read through gzip, a damaged one being the caller's fault."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")

    def read(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            ApiError: `transfer.unreadable_file`.
        """
        try:
            return self._file.read(size)
        except DAMAGED as error:
            raise lacking(f"The file is not a whole gzip file: {error}.") from None

    def seek(self, place: int) -> int:
        """Go to a place, for the beginning again."""
        return self._file.seek(place)


def unzipped(file: BinaryIO, name: str) -> BinaryIO:
    """Return the file, read through gzip when its name ends with .gz."""
    return Unzipped(file) if name.lower().endswith(GZIP) else file  # type: ignore[return-value]
