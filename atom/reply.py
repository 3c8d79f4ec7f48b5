"""The two JSON shapes of every answer, made in one place."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from atom.errors import ApiError

JSON = "application/json"
CONTENT_TYPE = b"content-type", JSON.encode()
OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def _plain(value: Any) -> Any:
    """Read what orjson does not know: Decimal as a number, sets as lists."""
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if type(value).__name__ == "Decimal":
        return float(value)
    return str(value)


def dump(value: Any) -> bytes:
    """Write a value as JSON."""
    return orjson.dumps(value, default=_plain, option=OPTIONS)


class Whole(Response):
    """JSON that is written already; its two headers cost less than Starlette's."""

    media_type = JSON

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers, which are two where no other is given."""
        if headers:
            return super().init_headers(headers)
        length = str(len(self.body)).encode()
        self.raw_headers = [(b"content-length", length), CONTENT_TYPE]


def success(message: Any, **fields: Any) -> Response:
    """Answer 200 `{"status":1,"message":…}` with more fields after the message."""
    return Whole(dump({"status": 1, "message": message, **fields}))


def rows(body: bytes, **fields: Any) -> Response:
    """Answer rows that are JSON already, as PostgreSQL wrote them."""
    tail = b"," + dump(fields)[1:] if fields else b"}"
    return Whole(b'{"status":1,"message":' + body + tail)


def failure(error: ApiError, request_id: str = "") -> Response:
    """Answer an error: its true status, a message safe to show, a code, a hint."""
    body = {
        "status": 0,
        "message": error.message,
        "code": error.code,
        "hint": error.hint,
        "request_id": request_id,
    }
    if error.detail is not None:
        body["detail"] = error.detail
    return Response(dump(body), error.status, error.headers, JSON)
