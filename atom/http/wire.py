"""Writes a whole answer to a connection of uvicorn at once.

The same bytes as by two ASGI messages: there uvicorn examines every header of every
answer again, which takes longer than an answer from the cache does.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

KNOWN = version("uvicorn").startswith("0.54.")  # others get the two messages
REQUEST_ID = b"x-request-id"  # a value of its own each time, and checked before
NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")  # as uvicorn has it
HEEDED = {b"connection", b"transfer-encoding"}  # by uvicorn, for what comes next


@lru_cache(maxsize=4096)
def line(header: tuple[bytes, bytes]) -> bytes:
    """Return a header as it is sent; nothing for one that uvicorn has to see.

    >>> line((b"X-Cache", b"hit")), line((b"location", b"/\\r\\nset-cookie: a=1"))
    (b'x-cache: hit\\r\\n', b'')
    """
    name, value = header[0].lower(), header[1]
    if name in HEEDED or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
        return b""
    return b"%b: %b\r\n" % (name, value)


def write_whole(
    send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Write an answer, if `send` is uvicorn's own. Return False if it is not written.

    A slow or closed connection, and whatever else is out of the ordinary, is left to
    uvicorn.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not KNOWN:
        return False
    if (
        cycle.response_started
        or cycle.disconnected
        or cycle.access_log
        or not cycle.keep_alive
        or cycle.flow.write_paused
        or (b"content-length", b"%d" % len(body)) not in headers
    ):
        return False
    parts = [STATUS_LINE[status]]
    for header in (*cycle.default_headers, *headers):
        part = b"%b: %b\r\n" % header if header[0] is REQUEST_ID else line(header)
        if not part:
            return False
        parts.append(part)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = cycle.chunked_encoding = False
    cycle.transport.write(b"".join((*parts, b"\r\n", body)))
    cycle.message_event.set()
    cycle.on_response()
    return True
