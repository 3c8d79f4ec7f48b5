"""Secrets that have to be read again, encrypted while they are stored.

AES-256-GCM by a key made from `config_key_mfa`, or without one from `config_key_jwt`.
Each of two keys that a comma separates decrypts; the first encrypts. What is stored
begins with a mark of the key, and is bound to its user.
"""

import hashlib
import secrets
from functools import lru_cache
from typing import Any

from atom.account.config import AccountConfig
from atom.account.token import signing_keys
from atom.errors import Unavailable

PURPOSE = b"atom totp"
MARK, NONCE = 4, 12  # bytes


@lru_cache(8)
def _cipher(text: str) -> tuple[bytes, Any]:
    """Return the mark and the cipher of a key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(SHA256(), 32, salt=None, info=PURPOSE).derive(text.encode())
    return hashlib.sha256(PURPOSE + key).digest()[:MARK], AESGCM(key)


def keys(config: AccountConfig) -> tuple[str, ...]:
    """Return the keys that decrypt; the first encrypts."""
    return (*signing_keys(config.key_mfa or ""), *signing_keys(config.key_jwt))


def mark(config: AccountConfig) -> bytes:
    """Return what begins every text that the first key has encrypted."""
    return _cipher(keys(config)[0])[0]


def seal(config: AccountConfig, user_id: int, secret: bytes) -> bytes:
    """Encrypt a secret of a user."""
    begin, cipher = _cipher(keys(config)[0])
    nonce = secrets.token_bytes(NONCE)
    sealed: bytes = cipher.encrypt(nonce, secret, _bound(user_id))
    return begin + nonce + sealed


def unseal(config: AccountConfig, user_id: int, stored: bytes) -> bytes:
    """Decrypt a secret of a user.

    Raises:
        Unavailable: `mfa.unreadable` when none of the keys has encrypted it.
    """
    from cryptography.exceptions import InvalidTag

    for key in keys(config):
        begin, cipher = _cipher(key)
        if stored[:MARK] != begin:
            continue
        nonce, sealed = stored[MARK : MARK + NONCE], stored[MARK + NONCE :]
        try:
            secret: bytes = cipher.decrypt(nonce, sealed, _bound(user_id))
        except InvalidTag:
            break
        return secret
    raise Unavailable(
        "The second factor cannot be read.",
        code="mfa.unreadable",
        hint="A recovery code works; an admin gives the key back to config_key_mfa.",
    )


def _bound(user_id: int) -> bytes:
    return b"%s %d" % (PURPOSE, user_id)
