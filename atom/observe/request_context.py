"""What surrounds the work of one request, wherever in the program it is done."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

# The request this work belongs to, for the log.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

# The address of the client of this request, for events of security.
ADDRESS: ContextVar[str] = ContextVar("address", default="")

# The trace that the caller of this request is part of (W3C Trace Context), for events.
TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")

# The route of this request, method and template; set only while Sentry is on.
ROUTE: ContextVar[str] = ContextVar("route", default="")

# The user of this request, as on request.state.user; filled once the token is verified.
CALLER: ContextVar[Mapping[str, Any]] = ContextVar(
    "caller", default=MappingProxyType({})
)

# Whether the handshake of this WebSocket was refused, for the log.
HANDSHAKE_REFUSED: ContextVar[bool] = ContextVar("handshake_refused", default=False)

# Tables with rows in an answer that will be kept; None while none is kept.
TABLES_READ: ContextVar[set[str] | None] = ContextVar("tables_read", default=None)

# What the metadata of an event may set: it can come from another program.
IDENTIFIED = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
TRACED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


@contextmanager
def caused_by(metadata: object) -> Iterator[None]:
    """Work as part of the request that caused an event, by the event's metadata."""
    found = metadata if isinstance(metadata, Mapping) else {}
    request_id, trace = (str(found.get(n, "")) for n in ("request_id", "traceparent"))
    known = REQUEST_ID.set(request_id if IDENTIFIED(request_id) else "")
    traced = TRACEPARENT.set(trace if TRACED(trace) else "")
    try:
        yield
    finally:
        TRACEPARENT.reset(traced)
        REQUEST_ID.reset(known)


def note_read(*tables: str) -> None:
    """Note that rows of these tables were read: writes then make the answer stale."""
    if (noted := TABLES_READ.get()) is not None:
        noted.update(tables)
