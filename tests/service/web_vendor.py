"""What each service that is stood in for refuses, and what it answers."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import struct
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAIL = re.compile(r"^(?:[^<>]*<)?[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+>?$")


@dataclass
class Call:
    """One request to a service; `kept` lasts as long as the test's space."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    json: Any
    base: str
    kept: dict[str, Any]
    answer_headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The service answers with an error."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(status, answer)
        self.status, self.answer = status, answer


def is_json(call: Call) -> bool:
    """Whether a request has a JSON object, and is labelled so."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip()
    return kind == "application/json" and isinstance(call.json, dict)


def bearer(call: Call) -> str:
    """Return the token of a request, "" without one."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


# OpenAI


def openai(call: Call) -> Any:
    """Answer chat, responses, embeddings and models."""

    def refuse(status: int, message: str, code: str | None = None) -> RefusedError:
        error = {"message": message, "type": "invalid_request_error"}
        return RefusedError(status, {"error": {**error, "param": None, "code": code}})

    if not bearer(call):
        raise refuse(401, "You didn't provide an API key.", "invalid_api_key")
    if call.path == "/v1/models":
        return {"object": "list", "data": [{"id": "gpt-5-mini", "object": "model"}]}
    answers = {
        "/v1/chat/completions": ("messages", chat),
        "/v1/responses": ("input", respond),
        "/v1/embeddings": ("input", embed),
    }
    if call.path not in answers or call.method != "POST":
        raise refuse(404, f"Invalid URL ({call.method} {call.path})")
    if not is_json(call):
        raise refuse(400, "We could not parse the JSON body of your request.")
    needed, answer = answers[call.path]
    for name in ("model", needed):
        if not call.json.get(name):
            raise refuse(400, f"Missing required parameter: '{name}'.")
    return answer(call.json)


def events(items: list[tuple[str | None, Any]]) -> tuple[str, ...]:
    """Return server-sent events: a name, if any, and data."""
    lines = []
    for name, data in items:
        text = data if isinstance(data, str) else json.dumps(data)
        lines.append((f"event: {name}\n" if name else "") + f"data: {text}\n\n")
    return tuple(lines)


def chat(asked: dict[str, Any]) -> Any:
    """Answer "hello", in two pieces when a stream is asked for."""
    head = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
    if asked.get("stream"):
        pieces = [({"role": "assistant", "content": "he"}, None)]
        pieces += [({"content": "llo"}, None), ({}, "stop")]
        chunks = [
            {
                **head,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            }
            for delta, reason in pieces
        ]
        return events([(None, chunk) for chunk in chunks] + [(None, "[DONE]")])
    message = {"role": "assistant", "content": "hello"}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def respond(asked: dict[str, Any]) -> Any:
    """Answer "hello", in two pieces when a stream is asked for."""
    text = {"type": "output_text", "text": "hello", "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant"}
    counts = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    counts["input_tokens_details"] = {"cached_tokens": 0}
    counts["output_tokens_details"] = {"reasoning_tokens": 0}
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": asked["model"],
        "status": "completed",
        "output": [{**message, "status": "completed", "content": [text]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": counts,
    }
    if not asked.get("stream"):
        return whole
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    delta = "response.output_text.delta"
    listed: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "output": []}},
        {"type": delta, "delta": "he", **place},
        {"type": delta, "delta": "llo", **place},
        {"type": "response.completed", "response": whole},
    ]
    numbered = [{**one, "sequence_number": n} for n, one in enumerate(listed)]
    return events([(one["type"], one) for one in numbered])


def embed(asked: dict[str, Any]) -> Any:
    """Answer two numbers for each input."""
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vector: Any = [0.25, 0.5]
    if asked.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    return {
        "object": "list",
        "model": asked["model"],
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, _ in enumerate(inputs)
        ],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


# PostHog and Sentry


