"""Sign-in services that speak OpenID Connect, each found by its issuer."""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from atom.client import SILENT, Client, Config, Live
from atom.client.http import OIDC_KEY, REFUSED, TOTAL
from atom.client.signing_key import SigningKeys
from atom.config.parse import flag, names
from atom.config.resolve import Key
from atom.errors import ApiError, Unauthenticated, Unavailable

PARENT = "client_http"
KEPT = 3600.0  # seconds that what a service publishes of itself is kept
WELL_KNOWN = "/.well-known/openid-configuration"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
GOOGLE = "https://accounts.google.com"
FIELDS = ("issuer", "client_id", "client_secret", "redirect_uri", "scope")
OPTIONAL = {"client_secret": "", "scope": "openid email profile"}


def provided(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Parse `config_oidc`: a dict of each service, by the name you give it, or JSON.

    >>> found = provided({"google": {"client_id": "x", "redirect_uri": "https://a.b"}})
    >>> found["google"]["issuer"], found["google"]["redirect_uri"]
    ('https://accounts.google.com', ('https://a.b',))
    """
    if isinstance(value, str):
        value = json.loads(value or "{}")
    if not isinstance(value, Mapping):
        raise ValueError("expected a dict of services")
    return {str(name): _service(str(name), one) for name, one in value.items()}


def _service(name: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: expected a dict")
    known = {*FIELDS, "is_email_trusted"}
    if unknown := set(given) - known:
        raise ValueError(f"{name}: no key {min(unknown)!r}; it has {', '.join(FIELDS)}")
    preset = {"issuer": GOOGLE} if name == "google" else {}
    found = {**OPTIONAL, **preset, **given}
    for each in FIELDS:
        if each != "client_secret" and not found.get(each):
            raise ValueError(f"{name}: {each} is missing")
    found["redirect_uri"] = names(found["redirect_uri"])
    found["is_email_trusted"] = flag(given.get("is_email_trusted", False))
    for url in (found["issuer"], *found["redirect_uri"]):
        if not _is_safe(url):
            raise ValueError(f"{name}: expected an https:// address, not {url!r}")
    if "openid" not in found["scope"].split():
        raise ValueError(f"{name}: scope must have openid")
    return found


def _is_safe(url: Any) -> bool:
    """Return whether what is sent there is read by no one else.

    >>> _is_safe("https://a.b/c"), _is_safe("http://127.0.0.1:1"), _is_safe("http://a.b")
    (True, True, False)
    """
    if not isinstance(url, str):
        return False
    found = urlsplit(url)
    local = found.hostname in ("127.0.0.1", "::1", "localhost")
    return bool(found.hostname) and found.scheme in ("https", "http")[: 1 + local]


@dataclass
class Provider:
    """One service: what it publishes of itself, and what config has for it."""

    http: Any
    name: str
    config: Mapping[str, Any]
    keys: SigningKeys | None = None
    _metadata: dict[str, Any] = field(default_factory=dict)
    _read_at: float = -KEPT
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def metadata(self) -> dict[str, Any]:
        """Return what the service publishes. Source: OpenID Connect Discovery 1.0.

        Raises:
            Unavailable: `client.silent` when it cannot be read, or is not the issuer's.
        """
        async with self._lock:
            if time.monotonic() - self._read_at > KEPT:
                await self._discover()
        return self._metadata

    async def _discover(self) -> None:
        issuer = self.config["issuer"]
        found = await self._ask("GET", issuer.rstrip("/") + WELL_KNOWN)
        if found.get("issuer") != issuer:
            raise self._silent(f"it calls itself {found.get('issuer')!r}")
        if wrong := [each for each in ENDPOINTS if not _is_safe(found.get(each))]:
            raise self._silent(f"{wrong[0]} is not an https:// address")
        if self.keys is None or found["jwks_uri"] != self._metadata.get("jwks_uri"):
            self.keys = SigningKeys(self.http, found["jwks_uri"], self.name, OIDC_KEY)
        self._metadata, self._read_at = found, time.monotonic()

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> str:
        """Exchange a code for an ID token. Source: RFC 6749 section 4.1.3, RFC 7636.

        Raises:
            Unauthenticated: `oidc.invalid` when the service refuses the code.
            ApiError: `client.refused` when it refuses this client.
            Unavailable: `client.silent` without an answer.
        """
        found = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self.config["client_id"],
        }
        headers = {}
        if secret := self.config["client_secret"]:
            ways = found.get("token_endpoint_auth_methods_supported")
            if ways is None or "client_secret_basic" in ways:
                pair = f"{quote(self.config['client_id'], '')}:{quote(secret, '')}"
                mark = base64.b64encode(pair.encode()).decode()
                headers["Authorization"] = f"Basic {mark}"
            else:
                form["client_secret"] = secret
        url = found["token_endpoint"]
        answer = await self._ask("POST", url, data=form, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise self._silent("it answers without an id_token")
        return token

    async def _ask(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        from httpx2 import HTTPError

        try:
            async with asyncio.timeout(TOTAL):
                answer = await self.http.request(method, url, **more)
            found = answer.json()
        except (HTTPError, TimeoutError, OSError, ValueError) as error:
            raise self._silent(type(error).__name__) from error
        found = found if isinstance(found, dict) else {}
        if answer.status_code == 200:
            return found
        if found.get("error") == "invalid_client" or answer.status_code in (401, 403):
            raise ApiError(
                f"{self.name} does not accept this client.",
                code=REFUSED,
                status=502,
                hint=f"Check client_id and client_secret in {OIDC_KEY}.",
            )
        if method == "POST" and answer.status_code == 400:
            raise invalid()
        raise self._silent(str(answer.status_code))

    def _silent(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self.name} cannot be asked ({why}).",
            code=SILENT,
            hint=f"Check issuer in {OIDC_KEY} and the way to it.",
            seconds=5,
        )


def invalid() -> Unauthenticated:
    """Return the error of a sign-in that failed. Deliberately without the reason."""
    return Unauthenticated(
        "sign-in invalid",
        code="oidc.invalid",
        hint="Begin again with /auth/oidc-begin.",
    )


async def use(config: Config, live: Live) -> Mapping[str, Provider]:
    """Return the services; each is asked about itself for the first login."""
    http, known = live[PARENT], config[OIDC_KEY]
    return {name: Provider(http, name, one) for name, one in known.items()}


async def examine(providers: Mapping[str, Provider]) -> str:
    """Read what each service publishes, and its keys."""
    for each in providers.values():
        await each.metadata()
        assert each.keys is not None
        await each.keys.read()
    return ""


OIDC = Client(
    name="client_oidc",
    needs=(OIDC_KEY,),
    package="cryptography==50.0.2",
    keys=(
        Key(
            OIDC_KEY,
            provided,
            {},
            "Sign-in services by name: dicts with issuer (not for `google`), client_id,"
            " client_secret, redirect_uri (pages of yours), scope, is_email_trusted.",
            secret=True,
        ),
    ),
    open=use,
    examine=examine,
    after=PARENT,
)
