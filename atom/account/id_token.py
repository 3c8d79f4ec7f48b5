"""ID tokens of a sign-in service, verified."""

from collections.abc import Callable, Iterable
from typing import Any

import jwt

from atom.client.signing_key import SigningKeys
from atom.errors import Unauthenticated

BYTES_MAX = 8192


async def verify(
    keys: SigningKeys,
    given: str,
    *,
    client_ids: Iterable[str],
    issuers: Iterable[str],
    algorithms: Iterable[str],
    nonce: str | None,
    invalid: Callable[[], Unauthenticated],
) -> dict[str, Any]:
    """Return the claims of an ID token.

    Raises:
        Unauthenticated: `invalid()`, whatever is wrong with it.
        Unavailable: when the keys cannot be read.

    Source: OpenID Connect Core 1.0 section 3.1.3.7; RFC 8725 sections 3.1, 3.8, 3.9.
    """
    if len(given) > BYTES_MAX or not given.isascii():
        raise invalid()
    mine = tuple(client_ids)
    try:
        name = jwt.get_unverified_header(given).get("kid")
        key = await keys.key(name) if isinstance(name, str) else None
        if key is None:
            raise invalid()
        claims: dict[str, Any] = jwt.decode(
            given,
            key,
            algorithms=list(algorithms),
            audience=mine,
            issuer=tuple(issuers),
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
            leeway=10,
        )
    except (jwt.PyJWTError, TypeError, ValueError, RecursionError):
        raise invalid() from None
    audience = claims["aud"]
    is_shared = isinstance(audience, list) and len(audience) > 1
    if is_shared and claims.get("azp") not in mine:
        raise invalid()
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise invalid()
    if nonce is not None and claims.get("nonce") != nonce:
        raise invalid()
    return claims
