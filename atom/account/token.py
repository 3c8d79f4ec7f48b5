"""Signed tokens that identify a user. Pure: clock, keys and randomness are arguments.

An access token carries `data` (columns of the user), `sub` (the user's id), `sid` (the
session it belongs to) and `ver` (the user's token version), with `exp`, `iat`, `jti`
and `type`. A check of a token compares `ver` and `sid` with the current ones.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from atom.errors import Unauthenticated

ALGORITHM = "HS256"
ACCESS = "access"
MAX_BYTES = 8192
REQUIRED = ("exp", "iat", "jti", "sub", "type")

# PyJWT would read the clock for exp, iat and nbf: those are checked here, with the
# argument `now`.
_JWT = jwt.PyJWT(
    options={
        "require": list(REQUIRED),
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
        "verify_aud": False,
        "verify_iss": False,
        "enforce_minimum_key_length": True,
    }
)


@dataclass(frozen=True, slots=True)
class Claims:
    """The content of a verified token. `user` is shared: copy it before a change."""

    user: dict[str, Any]
    subject: int
    session: str
    version: int
    issued: int  # Unix seconds
    expires: int  # Unix seconds
    unique: str  # jti


def encode(
    user_claims: Mapping[str, Any],
    *,
    key: str,
    now: int,
    seconds: int,
    subject: int,
    session: str,
    version: int,
    unique: str = "",
) -> str:
    """Sign a user's claims. The token is good from `now` (Unix seconds) for `seconds`.

    `unique` becomes its `jti`; left out, the same arguments make the same token.
    """
    if not unique:
        text = f"{subject} {session} {version} {now} {seconds}"
        unique = hashlib.sha256(text.encode()).hexdigest()[:32]
    claims = {
        "exp": now + seconds,
        "iat": now,
        "jti": unique,
        "sub": str(subject),
        "type": ACCESS,
        "sid": session,
        "ver": version,
        "data": dict(user_claims),
    }
    return _JWT.encode(claims, key, algorithm=ALGORITHM)


def decode(token: str, keys: Sequence[str], now: int) -> Claims:
    """Verify a token against each key and return its claims.

    Raises:
        Unauthenticated: `token.expired` when it was good once, else `token.invalid`.

    Source: RFC 7519 section 4.1 (claims); RFC 8725 sections 3.1 (fix the algorithm),
    3.11 (distinguish kinds of tokens).
    """
    claims = _claims(_verified(token, keys))
    if now >= claims.expires:
        raise expired()
    return claims


def signing_keys(text: str) -> tuple[str, ...]:
    """Split `config_key_jwt`: the key to sign with first, then one still accepted.

    >>> signing_keys("new, old")
    ('new', 'old')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def invalid() -> Unauthenticated:
    """Return the error of an invalid token. Deliberately without the reason."""
    return Unauthenticated(
        "token invalid", code="token.invalid", hint="Log in again for a new token."
    )


def expired() -> Unauthenticated:
    """Return the error of a token that was good once."""
    return Unauthenticated(
        "token expired",
        code="token.expired",
        hint="Get a new one with your refresh token, or log in again.",
    )


def _verified(token: str, keys: Sequence[str]) -> Mapping[str, Any]:
    if len(token) > MAX_BYTES:
        raise invalid()
    for key in keys:
        try:
            return _JWT.decode(token, key, algorithms=[ALGORITHM])
        except jwt.InvalidSignatureError:
            continue  # perhaps it was signed with the other key
        except (jwt.PyJWTError, ValueError, RecursionError):
            # ValueError: text beyond ASCII, numbers too long to parse.
            break
    raise invalid()


def _claims(payload: Mapping[str, Any]) -> Claims:
    user, subject, session = payload.get("data"), payload["sub"], payload.get("sid")
    numbers = (payload["exp"], payload["iat"], payload.get("ver"))
    if (
        payload["type"] != ACCESS
        or not isinstance(user, dict)
        or not isinstance(subject, str)
        or not (subject.isascii() and subject.isdecimal() and len(subject) < 20)
        or not isinstance(session, str)
        or not isinstance(payload["jti"], str)
        or not all(type(number) is int for number in numbers)
    ):
        raise invalid()
    return Claims(
        user=user,
        subject=int(subject),
        session=session,
        version=payload["ver"],
        issued=payload["iat"],
        expires=payload["exp"],
        unique=payload["jti"],
    )


class Decoder:
    """Decodes tokens, and remembers the last `size` that verified.

    Only the signature is remembered: whether a token has expired is asked each time.
    """

    def __init__(self, keys: Sequence[str], size: int = 4096) -> None:
        self._keys = tuple(keys)
        self._size = size
        self._known: dict[str, Claims] = {}

    def decode(self, token: str, now: int) -> Claims:
        """Return the claims of a token.

        Raises:
            Unauthenticated: as `decode` above.
        """
        claims = self._known.get(token)
        if claims is None:
            claims = self._known[token] = decode(token, self._keys, now)
            if len(self._known) > self._size:
                del self._known[next(iter(self._known))]
            return claims
        if now >= claims.expires:
            self._known.pop(token, None)
            raise expired()
        return claims
