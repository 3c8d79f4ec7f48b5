"""gzip for answers above 1 kB, where the client accepts it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Send

LEAST_BYTES = 1024  # below that the headers outweigh the gain
THREAD_BYTES = 65_536  # from here on compressing would hold up other requests
LEVEL = 4
GZIP = 16 + zlib.MAX_WBITS
TEXTUAL = re.compile(
    rb"text/(?!event-stream)|application/(?:[\w.-]+\+)?(?:json|xml|javascript|x-ndjson"
    rb"|jsonl|x-jsonlines|yaml|wasm)\b|image/svg\+xml",
    re.IGNORECASE,
)
OFFER = re.compile(r"\s*(gzip|\*)\s*(?:;\s*q=\s*([01](?:\.\d{0,3})?)\s*)?", re.I)


def accepts_gzip(header: bytes) -> bool:
    """Return True if an Accept-Encoding header allows gzip.

    Source: RFC 9110 section 12.5.3.

    >>> [accepts_gzip(each) for each in (b"br, gzip;q=0.5", b"gzip;q=0, *", b"*")]
    [True, False, True]
    """
    weights = {
        found[1].lower(): float(found[2] or 1)
        for part in header.decode("latin-1").split(",")
        if (found := OFFER.fullmatch(part)) is not None
    }
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def packed(body: bytes) -> bytes:
    """Return a body compressed."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return packer.compress(body) + packer.flush()


class PackedOnce:
    """Compressed forms of answers that are kept in a cache, bounded in bytes."""

    def __init__(self, bytes_max: int = 16 * 1024 * 1024) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    async def of(self, body: bytes) -> bytes:
        """Return the compressed form of a body, made once."""
        if (known := self._kept.get(body)) is not None:
            self._kept.move_to_end(body)
            return known
        made = await _packed_soon(body)
        if body not in self._kept:
            self._kept[body] = made
            self._bytes += len(body) + len(made)
        while self._bytes > self._bytes_max:
            oldest, small = self._kept.popitem(last=False)
            self._bytes -= len(oldest) + len(small)
        return made


PACKED = PackedOnce()


async def _packed_soon(body: bytes) -> bytes:
    if len(body) < THREAD_BYTES:
        return packed(body)
    return await asyncio.to_thread(packed, body)


class Compressing:
    """Compresses one response on its way out; `is_kept` may change until it begins."""

    __slots__ = ("_packer", "_send", "_start", "is_kept")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None  # held until the size of the body is known
        self._packer: zlib._Compress | None = None
        self.is_kept = False

    async def __call__(self, message: Message) -> None:
        """Pass on one ASGI message."""
        if message["type"] == "http.response.start":
            if _is_worth(message):
                self._start = message
                return
        elif message["type"] == "http.response.body":
            if self._start is not None:
                return await self._begin(self._start, message)
            if self._packer is not None:
                return await self._go_on(self._packer, message)
        await self._send(message)

    async def _begin(self, start: Message, message: Message) -> None:
        self._start = None
        body = message.get("body", b"")
        if message.get("more_body", False):
            _mark(start, None)
            self._packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
            await self._send(start)
            return await self._go_on(self._packer, message)
        if len(body) >= LEAST_BYTES:
            pack = PACKED.of if self.is_kept else _packed_soon
            body = await pack(bytes(body))
            _mark(start, len(body))
            message = {**message, "body": body}
        await self._send(start)
        await self._send(message)

    async def _go_on(self, packer: zlib._Compress, message: Message) -> None:
        """Compress one part of a stream, and send it at once."""
        part, more = message.get("body", b""), message.get("more_body", False)
        made = packer.compress(part) if part else b""
        made += packer.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)
        await self._send({**message, "body": made})


def _is_worth(message: Message) -> bool:
    """Whether an answer may be compressed, and is of a kind that gains by it."""
    if message["status"] in {204, 206, 304}:
        return False
    headers = dict(message["headers"])
    if b"content-encoding" in headers or b"content-range" in headers:
        return False
    if b"no-transform" in headers.get(b"cache-control", b""):
        return False
    if int(headers.get(b"content-length", LEAST_BYTES)) < LEAST_BYTES:
        return False
    return TEXTUAL.match(headers.get(b"content-type", b"")) is not None


def _mark(start: Message, length: int | None) -> None:
    """Make the headers true of the compressed body; its ETag is weak."""
    headers = []
    for name, value in start["headers"]:
        if name == b"content-length":
            continue
        weak = name == b"etag" and not value.startswith(b"W/")
        headers.append((name, b"W/" + value if weak else value))
    headers.append((b"content-encoding", b"gzip"))
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    start["headers"] = headers
