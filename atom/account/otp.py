"""One-time codes, by which a user proves that an address is theirs."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from atom.account.name import is_storable, normalize
from atom.account.token import signing_keys
from atom.errors import ApiError, Unauthenticated
from atom.port import Ports

SECONDS = 600
TRIES = 5
# What a code may be asked for, as a message words it. One without a purpose serves all.
PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "login": " to log in",
        "signup": " to sign up",
        "change": " to change your address",
        "verify": " to confirm your address",
    }
)

# One statement both counts the try and consumes the code: of two callers with the right
# code one finds it used. Only the latest code of an address and purpose counts.
CONSUME = """
update otp set
  tries = coalesce(tries, 0) + 1,
  used_at = case when otp = any ($3::text[]) then now() end
where id = (
    select id from otp
    where (email = $1::text or mobile = $2::text)  -- one of them is null
      and (purpose is null or purpose = $6::text)
    order by id desc limit 1
  )
  and used_at is null
  and coalesce(tries, 0) < $4
  and created_at > now() - make_interval(secs => $5)
returning used_at is not null
"""


def hash_code(otp: str, address: str, key: str) -> str:
    """Return what is stored of a code: bound to an address, useless without the key."""
    return hmac.new(
        key.encode(), f"otp\0{address}\0{otp}".encode(), hashlib.sha256
    ).hexdigest()


async def generate_otp(
    database: Any,
    *,
    key: str,
    email: str | None = None,
    mobile: str | None = None,
    purpose: str | None = None,
) -> str:
    """Return a new code of 6 digits for an address; earlier ones are void.

    `key` is the first of `config_key_jwt`.

    Raises:
        ApiError: when the address cannot be read.
    """
    kind = "email" if email else "mobile"
    address = normalize(kind, email or mobile or "")
    if not address or not is_storable(address):
        raise ApiError(f"'{kind}' is not an address.")
    code = new_code()
    await store(database, kind, address, code, key=key, purpose=purpose)
    return code


Code = Annotated[
    str | int,
    Field(union_mode="left_to_right", examples=["123456"], description="6 digits."),
]


def read_code(given: str | int) -> str:
    """Return a code as it was sent: a number has lost the zeros before it.

    >>> read_code(1234), read_code("001234")
    ('001234', '001234')
    """
    return f"{given:06}" if isinstance(given, int) else given[:20]


def new_code() -> str:
    """Return 6 random digits."""
    return f"{secrets.randbelow(10**6):06}"


async def store(
    database: Any,
    kind: str,
    address: str,
    code: str,
    *,
    key: str,
    purpose: str | None,
) -> None:
    """Store a code of an address in its normal form; earlier ones are void."""
    await database.run(
        "insert into otp (email, mobile, otp, purpose) values ($1, $2, $3, $4)",
        address if kind == "email" else None,
        address if kind == "mobile" else None,
        hash_code(code, address, key),
        purpose,
    )


async def verify_otp(
    database: Any,
    otp: str,
    *,
    keys: Sequence[str],
    email: str | None = None,
    mobile: str | None = None,
    purpose: str | None = None,
) -> None:
    """Consume the latest code sent to an address: it is good once, in 10 minutes.

    A wrong code counts as one of five tries. `keys` are those of `config_key_jwt`.
    The code is one that was sent for this purpose, or for none.

    Raises:
        Unauthenticated: `otp.invalid`, whatever is wrong with it.
    """
    address = normalize("email", email) if email else normalize("mobile", mobile or "")
    code = otp.strip()
    right = None
    if address and code and is_storable(address + code):
        right = await database.value(
            CONSUME,
            address if email else None,
            None if email else address,
            [hash_code(code, address, key) for key in keys],
            TRIES,
            float(SECONDS),
            purpose,
        )
    if not right:
        raise Unauthenticated(
            "otp invalid",
            code="otp.invalid",
            hint="It is good once, for 10 minutes and 5 tries. Ask for a new one.",
        )


async def require_proof(
    ports: Ports, kind: str, address: str, otp: str | None, purpose: str
) -> None:
    """Consume the code that was sent to an e-mail or mobile which is to be stored.

    Raises:
        ApiError: `otp.missing`.
        Unauthenticated: `otp.invalid`.
    """
    if not otp:
        raise ApiError(
            f"{kind} needs an otp",
            code="otp.missing",
            hint=f"Have one sent to the {kind} and add it as otp.",
        )
    keys = signing_keys(ports.account.key_jwt)
    given = {kind: address}
    await verify_otp(ports.database, otp, keys=keys, purpose=purpose, **given)
