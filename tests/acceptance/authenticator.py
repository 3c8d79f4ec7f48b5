"""What a person holds as a second factor: an app that makes codes."""

import hmac
import struct
import time
from base64 import b32decode
from dataclasses import dataclass

PERIOD = 30


@dataclass
class App:
    """An authenticator app, written after RFC 6238 and without Atom's code."""

    secret: str

    @property
    def key(self):
        """The bytes of the secret."""
        return b32decode(self.secret + "=" * (-len(self.secret) % 8))

    def code(self, ahead=0):
        """Return the code of now, or of steps before or after."""
        step = int(time.time()) // PERIOD + ahead
        made = hmac.new(self.key, struct.pack(">Q", step), "sha1").digest()
        (number,) = struct.unpack_from(">I", made, made[-1] & 15)
        return f"{(number & 0x7FFFFFFF) % 10**6:06}"
