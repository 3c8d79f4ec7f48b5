"""The server of web.py:  python -m tests.service.web_server PORT"""

import asyncio
import gzip
import json
import sys
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.service.web_vendor import VENDORS, Call, RefusedError


@dataclass
class SpaceState:
    """What one test has received, asked for and keeps."""

    received: list[dict[str, Any]] = field(default_factory=list)
    scripts: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    kept: dict[str, Any] = field(default_factory=dict)


SPACES: dict[str, SpaceState] = defaultdict(SpaceState)


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before it was compressed."""
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "":
            return body
    raise RefusedError(415, {"error": f"content-encoding {encoding}"})


def parsed(body: bytes) -> Any:
    """Return a body as JSON, None when it is not."""
    try:
        return json.loads(body)
    except ValueError:
        return None


async def receive(request: Request) -> Response:
    """Record a request, and answer as the service would, or as the test asked."""
    space = SPACES[request.path_params["space"]]
    vendor, path = request.path_params["vendor"], "/" + request.path_params["path"]
    call = Call(
        method=request.method,
        path=path,
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=b"",
        json=None,
        base=f"{request.base_url}{request.path_params['space']}/{vendor}",
        kept=space.kept,
    )
    record = {"vendor": vendor, "method": call.method, "path": path}
    record |= {"query": call.query, "headers": call.headers, "refused": None}
    if path != "/id-token":  # the test's own
        space.received.append(record)
    status, answer = 200, None
    try:
        encoding = request.headers.get("content-encoding", "")
        call.body = unpacked(await request.body(), encoding)
        call.json = parsed(call.body)
        if vendor not in VENDORS:
            raise RefusedError(404, {"error": f"no service {vendor}"})
        answer = VENDORS[vendor](call)
    except RefusedError as refused:
        status, answer = refused.status, refused.answer
        record["refused"] = json.dumps(answer)
    record |= {"body": call.body.decode("utf-8", "replace"), "json": call.json}
    if space.scripts[vendor]:
        script = space.scripts[vendor].pop(0)
        await asyncio.sleep(script.get("delay", 0))
        record["status"] = script.get("status", status)
        if script.get("cut"):
            return CutResponse()
        body = script.get("body", answer)
        return reply(record["status"], body, script.get("headers"))
    record["status"] = status
    return reply(status, answer, call.answer_headers)


class CutResponse(Response):
    """An answer that ends in its middle, with the connection."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", b"10")]
        start = {"type": "http.response.start", "status": 200, "headers": length}
        await send(start)
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionAbortedError


def reply(status: int, answer: Any, headers: dict[str, str] | None) -> Response:
    """Return JSON, text as it is, or a stream of the pieces of a tuple."""
    if isinstance(answer, tuple):
        return StreamingResponse(iter(answer), status, headers, "text/event-stream")
    if isinstance(answer, str):
        return Response(answer, status, headers)
    return JSONResponse(answer, status, headers)


async def control(request: Request) -> Response:
    """Answer a test about its space."""
    space = SPACES[request.path_params["space"]]
    match request.path_params["what"]:
        case "requests":
            vendor = request.query_params.get("vendor")
            found = [r for r in space.received if vendor in ("", r["vendor"])]
            return JSONResponse(found)
        case "script":
            asked = await request.json()
            space.scripts[asked["vendor"]] += asked["answers"]
        case "secrets":
            space.kept["secrets"] = (await request.json())["secrets"]
        case other:
            return JSONResponse({"error": other}, 404)
    return JSONResponse({})


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
app = Starlette(
    routes=[
        Route("/{space}/_{what}", control, methods=["GET", "POST"]),
        Route("/{space}/{vendor}/{path:path}", receive, methods=METHODS),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
