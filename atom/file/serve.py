"""A local file as an answer: streamed, in part where one range is asked for."""

import asyncio
import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CHUNK = 256 * 1024
INLINE = frozenset({"gif", "jpeg", "jpg", "pdf", "png", "webp"})
RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
SAFE = {  # next to what every answer has: nosniff, no frame, no referrer
    "content-security-policy": "sandbox; default-src 'none'",
    "accept-ranges": "bytes",
}


def disposition(name: str, extension: str) -> str:
    """Return the Content-Disposition of a file: shown only where it runs nothing.

    >>> disposition("ä.png", "png")
    "inline; filename*=UTF-8''%C3%A4.png"
    """
    kind = "inline" if extension in INLINE else "attachment"
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"


def asked_range(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte of a range and the one after its last; None: the whole.

    What is not one range of bytes is answered whole. An empty range is not satisfiable.

    Source: RFC 9110 section 14.2.

    >>> asked_range("bytes=0-1", 9), asked_range("bytes=-2", 9), asked_range("x", 9)
    ((0, 2), (7, 9), None)
    """
    found = RANGE.fullmatch(header.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    return first, max(first, last + 1)


class LocalFile(Response):
    """An open file; it is closed when it was sent."""

    def __init__(self, number: int, media_type: str, headers: Mapping[str, str]):
        self.number = number
        self.kind = media_type
        self.given = headers
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(Headers(scope=scope), scope["method"] == "HEAD", send)
        finally:
            os.close(self.number)

    async def _answer(self, asked: Headers, is_head: bool, send: Send) -> None:
        about = os.fstat(self.number)
        size, etag = about.st_size, f'"{about.st_size:x}-{about.st_mtime_ns:x}"'
        headers = {**SAFE, **self.given, "etag": etag}
        known = [tag.strip() for tag in asked.get("if-none-match", "").split(",")]
        if "*" in known or etag in [tag.removeprefix("W/") for tag in known]:
            return await _send(send, 304, headers)
        headers["content-type"] = self.kind
        first, end, status = 0, size, 200
        part = asked_range(asked.get("range", ""), size)
        if part is not None and asked.get("if-range", etag) == etag:
            first, end = part
            if first >= end:
                headers["content-range"] = f"bytes */{size}"
                return await _send(send, 416, headers | {"content-length": "0"})
            status = 206
            headers["content-range"] = f"bytes {first}-{end - 1}/{size}"
        headers["content-length"] = str(end - first)
        if is_head:
            return await _send(send, status, headers)
        await _send(send, status, headers, more=True)
        while first < end:
            count = min(CHUNK, end - first)
            data = await asyncio.to_thread(os.pread, self.number, count, first)
            if not data:
                raise OSError("a file has become shorter while it was sent")
            first += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(
    send: Send, status: int, headers: Mapping[str, str], *, more: bool = False
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if not more:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
