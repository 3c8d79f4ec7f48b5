"""Turns every exception of the later steps and the route into one shape of answer."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from atom import reply
from atom.errors import ApiError, Unexpected
from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step
from atom.observe.request_context import HANDSHAKE_REFUSED
from atom.port import Ports
from atom.postgres.errors import is_of_driver, translate

log = logging.getLogger(__name__)

TEXT_MAX = 500  # of an exception, in development
POLICY_VIOLATION, SERVER_ERROR = 1008, 1011  # RFC 6455 section 7.4.1


def shown(error: Exception, *, is_open: bool = False) -> ApiError:
    """Return an error as the caller may see it, its true status kept.

    The text of an unexpected exception is shown only where `is_open`: in development.
    """
    cause = error.__cause__
    if is_open and isinstance(error, Unexpected) and isinstance(cause, Exception):
        error = cause
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError | WebSocketRequestValidationError):
        return _unreadable(error)
    if isinstance(error, HTTPException):
        return _http(error)
    if is_of_driver(error):  # of a statement on a connection of the pool itself
        found = translate(error, own=True)
        if found.status != Unexpected.status:
            return found
    if is_open:
        text = f"{type(error).__name__}: {error}"[:TEXT_MAX]
        return Unexpected(text, hint="The trace is in the log, with the request_id.")
    return Unexpected("Something went wrong.", hint="Quote the request_id to us.")


def _http(error: HTTPException) -> ApiError:
    if isinstance(error.__cause__, ApiError):
        return error.__cause__  # raised by a step while FastAPI read the body
    text = error.detail if isinstance(error.detail, str) else "refused"
    return ApiError(
        text,
        code=f"http.{error.status_code}",
        status=error.status_code,
        headers=error.headers or {},
        detail=error.detail,
    )


def _unreadable(
    error: RequestValidationError | WebSocketRequestValidationError,
) -> ApiError:
    """Return an error that names every unreadable parameter, without its value."""
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


# Refusals that are events of security: a user or a program tried what is not theirs.
REFUSED = frozenset(
    {
        *("access.denied", "role.denied", "rights.exceeded", "rights.own"),
        "csrf.refused",
        *("key.refused", "key.route", "token.invalid", "token.root_mismatch"),
    }
)
LIMITED = 429


def _note(ports: Ports, error: ApiError, state: Mapping[str, Any]) -> None:
    """Count a refusal that is an event of security."""
    is_limit = error.status == LIMITED
    if is_limit or error.code in REFUSED:
        kind = "limit.reached" if is_limit else "access.refused"
        user_id, address = state["user"].get("id"), state["client_address"]
        ports.security.note(kind, error.code or "", user_id=user_id, address=address)


async def answer_http(request: object, error: Exception) -> Response:
    """Answer for FastAPI, which handles its own errors before the step sees them."""
    scope = getattr(request, "scope", {})
    state = scope.get("state") or {}
    if "app" not in scope:
        return reply.failure(shown(error), state.get("request_id", ""))
    ports = scope["app"].state.ports
    answer = shown(error, is_open=_is_development(ports.config))
    if "user" in state:
        _note(ports, answer, state)
    return reply.failure(answer, state.get("request_id", ""))


def _is_development(config: Mapping[str, Any]) -> bool:
    return bool(config["config_env"] == "development")


HANDLERS = {
    HTTPException: answer_http,
    RequestValidationError: answer_http,
    ApiError: answer_http,
}


async def answer_errors(exchange: Exchange, proceed: Proceed) -> None:
    """Answer an error in the one shape, unless an answer has already begun.

    It is logged here, once, with its trace: nothing outside sees it again.
    """
    try:
        await proceed(exchange)
    except Exception as error:
        is_open = _is_development(exchange.ports.config)
        answer = shown(error, is_open=is_open)
        exchange.description = answer.code
        if (state := exchange.scope.get("state")) and "user" in state:
            _note(exchange.ports, answer, state)
        if exchange.started and isinstance(error, WebSocketDisconnect):
            return
        if answer.status >= 500 and not isinstance(error, ApiError):
            exchange.description += f" {type(error).__name__}"
            # A line feed in the path would begin a line that looks like Atom's own.
            path = exchange.path.encode("unicode_escape").decode()
            log.exception("%s %s failed", exchange.method, path)
        if exchange.scope["type"] == "websocket":
            return await _end_socket(exchange, answer)
        if not exchange.started:
            await exchange.reply(reply.failure(answer, exchange.request_id))


async def _end_socket(exchange: Exchange, answer: ApiError) -> None:
    """Close a WebSocket, or refuse it: with a true status where the server can."""
    if exchange.started:
        if not exchange.closed:
            await exchange.send({"type": "websocket.close", "code": SERVER_ERROR})
        return
    HANDSHAKE_REFUSED.set(True)
    extensions = exchange.scope.get("extensions") or {}
    if "websocket.http.response" in extensions:
        await exchange.reply(reply.failure(answer, exchange.request_id))
    else:
        await exchange.send({"type": "websocket.close", "code": POLICY_VIOLATION})


STEP = Step(
    answer_errors,
    "one shape for every error",
    codes=("error.unexpected",),
    refuses=lambda policy: False,  # any route may fail: not listed on each
    websocket=True,
)
