"""A client that sends exactly the bytes it is given: many requests, few connections."""

import asyncio
import time
from dataclasses import dataclass

SECONDS_MAX = 60.0  # for one answer, on the slowest machine


@dataclass(frozen=True)
class Heard:
    """An answer as it came."""

    status: int
    kind: str  # its content type
    body: bytes
    seconds: float


def written(case, token):
    """Write a request; a body in pieces when the case says so."""
    head = [f"{case.method} {case.target} HTTP/1.1", "Host: fuzz", *case.headers]
    if token:
        head.append(f"Authorization: Bearer {token}")
    body = case.body or b""
    if case.chunked:
        head.append("Transfer-Encoding: chunked")
        pieces = [body[n : n + 7] for n in range(0, min(len(body), 70), 7)]
        pieces += [body[70:]] if body[70:] else []
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        body += b"0\r\n\r\n"
    elif case.body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


async def heard(reader, method):
    """Read one answer.

    Raises:
        ConnectionError: when the server hung up before the end of it.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    status, body = int(first.split(" ")[1]), b""
    if method != "HEAD":
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
    closes = fields.get("connection", "").lower() == "close"
    return status, fields.get("content-type", ""), body, closes


class Line:
    """One connection that is kept, and made anew when the server ends it."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def ask(self, case, token):
        """Send a request and wait for its answer."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.port, limit=2**24
            )
        begun = time.monotonic()
        self.writer.write(written(case, token))
        async with asyncio.timeout(SECONDS_MAX):
            status, kind, body, closes = await heard(self.reader, case.method)
        if closes:
            self.close()
        return Heard(status, kind, body, time.monotonic() - begun)

    def close(self):
        """End the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None
