"""An authenticator in software, after the standard and without Atom's code."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 1, 4, 64


def encode(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Device:
    """A passkey and the browser around it."""

    origin: str = "https://shop.example"
    rp_id: str = "shop.example"
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    flags: int = PRESENT | VERIFIED
    count: int = 0
    handle: str | None = None

    def _client(self, kind: str, challenge: str) -> bytes:
        found = {"type": kind, "challenge": challenge, "origin": self.origin}
        return json.dumps({**found, "crossOrigin": False}).encode()

    def _data(self, flags: int) -> bytes:
        rp = hashlib.sha256(self.rp_id.encode()).digest()
        return rp + bytes([flags]) + self.count.to_bytes(4, "big")

    def _answer(self, **response: Any) -> dict[str, Any]:
        return {
            "id": encode(self.id),
            "rawId": encode(self.id),
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }

    def make(self, options: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """Answer `navigator.credentials.create()`."""
        self.handle = options["user"]["id"]
        spot = self.key.public_key().public_numbers()
        x, y = (n.to_bytes(32, "big") for n in (spot.x, spot.y))
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        held = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        data = self._data(self.flags | ATTESTED) + held
        made = {"fmt": "none", "attStmt": {}, "authData": data}
        challenge = changed.get("challenge", options["challenge"])
        client = self._client(changed.get("type", "webauthn.create"), challenge)
        return self._answer(
            clientDataJSON=encode(client), attestationObject=encode(cbor2.dumps(made))
        )

    def sign(self, options: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """Answer `navigator.credentials.get()`."""
        self.count += changed.get("step", 1)
        data = self._data(changed.get("flags", self.flags))
        challenge = changed.get("challenge", options["challenge"])
        client = self._client(changed.get("type", "webauthn.get"), challenge)
        signed = data + hashlib.sha256(client).digest()
        return self._answer(
            clientDataJSON=encode(client),
            authenticatorData=encode(data),
            signature=encode(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            userHandle=changed.get("handle", self.handle),
        )
