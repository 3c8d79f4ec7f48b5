"""ID tokens of Google: what no key of theirs has signed is invalid, never a fault."""

import json
import time
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from atom.account.google import verify
from atom.client.identity import GoogleKeys
from atom.errors import Unauthenticated

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


class Keys:
    """One public key under every name."""

    client_ids = ("shop",)

    def __init__(self, public: Any) -> None:
        self.public = public

    async def key(self, name: str) -> Any:
        """Return it."""
        return self.public


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    known = {"iss": "https://accounts.google.com", "aud": "shop", "sub": "1"}
    return {**known, "iat": now, "exp": now + 60, **more}


def signed(given: dict[str, Any]) -> str:
    """Sign claims of any shape, also those that PyJWT would not encode."""
    body = json.dumps(given).encode()
    return jwt.PyJWS().encode(body, RSA, "RS256", headers={"kid": "k1"})


async def ask(public: Any, token: str) -> dict[str, Any]:
    return await verify(cast(GoogleKeys, Keys(public)), token, None)


async def test_a_good_one():
    assert "1" == (await ask(RSA.public_key(), signed(claims())))["sub"]


@pytest.mark.parametrize("public", [EC.public_key(), b"secret", "", 7, None], ids=type)
async def test_a_key_of_another_kind(public):
    """The token names RS256, the key under its name is for something else."""
    with pytest.raises(Unauthenticated):
        await ask(public, signed(claims()))


@pytest.mark.parametrize(
    "more",
    [
        {"aud": ["shop", "other"]},
        {"aud": ["shop", "other"], "azp": "other"},
        {"aud": []},
        {"sub": 1},
        {"sub": "1" * 256},
        {"exp": "soon"},
        {"iat": "now"},
        {"nbf": 4_000_000_000},
        {"iss": ["https://accounts.google.com"]},
        {"iss": None},
    ],
    ids=str,
)
async def test_claims_of_other_shapes(more):
    with pytest.raises(Unauthenticated):
        await ask(RSA.public_key(), signed(claims(**more)))


async def test_an_audience_of_several_names_whom_it_was_issued_to():
    token = signed(claims(aud=["shop", "other"], azp="shop"))
    assert "1" == (await ask(RSA.public_key(), token))["sub"]
