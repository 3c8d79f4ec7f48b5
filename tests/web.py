"""HTTP services on loopback that check what the real ones would, for real clients."""

import base64
import gzip
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KEY = "key-0123456789"
Answer = tuple[int, Any]


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        """The body, as the object it holds."""
        return json.loads(self.body)

    @property
    def bearer(self) -> str:
        """The key in the Authorization header."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Web:
    """A running stand-in; `answer` may be replaced, `asked` is what came."""

    url: str
    answer: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)

    def wait(self, count: int, seconds: float = 10.0) -> list[Asked]:
        """Return what came, once there are so many."""
        deadline = time.monotonic() + seconds
        while len(self.asked) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.asked


class Server(ThreadingHTTPServer):
    """A server that many may call at once; the library's own refuses the sixth."""

    request_queue_size = 128


@contextmanager
def web(answer: Callable[[Asked], Answer]) -> Iterator[Web]:
    """Answer on a free port until the block ends.

    A list of bytes is sent as server-sent events, each as it is.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # a client that went away
                self.close_connection = True

        def respond(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(size)
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, body)
            found.asked.append(asked)
            status, content = found.answer(asked)
            self.send_response(status)
            if isinstance(content, list):
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                for piece in content:
                    self.wfile.write(piece)
                    self.wfile.flush()
                self.close_connection = True
                return
            sent = b"" if self.command == "HEAD" else json.dumps(content).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = respond

        def log_message(self, *words: Any) -> None:
            return

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Web(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resend(asked: Asked) -> Answer:
    """Answer as api.resend.com/emails does."""
    if asked.method == "HEAD":
        return 405, {}
    if asked.bearer != KEY:
        return 401, {"name": "invalid_api_key", "message": "API key is invalid"}
    mail = asked.json
    for name in ("from", "to", "subject"):
        if not mail.get(name):
            return 422, {"name": "missing", "message": f"Missing `{name}` field."}
    if not (mail.get("html") or mail.get("text")):
        return 422, {"name": "missing", "message": "Missing `html` or `text` field."}
    return 200, {"id": str(uuid.uuid4())}


def fast2sms(asked: Asked) -> Answer:
    """Answer as fast2sms.com/dev/bulkV2 does: refusals with 200 as well."""
    if asked.method == "HEAD":
        return 200, {}
    if asked.headers.get("authorization") != KEY:
        text = "Invalid Authentication, Check Authorization Key"
        return 401, {"return": False, "status_code": 412, "message": text}
    body = asked.json
    number = body.get("numbers", "")
    if not (number.isdigit() and len(number) == 10):
        return 200, {"return": False, "status_code": 411, "message": "Invalid Numbers"}
    if body.get("route") != "otp" or not str(body.get("variables_values")).isdigit():
        return 200, {"return": False, "status_code": 406, "message": "Invalid Values"}
    return 200, {"return": True, "request_id": "lwdtp7cjyqxvfe9", "message": ["Sent."]}


def openai(asked: Asked) -> Answer:
    """Answer as the API of OpenAI does: it repeats what it was asked."""
    path = urlsplit(asked.path).path
    if asked.bearer != KEY:
        fault = {"message": f"Incorrect API key: {asked.bearer}", "type": "invalid"}
        return 401, {"error": fault}
    if path.startswith("/models/"):
        name = path.removeprefix("/models/")
        if name == "none":
            return 404, {"error": {"message": "no such model"}}
        return 200, {"id": name, "object": "model", "created": 1, "owned_by": "x"}
    if path != "/chat/completions":
        return 404, {"error": {"message": "no such path"}}
    content = asked.json["messages"][-1]["content"]
    words = content if isinstance(content, str) else said(content)
    if not asked.json.get("stream"):
        message = {"role": "assistant", "content": words}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return 200, reply("chat.completion", [choice])
    pieces = [
        reply("chat.completion.chunk", [{"index": 0, "delta": {"content": word}}])
        for word in words.split(" ")
    ]
    lines = [f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces]
    return 200, [*lines, b"data: [DONE]\n\n"]


def reply(kind: str, choices: list[Any]) -> dict[str, Any]:
    """Return an answer of OpenAI, whole or a piece."""
    head = {"id": "x", "object": kind, "created": 1, "model": "m"}
    return {**head, "choices": choices}


def said(parts: list[Any]) -> str:
    """Return the parts of a message as text: their types, and where a file begins."""
    words = []
    for part in parts:
        if part["type"] == "text":
            words.append(part["text"])
        elif part["type"] == "image_url":
            words.append(part["image_url"]["url"][:32])
        else:
            words.append(part["file"]["file_data"][:32])
    return " ".join(words)


def posthog(asked: Asked) -> Answer:
    """Answer as PostHog does: it takes in a batch."""
    if asked.method == "HEAD":
        return 200, {}
    if asked.json.get("api_key") != KEY:
        return 401, {"type": "authentication_error", "detail": "Invalid key"}
    return 200, {"status": 1}


def google(asked: Asked) -> Answer:
    """Answer with a public key, as Google does."""
    number = (2**2047 + 1).to_bytes(256)
    part = base64.urlsafe_b64encode(number).rstrip(b"=").decode()
    key = {"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "e": "AQAB"}
    return 200, {"keys": [{**key, "n": part}]}


def sentry(asked: Asked) -> Answer:
    """Answer as the ingestion of Sentry does: envelopes, with the key of the DSN."""
    if f"sentry_key={KEY}" not in asked.headers.get("x-sentry-auth", ""):
        return 403, {"detail": "bad sentry key"}
    head = asked.body.partition(b"\n")[0]
    return 200, {"id": json.loads(head).get("event_id", "")}


def envelopes(found: Web, kind: str) -> list[dict[str, Any]]:
    """Return what came to Sentry of one kind: event, transaction."""
    items = []
    for asked in found.asked:
        lines = asked.body.split(b"\n")
        for head, item in zip(lines[1::2], lines[2::2], strict=False):
            if head and json.loads(head).get("type") == kind:
                items.append(json.loads(item))
    return items


def refusing(status: int) -> Callable[[Asked], Answer]:
    """Return a service that refuses everything."""
    return lambda asked: (status, {"message": f"refused with {status}, {KEY}"})