def posthog(call: Call) -> Any:
    """Take batches of events; answer that no flag is on."""
    if call.method != "POST" or not isinstance(call.json, dict):
        raise RefusedError(400, {"type": "validation_error", "code": "invalid_payload"})
    if not (call.json.get("api_key") or call.json.get("token")):
        error = {"type": "authentication_error", "code": "missing_api_key"}
        raise RefusedError(401, error)
    path = call.path.rstrip("/")
    if path in {"/flags", "/decide"}:
        if not call.json.get("distinct_id"):
            raise RefusedError(400, {"code": "missing_distinct_id"})
        return {"flags": {}, "featureFlags": {}, "errorsWhileComputingFlags": False}
    if path not in {"/batch", "/capture", "/i/v0/e"}:
        raise RefusedError(404, {"detail": "Endpoint not found."})
    for event in call.json.get("batch", [call.json]):
        named = event.get("distinct_id") or event.get("properties", {}).get(
            "distinct_id"
        )
        if not (event.get("event") and named):
            raise RefusedError(400, {"code": "missing_event_or_distinct_id"})
    return {"status": 1}


def sentry(call: Call) -> Any:
    """Take envelopes; their items become the request's `json`."""
    if not re.fullmatch(r"/api/\d+/envelope/", call.path):
        raise RefusedError(404, {"detail": "not found"})
    sign = call.headers.get("x-sentry-auth", "")
    if "sentry_key=public" not in sign and call.query.get("sentry_key") != "public":
        raise RefusedError(403, {"detail": "missing authorization information"})
    try:
        head, _, rest = call.body.partition(b"\n")
        items, header = [], json.loads(head)
        while rest.strip():
            line, _, rest = rest.partition(b"\n")
            item = json.loads(line)
            length = item.get("length", len(rest.partition(b"\n")[0]))
            payload, rest = rest[:length], rest[length + 1 :]
            items.append({**item, "payload": json.loads(payload)})
    except ValueError:
        raise RefusedError(400, {"detail": "invalid envelope"}) from None
    call.json = items
    return {"id": header.get("event_id", "")}


# Fast2SMS and Resend


def fast2sms(call: Call) -> Any:
    """Take text messages to Indian numbers."""

    def refuse(status: int, code: int, message: str) -> RefusedError:
        answer = {"return": False, "status_code": code, "message": message}
        return RefusedError(status, answer)

    if call.path != "/dev/bulkV2":
        raise refuse(404, 404, "not found")
    sent = call.json if isinstance(call.json, dict) else call.query
    if not is_json(call) and call.method == "POST":
        sent = dict(urllib.parse.parse_qsl(call.body.decode()))
    if not (call.headers.get("authorization") or call.query.get("authorization")):
        raise refuse(401, 412, "Invalid Authentication, Check Authorization Key")
    wanted = {"otp": "variables_values", "q": "message", "dlt": "message"}
    if sent.get("route") not in wanted:
        raise refuse(400, 405, "Invalid Route, Route must be otp, q or dlt")
    if not sent.get(wanted[sent["route"]]):
        raise refuse(400, 406, f"{wanted[sent['route']]} is required")
    numbers = str(sent.get("numbers", "")).split(",")
    if not all(re.fullmatch(r"[6-9]\d{9}", number) for number in numbers):
        raise refuse(400, 411, "Invalid Numbers")
    answer = {"return": True, "request_id": uuid.uuid4().hex}
    return {**answer, "message": ["SMS sent successfully."]}


def resend(call: Call) -> Any:
    """Take mails, one or a batch; a repeated idempotency key sends no second one."""

    def refuse(status: int, name: str, message: str) -> RefusedError:
        answer = {"statusCode": status, "name": name, "message": message}
        return RefusedError(status, answer)

    if not call.headers.get("user-agent"):
        raise refuse(403, "missing_user_agent", "error code: 1010")
    if not bearer(call):
        raise refuse(401, "missing_api_key", "Missing API key in the header")
    if call.method == "GET" and call.path in {"/domains", "/api-keys"}:
        return {"object": "list", "data": []}
    if call.method != "POST" or call.path not in {"/emails", "/emails/batch"}:
        raise refuse(405, "method_not_allowed", "Method is not allowed")
    mails = call.json if call.path == "/emails/batch" else [call.json]
    if not isinstance(mails, list) or not all(isinstance(one, dict) for one in mails):
        raise refuse(422, "validation_error", "The body is not JSON")
    for mail in mails:
        for name in ("from", "to", "subject"):
            if not mail.get(name):
                raise refuse(422, "missing_required_field", f"Missing `{name}` field.")
        if not (mail.get("html") or mail.get("text")):
            raise refuse(422, "missing_required_field", "Missing `html` or `text`.")
        to = mail["to"] if isinstance(mail["to"], list) else [mail["to"]]
        if len(to) > 50 or not all(MAIL.match(str(one)) for one in to + [mail["from"]]):
            raise refuse(422, "validation_error", "Invalid `to` or `from` field.")
    ids = [{"id": str(uuid.uuid4())} for _ in mails]
    answer = ids[0] if call.path == "/emails" else {"data": ids}
    if key := call.headers.get("idempotency-key"):
        first, body = call.kept.setdefault(f"resend {key}", (answer, call.json))
        if body != call.json:
            raise refuse(409, "invalid_idempotent_request", "The payload differs")
        return first
    return answer


