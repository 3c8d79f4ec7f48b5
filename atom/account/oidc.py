"""Logging in by any service that speaks OpenID Connect: authorization code and PKCE.

What a sign-in was begun with is signed, and kept by the browser that began it: state,
nonce and verifier. A user is found by issuer and subject, never by an address.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt

from atom.account import id_token, session
from atom.account.google import verified_address
from atom.account.login import FOUND
from atom.account.mfa import Entry, enter
from atom.account.otp_login import require_nothing_else
from atom.account.session import Person
from atom.account.signup import create_user, let_in, require_open
from atom.account.token import signing_keys
from atom.client import needed
from atom.client.oidc import OIDC, Provider, invalid
from atom.errors import ApiError, Conflict, nearest
from atom.port import Ports

ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA")
SIGNED_WITH = "HS256"
KIND = "oidc"  # of the token that holds what a sign-in was begun with
SECONDS = 600
REQUIRED = ["exp", "type", "sub", "state", "nonce", "verifier", "redirect_uri"]
OF_SUBJECT = """
where u.id = (select user_id from atom.identity
              where issuer = $1 and subject = $2 and type = $4)
"""
KNOWN = FOUND + OF_SUBJECT
# An address that was not proven here could be a stranger's claim to it.
BIND = """
insert into atom.identity (issuer, subject, type, user_id)
select $1, $2, u.type, u.id from users u
where u.type = $3 and u.email = $4 and coalesce(u.is_deleted, 0) <> 1
  and not exists (select from atom.identity i where i.user_id = u.id and i.issuer = $1)
on conflict do nothing
returning user_id
"""
ADD = """
insert into atom.identity (issuer, subject, type, user_id) values ($1, $2, $3, $4)
on conflict do nothing returning user_id
"""


async def begin(ports: Ports, *, provider: str, redirect_uri: str | None) -> Any:
    """Return the address to send a browser to, and what it keeps meanwhile.

    Raises:
        ApiError: `oidc.unknown`; `oidc.redirect`.
        Unavailable: when the service cannot be asked.
    """
    found = _provider(ports, provider)
    allowed = found.config["redirect_uri"]
    page = allowed[0] if redirect_uri is None else redirect_uri
    if page not in allowed:
        raise ApiError(
            "redirect_uri is not listed",
            code="oidc.redirect",
            hint=f"config_oidc lists {', '.join(allowed)}.",
        )
    metadata = await found.metadata()
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": found.config["client_id"],
        "redirect_uri": page,
        "scope": found.config["scope"],
        "state": state,
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    kept = {
        "type": KIND,
        "sub": provider,
        "exp": int(time.time()) + SECONDS,
        **{"state": state, "nonce": nonce, "verifier": verifier, "redirect_uri": page},
    }
    flow = jwt.encode(kept, signing_keys(ports.account.key_jwt)[0], SIGNED_WITH)
    endpoint = metadata["authorization_endpoint"]
    mark = "&" if urlsplit(endpoint).query else "?"
    return {"url": f"{endpoint}{mark}{urlencode(asked)}", "flow": flow}


async def log_in_with_oidc(
    ports: Ports, *, type: int, flow: str, code: str, state: str, iss: str | None
) -> Entry:
    """Let in the person a service sent back; the unknown become users.

    Raises:
        Unauthenticated: `oidc.invalid`.
        Unavailable: when the service cannot be asked.
        Forbidden: `active.inactive`; `account.closed` to an unknown person.
        Conflict: `account.exists`, when the address is another account's.
        ApiError: `account.unknown_type`; a column that sign-up demands.
    """
    begun = _begun(ports, flow)
    if not secrets.compare_digest(begun["state"].encode(), state.encode()):
        raise invalid()
    found = _provider(ports, begun["sub"])
    metadata = await found.metadata()
    issuer = metadata["issuer"]
    # A service that names itself was not mixed up with another. Source: RFC 9207.
    named = metadata.get("authorization_response_iss_parameter_supported") is True
    if (iss is not None or named) and iss != issuer:
        raise invalid()
    given = await found.exchange(code, begun["verifier"], begun["redirect_uri"])
    assert found.keys is not None
    claims = await id_token.verify(
        found.keys,
        given,
        client_ids=(found.config["client_id"],),
        issuers=(issuer,),
        algorithms=ALGORITHMS,
        nonce=begun["nonce"],
        invalid=invalid,
    )
    pair = await _known(ports, type, issuer, claims["sub"])
    if pair is not None:
        return pair
    # Who else has an address in `users` has proven it: a service that is not trusted
    # with addresses must not put one there.
    email = verified_address(claims) if found.config["is_email_trusted"] else None
    if email is not None:
        pair = await _bound(ports, type, email, issuer, claims["sub"])
    return pair or await _new(ports, type, email, issuer, claims["sub"])


def _provider(ports: Ports, name: str) -> Provider:
    providers: Mapping[str, Provider] = needed(ports.clients, OIDC.name, OIDC.needs[0])
    if name not in providers:
        raise ApiError(
            f"no sign-in service {name!r}",
            code="oidc.unknown",
            hint=nearest(name, providers),
        )
    return providers[name]


def _begun(ports: Ports, flow: str) -> dict[str, Any]:
    """Return what a sign-in was begun with."""
    for key in signing_keys(ports.account.key_jwt):
        try:
            found: dict[str, Any] = jwt.decode(
                flow, key, algorithms=[SIGNED_WITH], options={"require": REQUIRED}
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            continue
        if found["type"] == KIND:
            return found
    raise invalid()


async def _known(ports: Ports, type: int, issuer: str, subject: str) -> Entry | None:
    names = list(ports.account.token_key_list)
    row = await ports.database.row(KNOWN, issuer, subject, names, type)
    if row is None:
        return None
    if row["is_deleted"] == 1:
        raise _exists()
    person = session.require_usable(Person.of(row, ports.account))
    return await enter(ports, ports.database, person)


async def _bound(
    ports: Ports, type: int, email: str, issuer: str, subject: str
) -> Entry | None:
    """Bind the account that has proven the address, if there is one."""
    if not ports.account.is_otp_verify:
        return None
    given = (issuer, subject, type, email)
    if await ports.database.value(BIND, *given) is None:
        return None
    return await _known(ports, type, issuer, subject)


async def _new(
    ports: Ports, type: int, email: str | None, issuer: str, subject: str
) -> Entry:
    require_open(ports.account, type)
    require_nothing_else(ports.account, {"email"} if email else set())
    unique = {} if email is None else {"email": email}

    async def bind(connection: Any, user_id: int) -> None:
        if await connection.value(ADD, issuer, subject, type, user_id) is None:
            raise _exists()  # by another sign-in, a moment ago

    try:
        pair = await create_user(ports, {"type": type, **unique}, unique, also=bind)
    except Conflict:
        pair = None
    pair = pair or await _known(ports, type, issuer, subject)
    if pair is None:
        raise _exists()
    return let_in(pair)


def _exists() -> Conflict:
    return Conflict(
        "email already exists",
        code="account.exists",
        hint="Log in the way this account was made.",
    )
