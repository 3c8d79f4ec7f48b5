"""Turns whatever was raised further in into one shape of answer."""

import logging

from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from atom import reply
from atom.errors import ApiError, Unexpected
from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step

log = logging.getLogger(__name__)


def known(error: Exception) -> ApiError:
    """Return an error as the caller may hear it, its true status kept."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return _unreadable(error)
    if isinstance(error, HTTPException):
        return _http(error)
    return Unexpected("Something went wrong.", hint="Quote the request_id to us.")


def _http(error: HTTPException) -> ApiError:
    if isinstance(error.__cause__, ApiError):
        return error.__cause__  # a step's own, on the way through FastAPI's reader
    text = error.detail if isinstance(error.detail, str) else "refused"
    return ApiError(
        text,
        code=f"http.{error.status_code}",
        status=error.status_code,
        headers=error.headers or {},
        detail=error.detail,
    )


def _unreadable(error: RequestValidationError) -> ApiError:
    """Name every parameter that cannot be read. The value itself is not repeated."""
    faults = [
        {"type": fault["type"], "loc": fault["loc"], "msg": fault["msg"]}
        for fault in error.errors()
    ]
    places = (
        f"{'.'.join(str(part) for part in fault['loc'][1:]) or fault['loc'][0]}: "
        f"{fault['msg']}"
        for fault in faults[:5]
    )
    is_body = any(fault["loc"] == ("body",) for fault in faults)
    return ApiError(
        "; ".join(places),
        code="request.invalid",
        status=422,
        hint="Send JSON, with the header Content-Type: application/json."
        if is_body
        else "",
        detail=faults,
    )


async def answer_http(request: object, error: Exception) -> Response:
    """Answer for FastAPI, whose handlers sit nearer to the route than our step does."""
    state = getattr(request, "scope", {}).get("state") or {}
    return reply.failure(known(error), state.get("request_id", ""))


HANDLERS = {
    HTTPException: answer_http,
    RequestValidationError: answer_http,
    ApiError: answer_http,
}


async def answer_errors(exchange: Exchange, proceed: Proceed) -> None:
    """Answer an error in the house's own shape, unless an answer has already begun."""
    try:
        await proceed(exchange)
    except Exception as error:
        told = known(error)
        exchange.description = told.code
        if told.status >= 500 and not isinstance(error, ApiError):
            exchange.description += f" {type(error).__name__}"
            # A line feed in the path would begin a line that looks like ours.
            path = exchange.path.encode("unicode_escape").decode()
            log.exception("%s %s failed", exchange.method, path)
        if exchange.started:
            raise
        if exchange.scope["type"] == "websocket":
            return await _refuse_handshake(exchange, told, error)
        await exchange.reply(reply.failure(told, exchange.request_id))


async def _refuse_handshake(
    exchange: Exchange, told: ApiError, error: Exception
) -> None:
    """Refuse a WebSocket before it is accepted: a real status where the server can."""
    if isinstance(error, WebSocketRequestValidationError):
        raise error
    extensions = exchange.scope.get("extensions") or {}
    if "websocket.http.response" in extensions:
        await exchange.reply(reply.failure(told, exchange.request_id))
    else:
        await exchange.send({"type": "websocket.close", "code": 1008})


STEP = Step(
    answer_errors,
    "one shape for every error",
    codes=("error.unexpected",),
    refuses=lambda policy: False,  # any route may fail: not listed on each
    websocket=True,
)
