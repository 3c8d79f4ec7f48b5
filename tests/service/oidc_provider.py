"""A sign-in service on loopback that checks what a real one would: code and PKCE."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

CLIENT, SECRET = "shop client", "s3cret:/+ of the shop"


class OidcProvider:
    """What the service knows. `claims` are put into each ID token, over its own."""

    def __init__(self) -> None:
        self.url = ""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, object] = {}
        self.metadata: dict[str, object] = {}
        self.asked: list[str] = []
        self.signs = self.key

    def published(self) -> dict[str, object]:
        """Return what the service publishes of itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=1",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **self.metadata,
        }

    def sign_in(self, url: str, subject: str) -> dict[str, str]:
        """Let a person sign in. Return what the browser is sent back with."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(f"{self.url}/authorize?tenant=1&")
        assert "code" == asked["response_type"] and CLIENT == asked["client_id"]
        assert "S256" == asked["code_challenge_method"]
        assert len(asked["state"]) >= 32 and len(asked["nonce"]) >= 32
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "sub": subject}
        return {"code": code, "state": asked["state"]}

    def token(self, form: dict[str, str], header: str) -> tuple[int, dict[str, str]]:
        """Exchange a code, once."""
        kind, _, mark = header.partition(" ")
        pair = base64.b64decode(mark).decode().split(":") if kind == "Basic" else ()
        if [unquote(each) for each in pair] != [CLIENT, SECRET]:
            return 401, {"error": "invalid_client"}
        begun = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            begun is None
            or form["grant_type"] != "authorization_code"
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != form.get("redirect_uri")
        ):
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": begun["sub"],
            "nonce": begun["nonce"],
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        made = jwt.encode(claims, self.signs, "ES256", {"kid": "k1"})
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": made}

    def keys(self) -> dict[str, object]:
        """Return the public key of the service."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": "k1", "use": "sig", "alg": "ES256"}]}


class Server(ThreadingHTTPServer):
    """A server that many may call at once; the library's own refuses the sixth."""

    request_queue_size = 128


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """Run the service for the block."""
    provider = OidcProvider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            provider.asked.append(self.path)
            if self.path == "/.well-known/openid-configuration":
                self.answer(200, provider.published())
            elif self.path == "/keys":
                self.answer(200, provider.keys())
            else:
                self.answer(404, {})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            header = self.headers.get("authorization", "")
            self.answer(*provider.token(form, header))

        def answer(self, status: int, body: object) -> None:
            sent = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    server = Server(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
