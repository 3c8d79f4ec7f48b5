"""The link of a file that a row holds, for who may read that row and that column."""

from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from atom import reply, row
from atom.errors import ApiError
from atom.file.store import Files
from atom.postgres.database import Database
from atom.row import payload
from atom.row.scope import RowScope


def address(request: Request) -> str:
    """Return the address of this server as the caller knows it."""
    return str(request.base_url).rstrip("/")


async def answer_link(
    request: Request, files: Files, database: Database, scope: RowScope
) -> Response:
    """Answer the link of the file in one column of a row; no cache keeps it.

    Raises:
        NotFound: `row.missing`; `file.missing` when the column holds none.
        ApiError: for a column that the caller does not read, or that holds no files.
    """
    place = request.path_params
    table, key, column = place["table"], place["id"], place["column"]
    raw = f"table={quote(table, safe='')}&column={quote(column, safe='')}".encode()
    found = orjson.loads(await row.read_one(database, scope, raw, key))
    if column not in scope.rules.policy.files.get(table, ()):
        raise ApiError(f"Column '{column[:60]}' does not hold files.")
    row_key = payload.from_path(database.catalog.table(table), key)
    held = await files.held(found.get(column), table, column, str(row_key))
    link = await files.link_of(address(request), held)
    answer = reply.success(link)
    answer.headers["cache-control"] = "private, no-store"
    return answer