# Google


def google(call: Call) -> Any:
    """Publish certificates and keys, and sign tokens with them."""
    import jwt

    key, certificate = google_key(call.kept)
    match call.path:
        case "/oauth2/v1/certs":
            call.answer_headers["cache-control"] = "public, max-age=3600"
            return {"k1": certificate}
        case "/oauth2/v3/certs":
            call.answer_headers["cache-control"] = "public, max-age=3600"
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            return {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}
        case "/id-token":
            return {"id_token": id_token(key, call.query)}
        case "/token":
            sent = dict(urllib.parse.parse_qsl(call.body.decode()))
            if sent.get("grant_type") != "authorization_code" or not sent.get("code"):
                raise RefusedError(400, {"error": "invalid_grant"})
            claims = {"aud": sent.get("client_id", "")}
            answer = {"access_token": "at", "token_type": "Bearer", "expires_in": 3599}
            return {**answer, "id_token": id_token(key, claims)}
    raise RefusedError(404, {"error": "not_found"})


def id_token(key: Any, asked: dict[str, str]) -> str:
    """Return an ID token with claims as asked for."""
    import jwt

    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "https://accounts.google.com",
        "aud": "client",
        "sub": "1",
        "email": "ada@example.com",
        "email_verified": True,
        "iat": now,
        **asked,
    }
    claims["exp"] = now + int(asked.get("exp", 300))
    claims["iat"] = min(now, claims["exp"] - 1)
    claims["email_verified"] = str(claims["email_verified"]).lower() == "true"
    return jwt.encode(claims, key, "RS256", headers={"kid": asked.get("kid", "k1")})


def google_key(kept: dict[str, Any]) -> tuple[Any, str]:
    """Return a space's private key, and the certificate of its public one."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    if "google" not in kept:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .sign(key, hashes.SHA256())
        )
        pem = made.public_bytes(serialization.Encoding.PEM).decode()
        kept["google"] = key, pem
    return kept["google"]


# Webhooks


def hook(call: Call) -> Any:
    """Take a webhook; once there are secrets, check it as Standard Webhooks has it."""
    if call.method != "POST":
        raise RefusedError(405, {"error": "POST only"})
    if keys := call.kept.get("secrets"):
        identity = call.headers.get("webhook-id", "")
        moment = call.headers.get("webhook-timestamp", "")
        if not identity or not moment.isdigit():
            raise RefusedError(400, {"error": "webhook-id or webhook-timestamp"})
        if abs(time.time() - int(moment)) > 300:
            raise RefusedError(400, {"error": "webhook-timestamp is too old or new"})
        signed = f"{identity}.{moment}.".encode() + call.body
        given = call.headers.get("webhook-signature", "").split(" ")
        if not any(signature(key, signed) in given for key in keys):
            raise RefusedError(401, {"error": "no signature is valid"})
    return {}


def signature(secret: str, signed: bytes) -> str:
    """Return the signature of a message, version 1."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise RefusedError(500, {"error": "a secret is not base64"}) from None
    made = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(made).decode()


VENDORS: dict[str, Callable[[Call], Any]] = {
    "openai": openai,
    "posthog": posthog,
    "sentry": sentry,
    "fast2sms": fast2sms,
    "resend": resend,
    "google": google,
    "hook": hook,
}
