"""Tokens for one purpose: 256 bits, good once, kept as a hash. Most are mailed.

A token is deleted when it is used, so of two callers with the same one wins.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import orjson

from atom.errors import Unauthenticated

PASSWORD_RESET = "password-reset"
EMAIL_VERIFY = "email-verify"
INVITATION = "invitation-accept"
SECOND_STEP = "login-mfa"  # of a login, answered and not mailed
ENROL = "login-enrol"  # instead of it, for who has no second factor yet

PRUNE = "delete from atom.account_token where expires_at < now()"
ISSUE = """
insert into atom.account_token
  (purpose, token_hash, user_id, type, email, detail, created_by_id, expires_at)
values ($1, $2, $3, $4, $5, $6::text::jsonb, $7, now() + make_interval(secs => $8))
returning id
"""
FIND = """
select id, user_id, type, email, detail::text as detail, created_by_id
from atom.account_token
where token_hash = $1 and purpose = $2 and expires_at > now()
"""
TAKE = """
delete from atom.account_token
where token_hash = $1 and purpose = $2 and expires_at > now()
returning id, user_id, type, email, detail::text as detail, created_by_id
"""
VOID = "delete from atom.account_token where user_id = $1 and purpose = $2"


@dataclass(frozen=True, slots=True)
class Mailed:
    """What a token was issued for."""

    id: int
    user_id: int | None
    type: int
    email: str
    detail: dict[str, Any]
    created_by_id: int | None

    @classmethod
    def of(cls, row: Any) -> "Mailed":
        """Read a row.

        Raises:
            Unauthenticated: `account_token.invalid` when there is none.
        """
        if row is None:
            raise invalid()
        return cls(**{**row, "detail": orjson.loads(row["detail"])})


def invalid() -> Unauthenticated:
    """Return the error of a token, whatever is wrong with it."""
    return Unauthenticated(
        "token invalid",
        code="account_token.invalid",
        hint="It is good once, and for a time. Ask for a new one.",
    )


async def issue(
    database: Any,
    purpose: str,
    *,
    seconds: int,
    type: int,
    email: str,
    user_id: int | None = None,
    detail: dict[str, Any] | None = None,
    created_by_id: int | None = None,
) -> tuple[int, str]:
    """Store a new token. Return its id, and the token. Earlier ones stay good."""
    token = secrets.token_urlsafe(32)
    await database.run(PRUNE)
    made = await database.value(
        ISSUE,
        purpose,
        digest(purpose, token),
        user_id,
        type,
        email,
        orjson.dumps(detail or {}).decode(),
        created_by_id,
        float(seconds),
    )
    return made, token


async def find(database: Any, purpose: str, token: str) -> Mailed:
    """Return what a token is good for; it stays good.

    Raises:
        Unauthenticated: `account_token.invalid`.
    """
    return Mailed.of(await database.row(FIND, digest(purpose, token), purpose))


async def take(database: Any, purpose: str, token: str) -> Mailed:
    """Use a token up, in the transaction of what it is good for.

    Raises:
        Unauthenticated: `account_token.invalid`.
    """
    return Mailed.of(await database.row(TAKE, digest(purpose, token), purpose))


def digest(purpose: str, token: str) -> bytes:
    """Return what is stored of a token, bound to its purpose."""
    text = f"{purpose}\0{token}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()
