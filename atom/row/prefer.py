"""`Prefer: bigint=text` (RFC 7240): for readers that hold a number in a double.

Such readers lose the last digits of a whole number beyond 2^53.
"""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from atom import reply
from atom.row.scope import RowScope

BIGINT_TEXT = "bigint=text"
VARY = (b"vary", b"Prefer")
APPLIED = "preference-applied"


def words(preferred: str) -> list[str]:
    """Return the preferences of a header; what is not understood is ignored."""
    return ["".join(each.split()).lower() for each in preferred.split(",")]


def preferred(request: Request) -> str:
    """Return what a caller prefers, of all headers that have it."""
    found = b""
    for name, value in request.scope["headers"]:
        if name == b"prefer":
            found = found + b"," + value if found else value
    return found.decode("latin-1")


def prefers_text(request: Request) -> bool:
    """Whether a caller prefers whole numbers of 64 bits as text."""
    given = preferred(request)
    return bool(given) and BIGINT_TEXT in words(given)


def preferring(scope: RowScope, request: Request) -> RowScope:
    """Return the scope with what its caller prefers of the answer, and came by."""
    by_key = "api_key" in request.scope["state"]
    if not by_key and not prefers_text(request):
        return scope
    return replace(scope, bigint_text=prefers_text(request), by_key=by_key)


def answer(scope: RowScope, body: bytes, **fields: Any) -> Response:
    """Answer rows, and which preference they follow."""
    return answer_rows(body, bigint_text=scope.bigint_text, **fields)


def answer_rows(body: bytes, *, bigint_text: bool, **fields: Any) -> Response:
    """Answer rows of a route without a scope, and which preference they follow."""
    response = reply.rows(body, **fields)
    response.raw_headers.append(VARY)
    if bigint_text:
        response.headers[APPLIED] = BIGINT_TEXT
    return response
