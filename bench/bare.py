"""The floor: an ASGI callable of three lines on the same uvicorn, without a framework.

It answers what `GET /` of Atom answers, to any path, with two headers.
"""

import os

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

FRONT = {"status": "ok", "name": "atom", "version": "0.1.0", "env": "development"}
BODY = orjson.dumps(FRONT)
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer."""
    start = {"type": "http.response.start", "status": 200, "headers": HEADERS}
    await send(start)
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["config_port"]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
