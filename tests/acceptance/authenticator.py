"""What a person holds as a second factor, and the two steps of a login with it."""

import hmac
import struct
import time
from base64 import b32decode
from dataclasses import dataclass

from tests.acceptance.mailing import far

PERIOD = 30
BACK = "update atom.totp set last_step = 0 where user_id = $1"


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


def code(answer, status):
    assert status == answer.status_code, answer.text
    return answer.json()["code"]


def enrolled(shop, **columns):
    """Make a user with an app; return them, and the recovery codes."""
    ada = shop.user(**columns)
    return ada, with_app(shop, ada)


def with_app(shop, ada):
    """Set an app up for a user. Return the recovery codes."""
    given = shop.done("/my/totp-create", ada, password=ada.password)["message"]
    ada.app = App(given["secret"])
    codes = shop.done("/my/totp-confirm", ada, code=ada.app.code())["message"]
    shop.api.sql(BACK, ada.id)  # time goes on
    return codes


def first_step(shop, ada, **more):
    answer = shop.login(username=ada.username, password=ada.password, **more)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"]


def second_step(shop, token, headers=None, **factor):
    body = {"mfa_token": token, **factor}
    headers = headers or far()
    return shop.api.call("POST", "/auth/login-mfa", json=body, headers=headers)


def profile(shop, token):
    headers = {"authorization": f"Bearer {token}"}
    return shop.api.call("GET", "/my/profile", headers=headers)
