"""Passkeys: WebAuthn challenges, and what an authenticator answers to them.

A challenge is a row that its answer deletes, right or wrong: it is good once, for its
purpose and its user. The browser is asked for user verification; a login by a passkey
alone demands it. Source: Web Authentication Level 3, sections 7.1 and 7.2.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from atom.account import mailed_token as tokens
from atom.account.config import AccountConfig
from atom.account.security_event import ABOUT
from atom.errors import Forbidden, Unauthenticated
from atom.port import Ports

log = logging.getLogger(__name__)

CREATE, LOGIN, SECOND = "passkey-create", "passkey-login", "passkey-mfa"
SECONDS = 300  # that a challenge is good for
FIELD_MAX = 8192  # letters of the part that holds the challenge

OF_USER = "select credential_id from atom.passkey where user_id = $1"
FIND = """
select credential_id, user_id, public_key, sign_count from atom.passkey
where credential_id = $1
"""
# The count only grows: of two answers with the same one the second is refused.
USE = """
update atom.passkey set sign_count = $3, is_backed_up = $4, last_used_at = now()
where credential_id = $1 and sign_count = $2
"""


def invalid() -> Unauthenticated:
    """Return the error of an answer, whatever is wrong with it."""
    return Unauthenticated(
        "passkey invalid",
        code="passkey.invalid",
        hint="Begin again: a challenge is good once, for 5 minutes.",
    )


def require_on(config: AccountConfig) -> None:
    """Check that there are passkeys.

    Raises:
        Forbidden: `passkey.off`.
    """
    if not config.passkey_origin_list:
        raise Forbidden(
            "passkeys are off",
            code="passkey.off",
            hint="Set config_passkey_origin_list.",
        )


def handle(user_id: int) -> bytes:
    """Return what an authenticator keeps of a user: it does not show who that is."""
    return hashlib.sha256(b"atom passkey %d" % user_id).digest()


async def _issue(
    database: Any, purpose: str, user_id: int | None, version: int | None = None
) -> bytes:
    from webauthn import base64url_to_bytes

    _, token = await tokens.issue(
        database,
        purpose,
        seconds=SECONDS,
        type=0,
        email="",
        user_id=user_id,
        detail={"version": version},
    )
    challenge: bytes = base64url_to_bytes(token)
    return challenge


async def offer(ports: Ports, database: Any, user_id: int, name: str) -> dict[str, Any]:
    """Return what a browser makes a passkey of: options of `credentials.create()`."""
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    known = await database.rows(OF_USER, user_id)
    options = generate_registration_options(
        rp_id=ports.account.rp_id,
        rp_name=ports.mailer.config.app_name,
        user_name=name,
        user_id=handle(user_id),
        challenge=await _issue(database, CREATE, user_id),
        timeout=SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=bytes(row["credential_id"]))
            for row in known
        ],
    )
    made: dict[str, Any] = options_to_json_dict(options)
    return made


async def ask(ports: Ports, database: Any, user_id: int | None) -> dict[str, Any]:
    """Return options of `credentials.get()`: of a user, or for whoever answers."""
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        PublicKeyCredentialDescriptor,
        UserVerificationRequirement,
    )

    known = [] if user_id is None else await database.rows(OF_USER, user_id)
    needs = UserVerificationRequirement
    options = generate_authentication_options(
        rp_id=ports.account.rp_id,
        challenge=await _issue(database, LOGIN if user_id is None else SECOND, user_id),
        timeout=SECONDS * 1000,
        allow_credentials=[
            PublicKeyCredentialDescriptor(id=bytes(row["credential_id"]))
            for row in known
        ],
        user_verification=needs.REQUIRED if user_id is None else needs.PREFERRED,
    )
    made: dict[str, Any] = options_to_json_dict(options)
    return made


async def take_challenge(
    database: Any, purpose: str, credential: Mapping[str, Any]
) -> tokens.Mailed:
    """Use up the challenge that an answer holds. Return what it was issued for.

    Raises:
        Unauthenticated: `passkey.invalid`.
    """
    try:
        return await tokens.take(database, purpose, _challenge(credential))
    except Unauthenticated:
        raise invalid() from None


def _challenge(credential: Mapping[str, Any]) -> str:
    from webauthn import base64url_to_bytes

    response = credential.get("response")
    text = response.get("clientDataJSON") if isinstance(response, Mapping) else None
    if not isinstance(text, str) or len(text) > FIELD_MAX:
        raise invalid()
    try:
        found = orjson.loads(base64url_to_bytes(text))["challenge"]
    except (ValueError, KeyError, TypeError):
        raise invalid() from None
    if not isinstance(found, str):
        raise invalid()
    return found


def _verified(
    verify: Callable[..., Any], config: AccountConfig, credential: Any, **given: Any
) -> Any:
    """Verify an answer. The library has many words for what a stranger may send."""
    from webauthn import base64url_to_bytes

    try:
        return verify(
            credential=credential,
            expected_challenge=base64url_to_bytes(_challenge(credential)),
            expected_rp_id=config.rp_id,
            expected_origin=list(config.passkey_origin_list),
            **given,
        )
    except Exception as error:
        log.info("a passkey was refused: %s", type(error).__name__)
        raise invalid() from None


def registered(config: AccountConfig, credential: Mapping[str, Any]) -> Any:
    """Return the key of a new passkey, verified.

    Raises:
        Unauthenticated: `passkey.invalid`.
    """
    from webauthn import verify_registration_response

    return _verified(verify_registration_response, config, dict(credential))


async def use(
    ports: Ports,
    connection: Any,
    credential: Mapping[str, Any],
    *,
    user_id: int | None,
    alone: bool,
) -> int:
    """Verify what a passkey has signed, in a transaction. Return the user.

    `alone`: it is the only factor, so the authenticator must have verified the user.

    Raises:
        Unauthenticated: `passkey.invalid`.
    """
    from webauthn import base64url_to_bytes, verify_authentication_response
    from webauthn.helpers import bytes_to_base64url

    try:
        key = base64url_to_bytes(str(credential.get("rawId")))
    except ValueError:
        raise invalid() from None
    row = await connection.row(FIND, key)
    if row is None or (user_id is not None and row["user_id"] != user_id):
        raise invalid()
    ABOUT.set(row["user_id"])
    found = _verified(
        verify_authentication_response,
        ports.account,
        dict(credential),
        credential_public_key=bytes(row["public_key"]),
        credential_current_sign_count=row["sign_count"],
        require_user_verification=alone,
    )
    held = credential["response"].get("userHandle")
    is_theirs = held is None and not alone
    if isinstance(held, str):
        is_theirs = held.rstrip("=") == bytes_to_base64url(handle(row["user_id"]))
    place = (key, row["sign_count"], found.new_sign_count, found.credential_backed_up)
    if not is_theirs or not await connection.run(USE, *place):
        raise invalid()
    return int(row["user_id"])
