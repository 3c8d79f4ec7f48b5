"""Logging in with an ID token of Google.

A user is found by the subject of the token. An address binds an account to a subject
only where Google vouches for it and this server has proven it as well.
"""

import time
from collections.abc import Mapping
from typing import Any

import orjson

from atom.account import id_token, session
from atom.account.login import FOUND
from atom.account.mfa import Entry, enter
from atom.account.name import validate
from atom.account.otp_login import require_nothing_else
from atom.account.session import Person
from atom.account.signup import create_user, let_in, require_open
from atom.client import needed
from atom.client.identity import GOOGLE, GoogleKeys
from atom.errors import ApiError, Conflict, Unauthenticated
from atom.event.envelope import AS_SELF, metadata_text
from atom.port import Ports

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
ALGORITHM = "RS256"
KEPT = ("email", "email_verified", "name", "given_name", "family_name", "picture", "hd")
BY_SUBJECT = FOUND + "where u.type = $1 and u.google_id = $2"
# An address that was not proven here could be a stranger's claim to it. One that is
# bound already stays with its subject.
BIND = f"""
update users set google_id = $3, google_data = $4::jsonb
where type = $1 and email = $2 and google_id is null
  and coalesce(is_deleted, 0) <> 1 and {AS_SELF.format(place=5)}
returning id
"""  # noqa: S608 - constants alone


def invalid() -> Unauthenticated:
    """Return the error of an ID token. Deliberately without the reason."""
    return Unauthenticated(
        "google token invalid",
        code="google.invalid",
        hint="Have the person log in at Google again.",
    )


async def log_in_with_google(
    ports: Ports, *, type: int, google_token: str, nonce: str | None
) -> Entry:
    """Let in the person of an ID token; who is unknown becomes a user.

    `nonce` is what the login at Google was begun with, if it was.

    Raises:
        Unauthenticated: `google.invalid`.
        Unavailable: without a client id, or when Google's keys cannot be read.
        Forbidden: `active.inactive`; `account.closed` to an unknown person.
        Conflict: `account.exists`, when the address is another account's.
        ApiError: `account.unknown_type`; a column that sign-up demands.
    """
    keys: GoogleKeys = needed(ports.clients, GOOGLE.name, GOOGLE.needs[0])
    claims = await verify(keys, google_token, nonce)
    pair = await _known(ports, type, claims["sub"])
    if pair is not None:
        return pair
    email = verified_address(claims)
    if email is not None and await _bound(ports, type, email, claims):
        pair = await _known(ports, type, claims["sub"])
    if pair is not None:
        return pair
    return await _new(ports, type, email, claims)


async def verify(keys: GoogleKeys, given: str, nonce: str | None) -> dict[str, Any]:
    """Return the claims of an ID token of Google. Raises as `id_token.verify` does."""
    return await id_token.verify(
        keys,
        given,
        client_ids=keys.client_ids,
        issuers=ISSUERS,
        algorithms=(ALGORITHM,),
        nonce=nonce,
        invalid=invalid,
    )


def verified_address(claims: Mapping[str, Any]) -> str | None:
    """Return the address that a service has verified, in its normal form."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str):
        return None
    try:
        return validate("email", email)
    except ApiError:
        return None


def is_authoritative(email: str, claims: Mapping[str, Any]) -> bool:
    """Whether Google runs the mailbox: another one may have a new owner since.

    >>> is_authoritative("a@gmail.com", {}), is_authoritative("a@b.co", {"hd": "b.co"})
    (True, True)
    >>> is_authoritative("a@b.co", {})
    False
    """
    return email.endswith("@gmail.com") or bool(claims.get("hd"))


async def _known(ports: Ports, type: int, subject: str) -> Entry | None:
    names = list(ports.account.token_key_list)
    row = await ports.database.row(BY_SUBJECT, type, subject, names)
    if row is None:
        return None
    if row["is_deleted"] == 1:
        raise _exists()
    person = session.require_usable(Person.of(row, ports.account))
    return await enter(ports, ports.database, person)


async def _bound(
    ports: Ports, type: int, email: str, claims: Mapping[str, Any]
) -> bool:
    """Bind the account that has proven the address, if there is one."""
    if not is_authoritative(email, claims) or not ports.account.is_otp_verify:
        return False
    given = (type, email, claims["sub"], _kept(claims))
    user_id = await ports.database.value(BIND, *given, metadata_text())
    if user_id is not None:
        ports.database.written("users")
    return user_id is not None


async def _new(
    ports: Ports, type: int, email: str | None, claims: Mapping[str, Any]
) -> Entry:
    require_open(ports.account, type)
    require_nothing_else(ports.account, {"email"} if email else set())
    row = {"type": type, "google_id": claims["sub"], "google_data": _kept(claims)}
    unique = {} if email is None else {"email": email}
    pair = await create_user(ports, {**row, **unique}, unique)
    if pair is None:  # by another login, a moment ago
        pair = await _known(ports, type, claims["sub"])
    if pair is None:
        raise _exists()
    return let_in(pair)


def _kept(claims: Mapping[str, Any]) -> str:
    kept = {name: claims[name] for name in KEPT if name in claims}
    return orjson.dumps(kept | {"at": int(time.time())}).decode()


def _exists() -> Conflict:
    return Conflict(
        "email already exists",
        code="account.exists",
        hint="Log in the way this account was made.",
    )
